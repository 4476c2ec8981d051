"""What a job looks like in a notebook file. See PROTOCOL.md, "In the notebook file"."""

from __future__ import annotations

import time
from typing import Any

from ..core.machine import Answer
from ..core.wire import BUNDLE_MIME
from .markdown import escape_html


def bundle(job_id: str, model: str, cursor: str, answer: Answer) -> dict[str, Any]:
    """Return the display bundle: the live view's key, and the text for whoever has no live view."""
    note = _note(answer)
    text = [answer.text] if answer.text else []
    markdown = [escape_html(answer.text)] if answer.text else []
    if note:
        text.append(f"{note} (job {job_id})")
        markdown.append(f"*{escape_html(note)}*")
    return {
        BUNDLE_MIME: {"id": job_id, "cursor": cursor, "status": answer.status, "model": model},
        "text/markdown": "\n\n".join(markdown),
        "text/plain": "\n\n".join(text),
    }


def _note(answer: Answer) -> str:
    """Say what the text alone does not: that it is not whole, and why."""
    status, error = answer.status, answer.error
    match status:
        case "completed":
            return ""
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
