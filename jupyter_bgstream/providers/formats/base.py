"""What a format is: how a job becomes a request, and how the bytes of its answer become events. No socket."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from ...core.errors import ProviderError
from ...core.events import Channel, Citation, Completed, Delta, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..base import ImageData, ProviderEvent
from ..errors import ErrorBuilder, is_error
from .lenient import Halves, NoEventError, Schema, UnfitEventError, clean, parse, whole
from .sse import CUT, STRAY_BYTES, BodyParser, ServerEvent

LONGEST_REPORT = 64 * 1024  # characters; what is longer reports no error
DONE = "[DONE]"  # ends a stream of most formats

log = logging.getLogger(__name__)

ODD_IN_A_ROW = 8  # events that do not have the types of the format; then none of the stream is tried with types
MOST_VALUES = 500_000  # in one JSON: each takes some hundred bytes once it is decoded, and time
MOST_TOKENS = 10**12  # of one kind in one answer: more is a mistake, and a sum of many must be one that databases hold
MOST_USD = 1e6  # of one answer
DEEP = "An event is nested too deeply to be read."


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, without what only the endpoint knows."""

    path: str  # is added to the endpoint's base_url
    body: bytes | None = None  # JSON, or nothing, of a POST; None: a GET
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Request({self.path!r})"  # without the prompt


class Decoder(Protocol):
    """Turns the bytes of one answer into events, however they were cut. Its end is the format's own, or a failure.

    Errors wait their turn: what was said before them in the same bytes is returned, and ``ended`` is set. So the
    caller feeds until ``ended`` or the body's end, closes, and then raises ``error`` if there is one.
    """

    error: ProviderError | None  # how the stream failed; known for sure once it is closed
    ended: bool  # nothing that follows can change the answer

    @property
    def unfinished(self) -> int: ...  # bytes of an event that has not ended yet

    @property
    def settled(self) -> bool: ...  # the answer is whole; what follows, such as usage, may be missing
    def feed(self, data: bytes) -> list[ProviderEvent]: ...  # nothing once the stream has ended; never raises
    def close(self, broken: ProviderError | None = None) -> list[ProviderEvent]: ...  # the end; see StreamDecoder


class Format(Protocol):
    """One wire format. Stateless."""

    name: str  # as in the ``format`` of an endpoint
    title: str  # as users read it
    media_type: str  # of its stream
    models: Request  # asks which models there are

    def headers(self, key: str) -> dict[str, str]: ...  # how it takes a key
    def lacks(self, part: Part) -> str | None: ...  # why it cannot be sent a part, as sentences; None: it can
    def request(self, job: Job, errors: ErrorBuilder) -> Request: ...  # ProviderError: bad_request
    def decoder(self, errors: ErrorBuilder) -> Decoder: ...
    def names(self, listing: Any) -> list[str]: ...  # of the models in the answer to ``models``


Refused = Literal["gone", "no_stream"]  # an answer to go on with is forgotten, or can only be looked at


class ResumableDecoder(Decoder, Protocol):
    """Also says, by Resume, from where its service can be asked to go on, and takes an answer as a whole."""

    @property
    def token(self) -> str | None: ...  # from where, as of now; None if it cannot be asked to
    def state(
        self, response: Any
    ) -> list[ProviderEvent]: ...  # ends if the answer has; says what was not said; never raises


class ResumableFormat(Format, Protocol):
    """A format whose service can go on with an answer while nobody reads. A token is what its decoder says."""

    def lasting(
        self, job: Job, errors: ErrorBuilder
    ) -> Request: ...  # begins such an answer; ProviderError: bad_request
    def decoder(
        self, errors: ErrorBuilder, token: str | None = None
    ) -> ResumableDecoder: ...  # of what comes after a token
    def resume(self, token: str) -> Request: ...  # a stream of what comes after it
    def look(self, token: str) -> Request: ...  # JSON for ``state``, where there is no stream any more
    def cancel(self, token: str) -> Request: ...  # ends the answer at the service
    def refused(self, error: ProviderError) -> Refused | None: ...  # what a refusal of the first two means


