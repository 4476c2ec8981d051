"""Protocols of wire formats: requests, decoders, and formats that can resume a response."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from ...core.errors import ProviderError
from ...core.job import Job
from ...core.messages import Part
from ..errors import ErrorBuilder
from ..port import ProviderEvent


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, without the endpoint's part."""

    path: str  # added to the endpoint's base_url
    body: bytes | None = None  # JSON of a POST, which may be empty; None: a GET
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Request({self.path!r})"  # without the prompt


class Decoder(Protocol):
    """Decodes the bytes of one response into events, wherever they are cut.

    The stream ends with the format's own end signal, or with an error. Errors come last: events before them in the
    same bytes are returned, and ``ended`` is set. So the caller feeds until ``ended`` or the body's end, closes, and
    then raises ``error`` if there is one.
    """

    error: ProviderError | None  # how the stream failed; final once the decoder is closed
    ended: bool  # no further data can change the answer

    @property
    def unfinished(self) -> int:
        """Number of bytes of an event that has not ended yet."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the answer is complete; data after it, such as usage, may be missing."""
        ...

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Return the events in the data; none once the stream has ended. Never raise."""
        ...

    def close(self, broken: ProviderError | None = None) -> list[ProviderEvent]:
        """Return the last events; see ``StreamDecoder.close``."""
        ...


class Format(Protocol):
    """One wire format. Stateless."""

    name: str  # as in the ``format`` of an endpoint
    title: str  # for users
    media_type: str  # of its stream
    models: Request  # for the list of models

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        ...

    def unsupported(self, part: Part) -> str | None:
        """Return why a message part cannot be sent, as sentences; None if it can."""
        ...

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return a job's request; raise ProviderError (``bad_request``)."""
        ...

    def decoder(self, errors: ErrorBuilder) -> Decoder:
        """Return a decoder for one response."""
        ...

    def model_names(self, listing: Any) -> list[str]:
        """Return the names in a response to ``models``."""
        ...


Refused = Literal["gone", "no_stream"]  # a response that is no longer stored, or has no stream any more


class ResumableDecoder(Decoder, Protocol):
    """A decoder that also yields Resume tokens, and accepts the whole response."""

    @property
    def token(self) -> str | None:
        """Token to resume after all events so far; None if the response cannot be resumed."""
        ...

    def apply_snapshot(self, response: Any) -> list[ProviderEvent]:
        """Return the new events in the whole response, which may not have ended. Never raise."""
        ...


class ResumableFormat(Format, Protocol):
    """A format whose providers can continue a response without a reader; tokens come from its decoder."""

    def background_request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return a request for such a response; raise ProviderError (``bad_request``)."""
        ...

    def decoder(self, errors: ErrorBuilder, token: str | None = None) -> ResumableDecoder:
        """Return a decoder for a response, or for its rest after a token."""
        ...

    def resume(self, token: str) -> Request:
        """Return a request for a stream of the rest of a response."""
        ...

    def retrieve(self, token: str) -> Request:
        """Return a request for the whole response as JSON, for ``apply_snapshot``."""
        ...

    def cancel(self, token: str) -> Request:
        """Return a request that cancels a response."""
        ...

    def resume_refusal(self, error: ProviderError) -> Refused | None:
        """Return what an error of ``resume`` or ``retrieve`` means; None for other errors."""
        ...
