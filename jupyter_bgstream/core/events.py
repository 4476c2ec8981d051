"""The events of a job's log.

An event is a frozen value. A provider or the engine makes it without a number; the store gives it ``seq`` and
``attempt`` in the transaction that appends it, and from then on it never changes. Wire forms: PROTOCOL.md, "Events".
"""

from typing import Literal

import msgspec

Channel = Literal["text", "reasoning"]
AttemptReason = Literal["first", "retry", "recovery"]
MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


class _Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
    tag_field="type",
    forbid_unknown_fields=False,
):
    seq: int = 0  # position in the log, dense from 1; 0 = not yet stored
    attempt: int = 0  # the attempt it belongs to; 0 = before the first


class Queued(_Event, frozen=True, kw_only=True, tag="queued"):
    """The job was stored."""

    at: float  # Unix seconds


class Attempt(_Event, frozen=True, kw_only=True, tag="attempt"):
    """An attempt began: a request to the provider."""

    at: float  # Unix seconds
    resumed: bool = False  # False: from the beginning; the text of an earlier attempt is discarded from the answer
    reason: AttemptReason = "first"


class Delta(_Event, frozen=True, kw_only=True, tag="delta"):
    """A piece of the answer. A run (several deltas joined for transport) has ``first``, the number of its first one."""

    channel: Channel
    text: str
    first: int = 0  # 0: a single delta


class Usage(_Event, frozen=True, kw_only=True, tag="usage"):
    """Token counts of this attempt; a later one replaces an earlier one."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None  # part of input_tokens, read from the provider's cache
    cache_write_tokens: int | None = None  # part of input_tokens, written to the cache
    reasoning_tokens: int | None = None  # part of output_tokens
    cost: float | None = None  # USD
    cost_estimated: bool = False  # True: by a price list; False: as the provider says


class Citation(_Event, frozen=True, kw_only=True, tag="source"):
    """A page that the provider names as a source of the answer."""

    url: str
    title: str = ""


class Image(_Event, frozen=True, kw_only=True, tag="image"):
    """An image of the answer. Its file is stored beside the log in the same transaction."""

    id: str  # <attempt>-<number>, unique in the job; the text names the image by this number
    media_type: MediaType  # by the content of the file
    bytes: int  # of the file


class ToolCall(_Event, frozen=True, kw_only=True, tag="tool_call"):
    """A tool call that the model requests; shown, not executed."""

    id: str
    name: str
    arguments: str  # as the model wrote it, usually JSON


class Waiting(_Event, frozen=True, kw_only=True, tag="waiting"):
    """The next attempt is delayed; the job occupies no slot until then."""

    at: float  # Unix seconds
    until: float  # Unix seconds
    code: str
    message: str


class Completed(_Event, frozen=True, kw_only=True, tag="completed"):
    """The provider has signalled the end of the answer."""

    at: float  # Unix seconds
    finish_reason: str  # the field's word: stop, length, content_filter, tool_calls, …


class Failed(_Event, frozen=True, kw_only=True, tag="failed"):
    """The job has failed."""

    at: float  # Unix seconds
    code: str
    message: str


class Cancelled(_Event, frozen=True, kw_only=True, tag="cancelled"):
    """A user cancelled the job."""

    at: float  # Unix seconds


class Interrupted(_Event, frozen=True, kw_only=True, tag="interrupted"):
    """The server that ran the job stopped."""

    at: float  # Unix seconds
    code: str
    message: str


End = Completed | Failed | Cancelled | Interrupted
Event = (
    Queued
    | Attempt
    | Delta
    | Usage
    | Citation
    | ToolCall
    | Image
    | Waiting
    | Completed
    | Failed
    | Cancelled
    | Interrupted
)
