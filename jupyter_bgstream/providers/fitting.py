"""Refuses, before it costs, what certainly does not fit a model; of anything else the service decides.

Certain is: the list of ``genai-prices`` has this very model of this very service, and fewer tokens than there are
words, or than one for eight characters, would already be too many. Text has more of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.job import Job, Message
from .context import Length
from .prices import context_window, is_local

SMALLEST = 4_096  # tokens; no list is asked for less
CHARACTERS = 8  # of one token, at least

# Parameters with which the user has said what else may be done with what is too long.
_CUTTING = ("truncation", "transforms", "plugins", "models", "context_management")


async def misfit(job: Job, *, model: str, base_url: str, headers: Mapping[str, Any]) -> Length | None:
    """Return by how much a job is certainly too long; None if it may fit, or nobody knows."""
    messages = (*job.history, *job.spec.messages)
    characters = sum(len(message.text) for message in messages)
    if characters < SMALLEST * CHARACTERS or is_local(base_url) or headers:  # headers may ask for a larger window
        return None
    if any(name in job.spec.params for name in _CUTTING):
        return None
    return await asyncio.to_thread(_misfit, messages, characters, model, base_url)


def _misfit(messages: Sequence[Message], characters: int, model: str, base_url: str) -> Length | None:
    limit = context_window(model, base_url)
    if limit is None or characters < limit * CHARACTERS:
        return None
    least = min(characters // CHARACTERS, sum(len(message.text.split()) for message in messages))
    return Length(least, limit, at_least=True) if least > limit else None
