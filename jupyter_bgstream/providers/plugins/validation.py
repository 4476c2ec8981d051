"""Validation of events from plug-ins before they are stored: an event that cannot be decoded would break every list.

Neither Python nor msgspec checks the fields of an event when it is constructed.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from ...core.errors import ProviderError
from ...core.events import Citation, Completed, Delta, ToolCall, Usage
from ...core.state import ErrorInfo
from ..context_window import length_of
from ..errors import CODES, ErrorBuilder
from ..formats.stream_decoder import MAX_COUNT, MAX_USD, TOKENS
from ..port import MAX_MODELS, ImageData, ProviderEvent, ProviderStatus, Resume

MAX_DELTA = 64 * 1024  # characters
MAX_BATCH = 256 * 1024  # characters
MESSAGE_LENGTH = 1000  # characters of a plug-in's error message
TOKEN_LENGTH = 64 * 1024  # characters
_MAX_RETRY_AFTER = 1e9  # seconds

S = TypeVar("S", bound=msgspec.Struct)


class PluginError(Exception):
    """Invalid behaviour of a plug-in, as a sentence."""


def checked(item: S) -> S:
    """Return a value as it will be decoded from the store; raise PluginError if that fails, or for absurd counts."""
    kind = type(item).__name__
    try:
        fresh = msgspec.json.decode(msgspec.json.encode(item), type=type(item))
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, OverflowError) as error:
        raise PluginError(f"It yielded an invalid {kind}: {error}.") from None
    if isinstance(fresh, Usage):
        _check_counts(fresh)
    return fresh


def checked_batch(batch: Any) -> list[ProviderEvent]:
    """Return the valid events of a batch of a plug-in's own Provider; raise PluginError."""
    if not isinstance(batch, list | tuple):
        raise PluginError(f"It yielded {type(batch).__name__}, not a list of events.")
    events: list[ProviderEvent] = []
    for item in batch:
        if not isinstance(item, Delta | Usage | Citation | ToolCall | ImageData | Completed | Resume):
            raise PluginError(f"It yielded {type(item).__name__}, which is not an event of a Provider.")
        if events and isinstance(events[-1], Completed):
            raise PluginError(f"It yielded {type(item).__name__} after Completed, which must be the last event.")
        events += _normalized(checked(item))
    return events


def checked_status(status: Any, errors: ErrorBuilder) -> ProviderStatus:
    """Return the status of a plug-in's own Provider, bounded and without keys; raise PluginError."""
    if not isinstance(status, ProviderStatus):
        raise PluginError(f"Its status is a {type(status).__name__}, not a ProviderStatus.")
    fresh = checked(status)
    models = tuple(filter(errors.is_clean, fresh.models[:MAX_MODELS]))
    error = checked_error_info(fresh.error, errors)
    note = None if fresh.note is None else _bounded(fresh.note, errors)
    return msgspec.structs.replace(fresh, kind=errors.label(fresh.kind), models=models, error=error, note=note)


def checked_error_info(info: Any, errors: ErrorBuilder) -> ErrorInfo | None:
    """Return the config error of a plug-in's own Provider, bounded and without keys; raise PluginError."""
    if info is None:
        return None
    if not isinstance(info, ErrorInfo):
        raise PluginError(f"Its config_error is a {type(info).__name__}, not an ErrorInfo.")
    fresh = checked(info)
    return ErrorInfo(code=_code(fresh.code), message=_bounded(fresh.message, errors))


def checked_exception(error: BaseException, errors: ErrorBuilder) -> ProviderError:
    """Return a plug-in's exception as an error that can be stored, bounded and without keys."""
    match error:
        case ProviderError(code="context_too_long"):
            message = safe_text(error.message)
            return errors.too_long(message, length_of(None, message))
        case ProviderError():
            return ProviderError(
                _bounded(safe_text(error.message), errors),
                code=_code(error.code),
                transient=error.transient is True,
                retry_after=_retry_after(error.retry_after),
            )
        case PluginError():
            return errors.plugin_error(safe_text(error))
        case asyncio.CancelledError():
            return errors.plugin_error("It cancelled itself.")
    message = safe_text(error)
    return errors.plugin_error(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def safe_text(value: object) -> str:
    """Return a foreign value, such as an exception, as text that can be stored."""
    try:
        text = str(value)
    except Exception as error:
        return f"(It cannot be converted to text: {type(error).__name__}.)"
    return str.__str__(text).encode("utf-8", "replace").decode()  # lone surrogates are replaced


def size_of(item: object) -> int:
    """Return the cost of an event in characters: a nearly empty one costs as much as one of 100."""
    match item:
        case Delta():
            return max(100, len(item.text))
        case ToolCall():
            return 100 + len(item.arguments)
    return 100


def split_batches(events: Sequence[ProviderEvent]) -> Iterator[list[ProviderEvent]]:
    """Split events into bounded batches, so that the engine detects an answer that is too long before writing it."""
    batch: list[ProviderEvent] = []
    size = 0
    for item in events:
        batch.append(item)
        size += size_of(item)
        if size > MAX_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def split_delta(delta: Delta) -> list[Delta]:
    """Split a delta into pieces of at most MAX_DELTA characters; an empty one yields none."""
    starts = range(0, len(delta.text), MAX_DELTA)
    return [Delta(channel=delta.channel, text=delta.text[at : at + MAX_DELTA]) for at in starts]


def _normalized(item: ProviderEvent) -> list[ProviderEvent]:
    # The store sets the numbers of an event.
    match item:
        case Delta():
            return [*split_delta(item)]
        case Resume():
            if len(item.token) > TOKEN_LENGTH:
                raise PluginError(f"It yielded a Resume whose token has more than {TOKEN_LENGTH:,} characters.")
            return [item]
        case ImageData():
            return [item]
    return [msgspec.structs.replace(item, seq=0, attempt=0)]


def _code(code: object) -> str:
    return code if isinstance(code, str) and code in CODES else ProviderError.code


def _bounded(message: str, errors: ErrorBuilder) -> str:
    return errors.redacted(message)[:MESSAGE_LENGTH]


def _retry_after(seconds: object) -> float | None:
    if isinstance(seconds, int | float) and seconds <= _MAX_RETRY_AFTER:  # false for NaN
        return float(max(0.0, seconds))
    return None


def _check_counts(usage: Usage) -> None:
    # They are added to those of all other jobs, which one absurd value would make useless.
    for name in TOKENS:
        if not 0 <= (getattr(usage, name) or 0) < MAX_COUNT:
            raise PluginError(f"It yielded an invalid Usage: {name} is {getattr(usage, name)}.")
    if not 0 <= (usage.cost or 0.0) < MAX_USD:
        raise PluginError(f"It yielded an invalid Usage: cost is {usage.cost} USD.")
