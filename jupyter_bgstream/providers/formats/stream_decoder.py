"""Base class of decoders: finds events, errors and the end of the answer in the bytes of a response. No socket."""

import json
import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from ...core.errors import ProviderError
from ...core.events import Channel, Citation, Completed, Delta, ToolCall, Usage
from ...core.job import Job
from ..errors import ErrorBuilder, is_error
from ..port import ImageData, ProviderEvent
from .framing import CUT, STRAY_BYTES, BodyParser, ServerEvent
from .lenient_json import NoEventError, Schema, SurrogateJoiner, UnfitEventError, clean, joined, parse

MAX_ERROR_LENGTH = 64 * 1024  # characters; a longer event is not an error report
DONE = "[DONE]"  # ends a stream of most formats

log = logging.getLogger(__name__)

UNTYPED_IN_A_ROW = 8  # events without the format's types, after which all of the stream are decoded without types
MAX_VALUES = 500_000  # in one JSON document: each takes some hundred bytes once it is decoded, and time
MAX_COUNT = 10**12  # of one kind in one answer: more is a mistake, and databases must be able to hold a sum of many
TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")  # of Usage
MAX_USD = 1e6  # of one answer
DEEP = "An event is nested too deeply to be read."


class StreamDecoder:
    """Base class of decoders: reads events and handles errors; a subclass implements ``handle`` for each event.

    It decodes the bytes of one response into events, wherever they are cut. The subclass sets ``finish_reason`` when
    the format signals a complete answer, and ``ended`` at the end of the stream. Errors come last: events before them
    in the same bytes are returned, and ``ended`` is set. So the caller feeds until ``ended`` or the body's end, closes,
    and then raises ``error`` if there is one.
    """

    schema: ClassVar[Schema[Any]]

    def __init__(self, errors: ErrorBuilder) -> None:
        self.error: ProviderError | None = None  # how the stream failed; final once the decoder is closed
        self.finish_reason: str | None = None  # as the provider sends it: stop, length, content_filter, …
        self.ended = False  # no further data can change the answer
        self._errors = errors
        self._body = BodyParser()
        self._typed = self.schema.typed
        self._noise: str | None = None  # non-event data after the last event; None: there was no event yet
        self._stray = ""  # the first non-event data before any event
        self._splits = False  # there was half a surrogate pair
        self._untyped_in_a_row = 0
        self._untyped_is_json = True
        self._surrogates = SurrogateJoiner()
        self._images: set[tuple[int, int]] = set()  # hashes and lengths of images so far
        self._is_cut = False  # whether base64 was left out of an event
        self._closed = False

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete."""
        return self.finish_reason is not None

    @property
    def unfinished(self) -> int:
        """Number of bytes of an event that has not ended yet."""
        return self._body.unfinished

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Return the events in the data; none once the stream has ended. Never raise."""
        events: list[ProviderEvent] = []
        if self.ended:
            return events

        try:
            for event in self._parsed(data):
                if has_too_many_values(event.data):
                    raise self._errors.error("event_too_large", f"It has more than {MAX_VALUES:,} values.")
                self._is_cut = self._is_cut or event.is_cut
                if event.data:  # else a heartbeat
                    self._event(event, events)
                if self._is_cut:
                    self._check_cut(events)
                if self.ended:
                    break
        except ProviderError as error:
            self._fail(error)
        except RecursionError:
            self._fail(self._errors.error("malformed_stream", DEEP))
        return self._cleaned(events) if self._splits else events

    def close(self, broken: ProviderError | None = None) -> list[ProviderEvent]:
        """Return the last events: tool calls, usage and Completed, whose ``at`` the engine sets.

        A last event counts if it lacks only its line end. ``broken`` is how the connection failed, if it did; an answer
        that is complete stays so. Of a stream that failed, only the text of the last event and the usage are returned,
        and ``error`` is set: the reported one, ``malformed_stream``, ``event_too_large``, ``broken``, or ``truncated``.
        A second call returns nothing.
        """
        if self._closed:
            return []
        self._closed = True
        events: list[ProviderEvent] = []
        try:
            if not self.ended:
                self._last(events)
            self.finalize(events)
        except ProviderError as error:
            self._fail(error)
        except RecursionError:
            pass  # in an event that is cut off
        self.ended = True
        events += [Delta(channel=channel, text=text) for channel, text in self._surrogates.rest().items()]
        usage = self.usage()
        counts: list[ProviderEvent] = [] if usage is None else [usage]
        if self.error is None and self.finish_reason is not None:
            events += [*self.tool_calls(), *counts, Completed(at=0.0, finish_reason=self.finish_reason)]
        else:
            self.error = self.error or self._no_stream(broken) or broken or self._truncated()
            events += counts
        return self._cleaned(events) if self._splits else events

    def handle(self, parsed: Any, event: ServerEvent, events: list[ProviderEvent]) -> None:
        """Append what one event holds; raise ProviderError for a reported error or an unreadable event."""
        raise NotImplementedError

    def finalize(self, events: list[ProviderEvent]) -> None:
        """Append events that are only known at the end of the stream."""

    def usage(self) -> Usage | None:
        """Return the usage at the end."""
        return None

    def tool_calls(self) -> list[ToolCall]:
        """Return the tool calls that were not yielded before the end."""
        return []

    def payload_error(self, payload: Any) -> ProviderError:
        """Return the error that a provider reports as a JSON value or as text."""
        return self._errors.payload_error(payload)

    def event_error(self, event: ServerEvent) -> ProviderError:
        """Return the error that an event reports."""
        return self.payload_error(payload_of(event.data))

    def handle_unknown(self, event: ServerEvent) -> None:
        """Raise ProviderError if an event without any field of the format reports an error."""
        if len(event.data) <= MAX_ERROR_LENGTH and is_error(payload := payload_of(event.data)):
            raise self.payload_error(payload)

    def add_text(self, channel: Channel, text: str, events: list[ProviderEvent]) -> None:
        """Append text of the answer; a character may be split over two events."""
        if self._splits:
            text = self._surrogates.join(channel, text)
        if text:
            events.append(Delta(channel=channel, text=text))

    def add_image(self, image: ImageData, events: list[ProviderEvent]) -> None:
        """Append an image, unless it was yielded before: some providers repeat theirs."""
        if self._is_cut and CUT in image.data:
            image = ImageData(is_cut=True)
        source = image.data or image.url
        key = (hash(source), len(source))
        if not source or key not in self._images:
            self._images.add(key)
            events.append(image)

    def type_error(self, field: str, value: Any) -> ProviderError:
        """Return the error of a required field with a value of a wrong type."""
        return self._errors.error("malformed_stream", f"{field} has the type {type(value).__name__}.")

    def _check_cut(self, events: list[ProviderEvent]) -> None:
        # Base64 left out of an image costs the image. Any other text with a gap must not pass as complete.
        for item in events:
            text = item.text if isinstance(item, Delta) else item.arguments if isinstance(item, ToolCall) else ""
            if CUT in text:
                events.remove(item)
                raise self._errors.error("event_too_large", "A part of its text was left out.")

    def _event(self, event: ServerEvent, events: list[ProviderEvent]) -> None:
        if self._untyped_in_a_row >= UNTYPED_IN_A_ROW:  # all events of this provider are: a typed attempt costs as much
            self._untyped(event, events, is_json=self._untyped_is_json)
            return
        try:
            parsed = self._typed(event.data)
        except msgspec.ValidationError:
            self._untyped(event, events)
        except (msgspec.DecodeError, RecursionError):
            self._untyped(event, events, is_json=False)
        else:
            self._noise = ""
            self._untyped_in_a_row = 0
            self.handle(parsed, event, events)

    def _untyped(self, event: ServerEvent, events: list[ProviderEvent], *, is_json: bool = True) -> None:
        # An event with other types than the format's, or no event.
        if event.data == DONE:
            self._noise = ""
            self.ended = True
            return
        try:
            parsed, splits = self.schema.untyped(event.data, is_json=is_json)
        except NoEventError:
            self._non_event(event, events)
            return
        except UnfitEventError as error:
            payload = payload_of(event.data)
            if is_error(payload):
                raise self.payload_error(payload) from None
            raise self._errors.error("malformed_stream", f"{error}: {event.data}") from None
        self._noise = ""
        self._splits = self._splits or splits
        self._untyped_in_a_row += 1
        self._untyped_is_json = is_json
        self.handle(parsed, event, events)

    def _non_event(self, event: ServerEvent, events: list[ProviderEvent]) -> None:
        # Events in a list, an error as text, or a heartbeat.
        if event.type == "error":
            raise self.event_error(event)
        if self._noise is None:
            self._stray = self._stray or event.data[:STRAY_BYTES]
        else:
            self._noise = event.data[:STRAY_BYTES]
        if event.data.startswith("["):
            for item in parse(event.data):
                if isinstance(item, dict) and not self.ended:
                    self._event(ServerEvent(event.type, json.dumps(item), event.id), events)

    def _last(self, events: list[ProviderEvent]) -> None:
        try:
            last = list(self._body.end())
        except ProviderError:
            return  # half a character
        for event in last:
            try:
                parse(event.data)
            except (NoEventError, UnfitEventError):
                if event.data != DONE:
                    return  # half an event
            self._event(event, events)

    def _fail(self, error: ProviderError) -> None:
        self.ended = True
        if not self.is_complete:
            self.error = error
        else:  # the answer stays complete
            log.warning("error after the end of an answer: %s", error.message)

    def _truncated(self) -> ProviderError:
        # A response without a byte costs nothing, so it is transient.
        return self._errors.error("truncated", self._noise or "", transient=self._body.is_empty)

    def _no_stream(self, broken: ProviderError | None) -> ProviderError | None:
        if broken is not None and broken.code != "truncated":
            return None  # the connection's error is more specific
        if self._noise is None and (stray := self._body.stray or self._stray.encode()):
            return self._errors.no_stream_error(stray)
        return None

    def _cleaned(self, events: list[ProviderEvent]) -> list[ProviderEvent]:
        # Texts are joined in add_text; other fields must not hold half a pair either.
        return [
            msgspec.structs.replace(each, **{name: joined(getattr(each, name)) for name in _NAMES[type(each)]})
            if type(each) in _NAMES
            else each
            for each in events
        ]

    def _parsed(self, data: bytes) -> Iterator[ServerEvent]:
        try:
            yield from self._body.feed(data)
        except ProviderError as error:  # the parser does not know the provider
            raise self._errors.error(error.code, error.message) from None


