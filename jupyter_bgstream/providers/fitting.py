"""Refuses, before it costs, what certainly does not fit a model; of anything else the service decides.

Certain is: the list of ``genai-prices`` has this very model of this very service, and fewer tokens than there are
words, or than one for eight characters, would already be too many. Text has more of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.job import Job
from ..core.messages import FilePart, Message
from .context_window import Length
from .pricing import context_window, is_local

SMALLEST = 4_096  # tokens; no list is asked for less
CHARACTERS = 8  # of one token, at least

# Parameters with which the user has said what else may be done with what is too long.
_CUTTING = ("truncation", "transforms", "plugins", "models", "context_management")


async def misfit(job: Job, *, model: str, base_url: str, headers: Mapping[str, Any]) -> Length | None:
    """Return by how much a job is certainly too long; None if it may fit, or nobody knows."""
    messages = (*job.history, *job.spec.messages)
    if (
        sum(map(_most_characters, messages)) < SMALLEST * CHARACTERS or is_local(base_url) or headers
    ):  # headers may ask for a larger window
        return None
    if any(name in job.spec.params for name in _CUTTING):
        return None
    return await asyncio.to_thread(_misfit, messages, model, base_url)


def _most_characters(message: Message) -> int:
    # Without reading its files: they may have megabytes, and this is the loop that the kernels live on.
    files = (part for part in message.attachments if isinstance(part, FilePart) and not part.is_pdf)
    return len(message.text) + sum(len(part.data) for part in files)


def _misfit(messages: Sequence[Message], model: str, base_url: str) -> Length | None:
    texts = [message.text_with_files for message in messages]
    characters = sum(map(len, texts))
    limit = context_window(model, base_url)
    if limit is None or characters < limit * CHARACTERS:
        return None
    least = min(characters // CHARACTERS, sum(len(text.split()) for text in texts))
    return Length(least, limit, at_least=True) if least > limit else None