class StreamDecoder:
    """What the decoders share: a subclass takes event after event, and says what was counted and called.

    It sets ``finish_reason`` when the format says that the answer is whole, and ``ended`` when nothing can follow.
    """

    schema: ClassVar[Schema[Any]]

    def __init__(self, errors: ErrorBuilder) -> None:
        self.error: ProviderError | None = None
        self.finish_reason: str | None = None  # one of the field's words: stop, length, content_filter, …
        self.ended = False
        self._errors = errors
        self._body = BodyParser()
        self._typed = self.schema.typed
        self._noise: str | None = None  # what came after the last event and is none; None: there was no event yet
        self._stray = ""  # the first of what came before
        self._splits = False  # there was half a surrogate pair
        self._odd_in_a_row = 0  # events that were read without types
        self._odd_is_json = True
        self._halves = Halves()
        self._pictures: set[tuple[int, int]] = set()  # that were shown, by their hashes and lengths
        self._is_cut = False  # whether base64 was left out of an event
        self._closed = False

    @property
    def settled(self) -> bool:
        """Whether the answer is whole."""
        return self.finish_reason is not None

    @property
    def unfinished(self) -> int:
        """How many bytes of an event are there that has not ended yet."""
        return self._body.unfinished

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Return what these bytes say; nothing once the stream has ended. Never raises."""
        said: list[ProviderEvent] = []
        if self.ended:
            return said
        try:
            for event in self._parsed(data):
                if crowded(event.data):
                    raise self._errors.error("event_too_large", f"It has more than {MOST_VALUES:,} values.")
                self._is_cut = self._is_cut or event.is_cut
                if event.data:  # else a heartbeat
                    self._event(event, said)
                if self._is_cut:
                    self._check_cut(said)
                if self.ended:
                    break
        except ProviderError as error:
            self._fail(error)
        except RecursionError:
            self._fail(self._errors.error("malformed_stream", DEEP))
        return self._cleaned(said) if self._splits else said

    def close(self, broken: ProviderError | None = None) -> list[ProviderEvent]:
        """Return the end: tool calls, usage and Completed, whose ``at`` is for the engine to set.

        A last event counts that is whole but for its line end. ``broken`` is how the connection failed, if it did; once
        the answer is whole that takes nothing from it. Of a stream that failed only the text of that event and the
        usage are returned, and ``error`` is set: what the stream reported, ``malformed_stream``, ``event_too_large``,
        ``broken``, or ``truncated``. A second call returns nothing.
        """
        if self._closed:
            return []
        self._closed = True
        said: list[ProviderEvent] = []
        try:
            if not self.ended:
                self._last(said)
            self.complete(said)
        except ProviderError as error:
            self._fail(error)
        except RecursionError:
            pass  # what the body ended in the middle of
        self.ended = True
        said += [Delta(channel=channel, text=text) for channel, text in self._halves.rest().items()]
        usage = self.usage()
        counted: list[ProviderEvent] = [] if usage is None else [usage]
        if self.error is None and self.finish_reason is not None:
            said += [*self.tool_calls(), *counted, Completed(at=0.0, finish_reason=self.finish_reason)]
        else:
            self.error = self.error or self._no_stream(broken) or broken or self._truncated()
            said += counted
        return self._cleaned(said) if self._splits else said

    def take(self, found: Any, event: ServerEvent, said: list[ProviderEvent]) -> None:
        """Add what one event says; raises ProviderError for an error that it reports, or if it cannot be read."""
        raise NotImplementedError

    def complete(self, said: list[ProviderEvent]) -> None:
        """Add what could not be said before the end of the stream."""

    def usage(self) -> Usage | None:
        """Return what was counted, at the end."""
        return None

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls that were not yet said, at the end."""
        return []

    def reported(self, payload: Any) -> ProviderError:
        """Return the error that the service reports by a JSON value, or by words that are none."""
        return self._errors.payload_error(payload)

    def report(self, event: ServerEvent) -> ProviderError:
        """Return the error that an event reports."""
        return self.reported(payload_of(event.data))

    def strange(self, event: ServerEvent) -> None:
        """Take an event in which there is nothing of the format; raises ProviderError if it reports an error."""
        if len(event.data) <= LONGEST_REPORT and is_error(payload := payload_of(event.data)):
            raise self.reported(payload)

    def say(self, channel: Channel, text: str, said: list[ProviderEvent]) -> None:
        """Add text of the answer, of which the service may have cut a character in two."""
        if self._splits:
            text = self._halves.join(channel, text)
        if text:
            said.append(Delta(channel=channel, text=text))

    def show(self, picture: ImageData, said: list[ProviderEvent]) -> None:
        """Add a picture of the answer; one that was shown already is not shown again: some services repeat theirs."""
        if self._is_cut and CUT in picture.data:
            picture = ImageData(is_cut=True)
        source = picture.data or picture.url
        mark = (hash(source), len(source))
        if not source or mark not in self._pictures:
            self._pictures.add(mark)
            said.append(picture)

    def unreadable(self, what: str, found: Any) -> ProviderError:
        """Return the error of a field that is needed and has a value of a wrong type."""
        return self._errors.error("malformed_stream", f"{what} is of the type {type(found).__name__}.")

    def _check_cut(self, said: list[ProviderEvent]) -> None:
        # What is left out of a picture costs the picture. What is left out of anything else must not pass for whole.
        for item in said:
            text = item.text if isinstance(item, Delta) else item.arguments if isinstance(item, ToolCall) else ""
            if CUT in text:
                said.remove(item)
                raise self._errors.error("event_too_large", "It has a text of which a part was left out.")

    def _event(self, event: ServerEvent, said: list[ProviderEvent]) -> None:
        if self._odd_in_a_row >= ODD_IN_A_ROW:  # all that this service sends will be so: to fail first costs as much
            self._odd(event, said, is_json=self._odd_is_json)
            return
        try:
            found = self._typed(event.data)
        except msgspec.ValidationError:
            self._odd(event, said)
        except (msgspec.DecodeError, RecursionError):
            self._odd(event, said, is_json=False)
        else:
            self._noise = ""
            self._odd_in_a_row = 0
            self.take(found, event, said)

    def _odd(self, event: ServerEvent, said: list[ProviderEvent], *, is_json: bool = True) -> None:
        # What does not have the shape of an event, or is none.
        if event.data == DONE:
            self._noise = ""
            self.ended = True
            return
        try:
            found, splits = self.schema.untyped(event.data, is_json=is_json)
        except NoEventError:
            self._no_object(event, said)
            return
        except UnfitEventError as error:
            payload = payload_of(event.data)
            if is_error(payload):
                raise self.reported(payload) from None
            raise self._errors.error("malformed_stream", f"{error}: {event.data}") from None
        self._noise = ""
        self._splits = self._splits or splits
        self._odd_in_a_row += 1
        self._odd_is_json = is_json
        self.take(found, event, said)

    def _no_object(self, event: ServerEvent, said: list[ProviderEvent]) -> None:
        # Events in a list, an error in words, or a heartbeat.
        if event.type == "error":
            raise self.report(event)
        if self._noise is None:
            self._stray = self._stray or event.data[:STRAY_BYTES]
        else:
            self._noise = event.data[:STRAY_BYTES]
        if event.data.startswith("["):
            for item in parse(event.data):
                if isinstance(item, dict) and not self.ended:
                    self._event(ServerEvent(event.type, json.dumps(item), event.id), said)

    def _last(self, said: list[ProviderEvent]) -> None:
        try:
            events = list(self._body.end())
        except ProviderError:
            return  # half a character
        for event in events:
            try:
                parse(event.data)
            except (NoEventError, UnfitEventError):
                if event.data != DONE:
                    return  # half an event
            self._event(event, said)

    def _fail(self, error: ProviderError) -> None:
        self.ended = True
        if not self.settled:
            self.error = error
        else:  # the answer is whole, and stays so
            log.warning("after the end of an answer: %s", error.message)

    def _truncated(self) -> ProviderError:
        # Nobody pays for an answer of no bytes.
        return self._errors.error("truncated", self._noise or "", transient=self._body.is_empty)

    def _no_stream(self, broken: ProviderError | None) -> ProviderError | None:
        if broken is not None and broken.code != "truncated":
            return None  # why it was left says more
        if self._noise is None and (stray := self._body.stray or self._stray.encode()):
            return self._errors.no_stream_error(stray)
        return None

    def _cleaned(self, said: list[ProviderEvent]) -> list[ProviderEvent]:
        # Texts are joined where they are said; nothing else may hold half a pair either.
        return [
            msgspec.structs.replace(each, **{name: whole(getattr(each, name)) for name in _NAMES[type(each)]})
            if type(each) in _NAMES
            else each
            for each in said
        ]

    def _parsed(self, data: bytes) -> Iterator[ServerEvent]:
        try:
            yield from self._body.feed(data)
        except ProviderError as error:  # the parser does not know whose stream it is
            raise self._errors.error(error.code, error.message) from None