_NAMES: dict[type, tuple[str, ...]] = {
    ToolCall: ("id", "name", "arguments"),
    Citation: ("url", "title"),
    Completed: ("finish_reason",),
}


def payload_of(text: str) -> Any:
    """Return the JSON value of an event, without lone surrogates; the text itself if it is not JSON."""
    try:
        return clean(parse(text))
    except (NoEventError, UnfitEventError):
        return text


def has_too_many_values(json: str) -> bool:
    """Return whether JSON may have more than MAX_VALUES values; commas and brackets in strings count too."""
    return len(json) > MAX_VALUES and json.count(",") + json.count("[") + json.count("{") > MAX_VALUES


def decode_json(body: bytes, errors: ErrorBuilder) -> Any:
    """Decode a whole JSON body; raise ProviderError if it is not JSON or has too many values."""
    text = body.decode(errors="replace")
    if has_too_many_values(text):
        raise errors.error("malformed_stream", f"The response has more than {MAX_VALUES:,} values.")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return clean(parse(text))
    except (NoEventError, UnfitEventError, RecursionError):
        raise errors.no_stream_error(body) from None


def model_name(job: Job) -> str:
    """Return the model's name at the provider: the part after the first slash."""
    return job.spec.model.partition("/")[2]


def known_sum(*counts: int | None) -> int | None:
    """Return the sum of the known counts; None if none is known."""
    known = [number for number in counts if number is not None]
    return sum(known) if known else None


def count(found: Any, *path: str) -> int | None:
    """Return a number of tokens inside a JSON object, if there is one."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return int(found) if 0 <= found < MAX_COUNT else None
