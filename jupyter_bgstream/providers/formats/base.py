"""What a format is: how a job becomes a request, and how the bytes of its answer become events. No socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from ...core.errors import ProviderError
from ...core.events import Completed, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..base import Said
from ..faults import Faults
from .sse import ServerEvent

MOST_TOKENS = 10**12  # of one kind in one answer: more is a mistake, and a sum of many must be one that databases hold
MOST_USD = 1e6  # of one answer


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
    def settled(self) -> bool: ...  # the answer is whole; what follows, such as usage, may be missing
    def feed(self, data: bytes) -> list[Said]: ...  # nothing once the stream has ended; never raises
    def close(self, broken: ProviderError | None = None) -> list[Said]: ...  # the end; see StreamDecoder


class Format(Protocol):
    """One wire format. Stateless."""

    name: str  # as in the ``format`` of an endpoint
    title: str  # as users read it
    media_type: str  # of its stream
    models: Request  # asks which models there are

    def headers(self, key: str) -> dict[str, str]: ...  # how it takes a key
    def lacks(self, part: Part) -> str | None: ...  # why it cannot be sent a part, as sentences; None: it can
    def request(self, job: Job, faults: Faults) -> Request: ...  # ProviderError: bad_request
    def decoder(self, faults: Faults) -> Decoder: ...
    def names(self, listing: Any) -> list[str]: ...  # of the models in the answer to ``models``


Refused = Literal["gone", "no_stream"]  # an answer to go on with is forgotten, or can only be looked at


class LastingDecoder(Decoder, Protocol):
    """Also says, by Resume, from where its service can be asked to go on, and takes an answer as a whole."""

    @property
    def token(self) -> str | None: ...  # from where, as of now; None if it cannot be asked to
    def state(self, response: Any) -> list[Said]: ...  # ends if the answer has; says what was not said; never raises


class Lasting(Format, Protocol):
    """A format whose service can go on with an answer while nobody reads. A token is what its decoder says."""

    def lasting(self, job: Job, faults: Faults) -> Request: ...  # begins such an answer; ProviderError: bad_request
    def decoder(self, faults: Faults, token: str | None = None) -> LastingDecoder: ...  # of what comes after a token
    def resume(self, token: str) -> Request: ...  # a stream of what comes after it
    def look(self, token: str) -> Request: ...  # JSON for ``state``, where there is no stream any more
    def cancel(self, token: str) -> Request: ...  # ends the answer at the service
    def refused(self, error: ProviderError) -> Refused | None: ...  # what a refusal of the first two means


class Reader(Protocol):
    """Turns bytes into the events of a transport: ``SSEParser``, ``LineParser``."""

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]: ...


class StreamDecoder:
    """What the decoders share: a subclass takes event after event, and says what was counted and called.

    It sets ``finish_reason`` when the format says that the answer is whole, and ``ended`` when nothing can follow.
    """

    reader: ClassVar[type[Reader]]

    def __init__(self, faults: Faults) -> None:
        self.error: ProviderError | None = None
        self.finish_reason: str | None = None  # one of the field's words: stop, length, content_filter, …
        self.ended = False
        self._faults = faults
        self._events = self.reader()
        self._closed = False

    @property
    def settled(self) -> bool:
        """Whether the answer is whole."""
        return self.finish_reason is not None

    def feed(self, data: bytes) -> list[Said]:
        """Return what these bytes say; nothing once the stream has ended. Never raises."""
        said: list[Said] = []
        if self.ended:
            return said
        try:
            for event in self._parsed(data):
                if event.data:  # else a heartbeat
                    self.take(event, said)
                if self.ended:
                    break
        except ProviderError as error:
            self.error = error
        except RecursionError:
            self.error = self._faults.error("malformed_stream", "An event is nested too deeply to be read.")
        self.ended = self.ended or self.error is not None
        return said

    def close(self, broken: ProviderError | None = None) -> list[Said]:
        """Return the end: tool calls, usage and Completed, whose ``at`` is for the engine to set.

        ``broken`` is how the connection failed, if it did; once the answer is whole that takes nothing from it. Of a
        stream that failed only its usage is returned, and ``error`` is set: what the stream reported,
        ``malformed_stream``, ``event_too_large``, ``broken``, or ``truncated``. A second call returns nothing.
        """
        self.ended = True
        if self._closed:
            return []
        self._closed = True
        usage = self.usage()
        counted: list[Said] = [] if usage is None else [usage]
        if self.error is None and self.finish_reason is not None:
            return [*self.tool_calls(), *counted, Completed(at=0.0, finish_reason=self.finish_reason)]
        self.error = self.error or broken or self._faults.error("truncated")
        return counted

    def take(self, event: ServerEvent, said: list[Said]) -> None:
        """Add what one event says; raises ProviderError for an error that it reports, or if it cannot be read."""
        raise NotImplementedError

    def usage(self) -> Usage | None:
        """Return what was counted, at the end."""
        return None

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls that were not yet said, at the end."""
        return []

    def _parsed(self, data: bytes) -> Iterator[ServerEvent]:
        try:
            yield from self._events.feed(data)
        except ProviderError as error:  # the parser does not know whose stream it is
            raise self._faults.error(error.code, error.message) from None


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
