"""Looks at what code of others says before it is stored: an event that cannot be read again would spoil every list.

Neither Python nor msgspec checks the fields of an event when it is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from ...core.errors import ProviderError
from ...core.events import Citation, Completed, Delta, ToolCall, Usage
from ...core.state import ErrorInfo
from ..base import MAX_MODELS, ImageData, ProviderEvent, ProviderStatus, Resume
from ..context_window import length_of
from ..errors import CODES, ErrorBuilder
from ..formats.base import MOST_TOKENS, MOST_USD

PIECE = 64 * 1024  # characters of one delta
BATCH = 256 * 1024  # characters that are handed on at once
MESSAGE_LENGTH = 1000  # characters of what a plug-in says of its failure
TOKEN_LENGTH = 64 * 1024  # characters
_LONGEST_WAIT = 1e9  # seconds that an error may ask for

S = TypeVar("S", bound=msgspec.Struct)


class PluginError(Exception):
    """A plug-in did something that it may not; the sentence says what."""


def checked(item: S) -> S:
    """Return a value as it is read again once it was stored.

    Raises PluginError if it cannot be, or its figures are wild.
    """
    kind = type(item).__name__
    try:
        fresh = msgspec.json.decode(msgspec.json.encode(item), type=type(item))
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, OverflowError) as error:
        raise PluginError(f"It yielded a {kind} that cannot be meant: {error}.") from None
    if isinstance(fresh, Usage):
        _check_figures(fresh)
    return fresh


def checked_batch(batch: Any) -> list[ProviderEvent]:
    """Return what a plug-in's own Provider yields at once; raises PluginError."""
    if not isinstance(batch, list | tuple):
        raise PluginError(f"It yielded {type(batch).__name__}, not a list of events.")
    said: list[ProviderEvent] = []
    for item in batch:
        if not isinstance(item, Delta | Usage | Citation | ToolCall | ImageData | Completed | Resume):
            raise PluginError(
                f"It yielded {type(item).__name__} among events; a Provider may yield only those of its port."
            )
        if said and isinstance(said[-1], Completed):
            raise PluginError(f"It yielded {type(item).__name__} behind Completed, which is the last event of all.")
        said += _fresh(checked(item))
    return said


def checked_status(status: Any, errors: ErrorBuilder) -> ProviderStatus:
    """Return what a plug-in's own Provider says of itself, bounded and without keys; raises PluginError."""
    if not isinstance(status, ProviderStatus):
        raise PluginError(f"Its status is {type(status).__name__}, not a ProviderStatus.")
    fresh = checked(status)
    models = tuple(filter(errors.is_clean, fresh.models[:MAX_MODELS]))
    error = checked_fault(fresh.error, errors)
    note = None if fresh.note is None else _bounded(fresh.note, errors)
    return msgspec.structs.replace(fresh, kind=errors.label(fresh.kind), models=models, error=error, note=note)


def checked_fault(fault: Any, errors: ErrorBuilder) -> ErrorInfo | None:
    """Return why a plug-in's own Provider cannot be asked, bounded and without keys; raises PluginError."""
    if fault is None:
        return None
    if not isinstance(fault, ErrorInfo):
        raise PluginError(f"Why it is not ready is {type(fault).__name__}, not a Fault.")
    fresh = checked(fault)
    return ErrorInfo(code=_code(fresh.code), message=_bounded(fresh.message, errors))


def checked_failure(error: BaseException, errors: ErrorBuilder) -> ProviderError:
    """Return what an exception of a plug-in means, in words that can be stored, bounded and without keys."""
    match error:
        case ProviderError(code="context_too_long"):
            words = safe_text(error.message)
            return errors.too_long(words, length_of(None, words))
        case ProviderError():
            return ProviderError(
                _bounded(safe_text(error.message), errors),
                code=_code(error.code),
                transient=error.transient is True,
                retry_after=_wait(error.retry_after),
            )
        case PluginError():
            return errors.plugin_error(safe_text(error))
        case asyncio.CancelledError():
            return errors.plugin_error("It cancelled itself.")
    words = safe_text(error)
    return errors.plugin_error(f"{type(error).__name__}: {words}" if words else type(error).__name__)


def safe_text(value: object) -> str:
    """Return a value of others as text that can be stored, such as an exception's words."""
    try:
        text = str(value)
    except Exception as error:
        return f"(It cannot be written: {type(error).__name__}.)"
    return str.__str__(text).encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def size_of(item: object) -> int:
    """Return how much work an event is, in characters: one that is as good as empty takes as much as one of 100."""
    match item:
        case Delta():
            return max(100, len(item.text))
        case ToolCall():
            return 100 + len(item.arguments)
    return 100


def batches(said: Sequence[ProviderEvent]) -> Iterator[list[ProviderEvent]]:
    """Cut what a plug-in yields at once, so that the engine sees that it is too much before it has written it."""
    batch: list[ProviderEvent] = []
    size = 0
    for item in said:
        batch.append(item)
        size += size_of(item)
        if size > BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def pieces(delta: Delta) -> list[Delta]:
    """Return a delta as several of at most PIECE characters; none of nothing."""
    starts = range(0, len(delta.text), PIECE)
    return [Delta(channel=delta.channel, text=delta.text[at : at + PIECE]) for at in starts]


def _fresh(item: ProviderEvent) -> list[ProviderEvent]:
    # The numbers of an event are the store's to give.
    match item:
        case Delta():
            return [*pieces(item)]
        case Resume():
            if len(item.token) > TOKEN_LENGTH:
                raise PluginError(f"It yielded a Resume whose token has more than {TOKEN_LENGTH:,} characters.")
            return [item]
        case ImageData():
            return [item]
    return [msgspec.structs.replace(item, seq=0, attempt=0)]


def _code(code: object) -> str:
    return code if isinstance(code, str) and code in CODES else ProviderError.code


def _bounded(words: str, errors: ErrorBuilder) -> str:
    return errors.redacted(words)[:MESSAGE_LENGTH]


def _wait(seconds: object) -> float | None:
    if isinstance(seconds, int | float) and seconds <= _LONGEST_WAIT:  # NaN is not
        return float(max(0.0, seconds))
    return None


def _check_figures(usage: Usage) -> None:
    # They are added up with those of all other jobs, which one that is out of all bounds would make worthless.
    for name in ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"):
        if not 0 <= (getattr(usage, name) or 0) < MOST_TOKENS:
            raise PluginError(f"It yielded a Usage that cannot be meant: {name} is {getattr(usage, name)}.")
    if not 0 <= (usage.cost or 0.0) < MOST_USD:
        raise PluginError(f"It yielded a Usage that cannot be meant: cost is {usage.cost} USD.")
