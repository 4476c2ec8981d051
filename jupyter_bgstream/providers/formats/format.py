"""Base class of wire formats, and their requests."""

from typing import Any

import msgspec

from ...core.job import Job
from ...core.messages import Part
from ..errors import ErrorBuilder
from .conversation import unsupported_part
from .lenient_json import list_of
from .stream_decoder import StreamDecoder


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, without the endpoint's part."""

    path: str  # added to the endpoint's base_url
    body: bytes | None = None  # JSON of a POST, which may be empty; None: a GET
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Request({self.path!r})"  # without the prompt


class Format:
    """One wire format. Stateless."""

    name: str  # as in the ``format`` of an endpoint
    title: str  # for users
    media_type = "text/event-stream"  # of its stream
    models = Request(path="/models")  # for the list of models
    pdf = False  # accepts PDF files
    audio = False  # accepts audio

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {key}"}

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return a job's request; raise ProviderError (``bad_request``)."""
        raise NotImplementedError

    def decoder(self, errors: ErrorBuilder) -> StreamDecoder:
        """Return a decoder for one response."""
        raise NotImplementedError

    def unsupported(self, part: Part) -> str | None:
        """Return why a message part cannot be sent; None if it can."""
        return unsupported_part(part, self.title, pdf=self.pdf, audio=self.audio)

    def model_names(self, listing: Any) -> list[str]:
        """Return the names in ``{"data": [{"id": …}]}``; some services omit the envelope."""
        items = listing.get("data") if isinstance(listing, dict) else listing
        found = [item.get("id") for item in list_of(items) if isinstance(item, dict)]
        return sorted(name for name in found if isinstance(name, str))