_NAMES: dict[type, tuple[str, ...]] = {
    ToolCall: ("id", "name", "arguments"),
    Citation: ("url", "title"),
    Completed: ("finish_reason",),
}


def payload_of(text: str) -> Any:
    """Return the JSON value of an event, as clean text; the text itself where there is none."""
    try:
        return clean(parse(text))
    except (NoEventError, UnfitEventError):
        return text


def crowded(json: str) -> bool:
    """Whether some JSON may have more than MOST_VALUES values; commas and brackets in its strings count as well."""
    return len(json) > MOST_VALUES and json.count(",") + json.count("[") + json.count("{") > MOST_VALUES


def decoded(body: bytes, errors: ErrorBuilder) -> Any:
    """Return the JSON of a body that was read whole; raises ProviderError for what is none or has too many values."""
    text = body.decode(errors="replace")
    if crowded(text):
        raise errors.error("malformed_stream", f"Its answer has more than {MOST_VALUES:,} values.")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return clean(parse(text))
    except (NoEventError, UnfitEventError, RecursionError):
        raise errors.no_stream_error(body) from None


def model_name(job: Job) -> str:
    """Return the model's name as the provider knows it: what follows the first slash."""
    return job.spec.model.partition("/")[2]


def count(found: Any, *path: str) -> int | None:
    """Return a number of tokens deep in a JSON object, if there is one."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return int(found) if 0 <= found < MOST_TOKENS else None
