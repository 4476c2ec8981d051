"""What a job looks like in a notebook file. See PROTOCOL.md, "In the notebook file"."""

from __future__ import annotations

import re
import time
from typing import Any

from ..core.machine import Answer
from ..core.wire import BUNDLE_MIME
from .cited import sources_markdown, sources_plain
from .markdown import escape_html

_OPENING = re.compile(r" {0,3}(?:(`{3,})[^`]*$|(~{3,}))")

# The same sentences as in ``labextension/src/words.ts``.
_ENDINGS = {
    "stop": "",
    "length": "The answer was cut off at the limit of tokens.",
    "content_filter": "The answer was cut off by the content filter of the provider.",
    "refusal": "The model declined to answer.",
    "tool_calls": "The model asks for tools. None was called.",
}


def bundle(job_id: str, model: str, cursor: str, answer: Answer) -> dict[str, Any]:
    """Return the display bundle: the live view's key, and the text for whoever has no live view."""
    note = _note(answer)
    text = [answer.text, sources_plain(answer.sources), note and f"{note} (job {job_id})"]
    below = [sources_markdown(answer.sources), note and f"*{escape_html(note)}*"]
    markdown = [escape_html(answer.text) + (_closing(answer.text) if any(below) else ""), *below]
    return {
        BUNDLE_MIME: {"id": job_id, "cursor": cursor, "status": answer.status, "model": model},
        "text/markdown": "\n\n".join(filter(None, markdown)),
        "text/plain": "\n\n".join(filter(None, text)),
    }


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
            return _ENDINGS.get(reason, f"The answer ended for another reason: {reason}.")
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
