"""MIME bundles of jobs in a notebook file. See PROTOCOL.md, "In the notebook file"."""

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..core.codec import BUNDLE_MIME, JOBS_MIME
from ..core.state import Answer
from ..core.terminal_text import visible, visible_line
from .citations import note_markdown, sources_markdown, sources_plain, words_markdown, words_plain
from .formulas import with_formulas
from .images import Embedding, without_marks
from .open_code_block import closing

# The same sentences as in ``labextension/src/outputs/endReason.ts``.
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
    """State of a job that an output shows: its answer up to the cursor."""

    id: str
    model: str  # provider/name
    cursor: str
    answer: Answer
    files: Mapping[str, bytes] = MappingProxyType({})  # image files that have been read, by image id


class SavedOutput(NamedTuple):
    """Part of a saved output that stays as it is, because nothing new is known of its job."""

    key: Mapping[str, Any]  # of the live view
    markdown: str  # without the heading
    plain: str  # without the name


def bundle(job: OutputSnapshot, *, unended: str = "") -> dict[str, Any]:
    """Return the display bundle of a job: the key of the live view, and the text for readers without a live view.

    Args:
        job: what is shown.
        unended: note below a job that has not ended, instead of its status.

    """
    images = Embedding()
    markdown = images.written(_markdown(job, images, unended=unended))
    return {BUNDLE_MIME: _key(job), "text/markdown": markdown, "text/plain": _plain(job, unended=unended)}


def bundle_of_several(
    jobs: Sequence[OutputSnapshot | SavedOutput], *, models: Sequence[str] | None = None, unended: str = ""
) -> dict[str, Any]:
    """Return the display bundle of jobs side by side, each below the name of its model.

    Args:
        jobs: what is shown.
        models: names of the models, if they are not those of ``jobs``.
        unended: as for ``bundle``.

    """
    images = Embedding()
    keys: list[Mapping[str, Any]] = []
    markdown: list[str] = []
    plain: list[str] = []
    last = len(jobs) - 1
    for number, job in enumerate(jobs):
        if isinstance(job, SavedOutput):
            key, text, words = job.key, images.lifted(job.markdown), job.plain
        else:
            key, words = _key(job), _plain(job, unended=unended)
            text = _markdown(job, images, closed=number < last, unended=unended)
        model = str(key.get("model", "")) if models is None else models[number]
        keys.append(key)
        markdown += [heading_markdown(model), text]
        plain += [heading_plain(model), words]
    return {
        JOBS_MIME: {"jobs": keys},
        "text/markdown": images.written(_joined(*markdown)),
        "text/plain": _joined(*plain),
    }


def heading_markdown(model: str) -> str:
    """Return the line above the Markdown of a job among others."""
    return f"#### {words_markdown(words_plain(model))}"


def heading_plain(model: str) -> str:
    """Return the line above the plain text of a job among others."""
    return f"{visible_line(words_plain(model))}:"


def ending_sentence(finish_reason: str) -> str:
    """Return why an answer is not whole, for a finish reason of the provider; "" for ``stop``."""
    return _ENDINGS.get(finish_reason, f"The answer ended for another reason: {finish_reason}.")


def has_words(text: str | None) -> bool:
    """Return True if a text is more than white space, as the page defines it."""
    return bool(text and text.strip(" \t\r\n"))


def _key(job: OutputSnapshot) -> dict[str, str]:
    return {"id": job.id, "cursor": job.cursor, "status": job.answer.status, "model": job.model}


def _markdown(job: OutputSnapshot, images: Embedding, *, closed: bool = False, unended: str = "") -> str:
    """Return Markdown to be escaped with its surroundings, which may leave a block open."""
    answer = job.answer
    text, note = without_marks(answer.text), _note(answer, unended)
    below = [
        images.markdown(job.id, answer.images, job.files),
        sources_markdown(answer.sources),
        note and note_markdown(note),
    ]
    end = closing(text) if closed or any(below) else ""
    return _joined(with_formulas(text) + end, *below)


def _plain(job: OutputSnapshot, *, unended: str = "") -> str:
    note = _note(job.answer, unended)
    return visible(_joined(job.answer.text, sources_plain(job.answer.sources), note and f"{note} (job {job.id})"))


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))


def _no_text(answer: Answer) -> str:
    if has_words(answer.text):
        return ""
    if answer.tool_calls:
        return "The answer has no text, only tool calls."
    return NO_TEXT_BUT_REASONING if has_words(answer.reasoning) else NO_TEXT


def _note(answer: Answer, unended: str) -> str:
    """Return what the text alone does not say: that it is not whole, or why it ended."""
    status, error = answer.status, answer.error
    if unended and not answer.ended:
        return unended
    match status:
        case "completed":
            return ending_sentence(answer.finish_reason or "stop") or _no_text(answer)
        case "failed" | "interrupted":
            return f"{status.capitalize()}: {error.message}" if error else status.capitalize()
        case "cancelled":
            return "Cancelled"
        case "waiting" if error:
            # The text may be read much later, when a duration would be wrong.
            at = time.strftime("%H:%M:%S", time.localtime(answer.not_before or 0))
            return f"Waiting, next try at {at}: {error.message}"
        case _:
            return f"{status.capitalize()}…"
