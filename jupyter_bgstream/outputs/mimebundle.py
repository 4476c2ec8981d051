"""What a job looks like in a notebook file. See PROTOCOL.md, "In the notebook file"."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..core.codec import BUNDLE_MIME, JOBS_MIME
from ..core.state import Answer
from ..core.terminal_text import visible, visible_line
from .citations import note_markdown, sources_markdown, sources_plain, words_markdown, words_plain
from .fence import closing
from .formulas import with_formulas
from .images import Embedding, without_marks

# The same sentences as in ``labextension/src/words.ts``.
_ENDINGS = {
    "stop": "",
    "length": "The answer was cut off at the limit of tokens.",
    "content_filter": "The answer was cut off by the content filter of the provider.",
    "refusal": "The model declined to answer.",
    "tool_calls": "The model asks for tools. None was called.",
    "other": "The answer ended for a reason that the provider does not explain.",
}

NO_TEXT = "The answer has no text: the provider ended it before the first word."
NO_TEXT_BUT_REASONING = "The answer has no text: the model only reasoned. Retry, or raise max_tokens."


class OutputSnapshot(NamedTuple):
    """What is shown of a job: its answer as far as it is known, up to the cursor."""

    id: str
    model: str  # provider/name
    cursor: str
    answer: Answer
    files: Mapping[str, bytes] = MappingProxyType({})  # of its pictures, as far as they are at hand; by their ids


def bundle(job: OutputSnapshot, *, unended: str = "") -> dict[str, Any]:
    """Return the display bundle: the live view's key, and the text for whoever has no live view.

    ``unended`` is the note below what has not ended, instead of its status.
    """
    pictures = Embedding()
    markdown = pictures.written(_markdown(job, pictures, unended=unended))
    return {BUNDLE_MIME: _key(job), "text/markdown": markdown, "text/plain": _plain(job, unended=unended)}


def bundle_of_several(jobs: Sequence[OutputSnapshot], *, unended: str = "") -> dict[str, Any]:
    """Return the display bundle of jobs side by side, each below its model's name; ``unended`` as of ``bundle``."""
    pictures = Embedding()
    last = len(jobs) - 1
    markdown = [
        _joined(
            f"#### {words_markdown(words_plain(job.model))}",
            _markdown(job, pictures, closed=number < last, unended=unended),
        )
        for number, job in enumerate(jobs)
    ]
    return {
        JOBS_MIME: {"jobs": [_key(job) for job in jobs]},
        "text/markdown": pictures.written(_joined(*markdown)),
        "text/plain": _joined(*(_joined(name_plain(job.model), _plain(job, unended=unended)) for job in jobs)),
    }


def _key(job: OutputSnapshot) -> dict[str, str]:
    return {"id": job.id, "cursor": job.cursor, "status": job.answer.status, "model": job.model}


def _markdown(job: OutputSnapshot, pictures: Embedding, *, closed: bool = False, unended: str = "") -> str:
    """Return what is still to be escaped, together with what stands around it: there something may be open."""
    answer = job.answer
    text, note = without_marks(answer.text), _note(answer, unended)
    shown = pictures.markdown(job.id, answer.images, job.files)
    below = [shown, sources_markdown(answer.sources), note and note_markdown(note)]
    end = closing(text) if closed or any(below) else ""
    return _joined(with_formulas(text) + end, *below)


def _plain(job: OutputSnapshot, *, unended: str = "") -> str:
    note = _note(job.answer, unended)
    return visible(_joined(job.answer.text, sources_plain(job.answer.sources), note and f"{note} (job {job.id})"))


def name_plain(model: str) -> str:
    """Return the line above a job's plain text among others."""
    return f"{visible_line(words_plain(model))}:"


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))


def _no_text(answer: Answer) -> str:
    if has_words(answer.text):
        return ""
    if answer.tool_calls:
        return "The answer has no text, only tool calls."
    return NO_TEXT_BUT_REASONING if has_words(answer.reasoning) else NO_TEXT


def has_words(text: str | None) -> bool:
    """Whether a text is more than blanks, in the page's sense."""
    return bool(text and text.strip(" \t\r\n"))


def _note(answer: Answer, unended: str) -> str:
    """Say what the text alone does not: that it is not whole, or why it ended."""
    status, error = answer.status, answer.error
    if unended and not answer.ended:
        return unended
    match status:
        case "completed":
            reason = answer.finish_reason or "stop"
            words = _ENDINGS.get(reason, f"The answer ended for another reason: {reason}.")
            return words or _no_text(answer)
        case "failed" | "interrupted":
            return f"{status.capitalize()}: {error.message}" if error else status.capitalize()
        case "cancelled":
            return "Cancelled"
        case "waiting" if error:
            # The text may be read much later, so that a duration would mean nothing.
            at = time.strftime("%H:%M:%S", time.localtime(answer.not_before or 0))
            return f"Waiting, next try at {at}: {error.message}"
        case _:
            return f"{status.capitalize()}…"
