"""Looks at what code of others yields before it is stored: an event that cannot be read again would spoil every list.

Neither Python nor msgspec checks the fields of an event when it is made.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ..core.events import Completed, Delta, Source, ToolCall, Usage
from .base import Resume, Said
from .formats.base import MOST_TOKENS

MOST_USD = 1e15  # of one job: more is a mistake

S = TypeVar("S", bound=msgspec.Struct)


class Misuse(Exception):
    """A plug-in did something that it may not; the sentence says what."""


def checked(item: S) -> S:
    """Return a value as it is read again once it was stored; raises Misuse if it cannot be, or its figures are wild."""
    kind = type(item).__name__
    try:
        fresh = msgspec.json.decode(msgspec.json.encode(item), type=type(item))
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, OverflowError) as error:
        raise Misuse(f"It yielded a {kind} that cannot be meant: {error}.") from None
    if isinstance(fresh, Usage):
        _check_figures(fresh)
    return fresh


def checked_batch(batch: Any) -> list[Said]:
    """Return what a plug-in's own Provider yields at once; raises Misuse."""
    if not isinstance(batch, list | tuple):
        raise Misuse(f"It yielded {type(batch).__name__}, not a list of events.")
    said: list[Said] = []
    for item in batch:
        if not isinstance(item, Delta | Usage | Source | ToolCall | Completed | Resume):
            raise Misuse(f"It yielded {type(item).__name__} among events; a Provider may yield only those of its port.")
        said.append(checked(item))
    return said


def _check_figures(usage: Usage) -> None:
    # They are added up with those of all other jobs, which one that is out of all bounds would make worthless.
    for name in ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"):
        if not 0 <= (getattr(usage, name) or 0) < MOST_TOKENS:
            raise Misuse(f"It yielded a Usage that cannot be meant: {name} is {getattr(usage, name)}.")
    if not 0 <= (usage.cost or 0.0) < MOST_USD:
        raise Misuse(f"It yielded a Usage that cannot be meant: cost is {usage.cost} USD.")
