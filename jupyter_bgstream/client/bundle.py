"""What a job looks like in a notebook file. See PROTOCOL.md, "In the notebook file"."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.machine import Answer
from ..core.wire import BUNDLE_MIME, JOBS_MIME
from .cited import sources_markdown, sources_plain, words_markdown, words_plain
from .markdown import escape_html

_OPENING = re.compile(r" {0,3}(?:(`{3,})[^`]*$|(~{3,}))")

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


class Shown(NamedTuple):
    """What is shown of a job: its answer as far as it is known, up to the cursor."""

    id: str
    model: str  # provider/name
    cursor: str
    answer: Answer


def bundle(job: Shown) -> dict[str, Any]:
    """Return the display bundle: the live view's key, and the text for whoever has no live view."""
    return {BUNDLE_MIME: _key(job), "text/markdown": _markdown(job), "text/plain": _plain(job)}


def bundle_of_several(jobs: Sequence[Shown]) -> dict[str, Any]:
    """Return the display bundle of jobs side by side: each text below its model's name."""
    markdown = [
        _joined(f"#### {words_markdown(words_plain(job.model))}", _markdown(job, closed=True)) for job in jobs[:-1]
    ]
    markdown += [_joined(f"#### {words_markdown(words_plain(job.model))}", _markdown(job)) for job in jobs[-1:]]
    return {
        JOBS_MIME: {"jobs": [_key(job) for job in jobs]},
        "text/markdown": _joined(*markdown),
        "text/plain": _joined(*(_joined(f"{words_plain(job.model)}:", _plain(job)) for job in jobs)),
    }


def _key(job: Shown) -> dict[str, str]:
    return {"id": job.id, "cursor": job.cursor, "status": job.answer.status, "model": job.model}


def _markdown(job: Shown, *, closed: bool = False) -> str:
    answer = job.answer
    note = _note(answer)
    below = [sources_markdown(answer.sources), note and f"*{escape_html(note)}*"]
    end = _closing(answer.text) if closed or any(below) else ""
    return _joined(escape_html(answer.text) + end, *below)


def _plain(job: Shown) -> str:
    note = _note(job.answer)
    return _joined(job.answer.text, sources_plain(job.answer.sources), note and f"{note} (job {job.id})")


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


def _closing(text: str) -> str:
    """Return what closes the code that a text ends in, so that what comes below it is none."""
    fence = ""
    for line in text.split("\n"):
        if not fence:
            opening = _OPENING.match(line)
            fence = (opening[1] or opening[2]) if opening else ""
        elif line.strip(" \t\r").startswith(fence) and not line.strip(f" \t\r{fence[0]}"):
            fence = ""
    return fence and ("" if text.endswith("\n") else "\n") + fence


def _note(answer: Answer) -> str:
    """Say what the text alone does not: that it is not whole, or why it ended."""
    status, error = answer.status, answer.error
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
