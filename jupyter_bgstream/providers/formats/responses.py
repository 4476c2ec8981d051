"""OpenAI's Responses, as OpenAI, Azure, xAI, LM Studio, vLLM and others speak it: a request out, a stream in.

Wire format: https://platform.openai.com/docs/api-reference/responses-streaming. Asked for in the background, the
service goes on while nobody reads, and a reader may come back behind any ``sequence_number``:
https://platform.openai.com/docs/guides/background. Such a stream begins without ``response.created``.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from ...core.errors import ProviderError
from ...core.job import Job
from ...core.messages import Part
from ..errors import ErrorBuilder
from .base import Refused, Request
from .responses_decoder import Place, ResponsesDecoder, read_place
from .responses_request import lacks, request_body

_NO_LONGER_STREAMED = re.compile(r"no longer be streamed|cannot be streamed|minutes old", re.I)
_FORGOTTEN = re.compile(r"not found|no longer (available|exists?)|expired|was deleted|does not exist", re.I)


class Responses:
    """The format; a Lasting."""

    name = "responses"
    title = "Responses"
    media_type = "text/event-stream"
    models = Request(path="/models")

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {key}"}

    def lacks(self, part: Part) -> str | None:
        """Return why a part cannot be sent; None if it can."""
        return lacks(part)

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for an answer that ends with its connection, unless the job's params say otherwise."""
        return Request(path="/responses", body=request_body(job, errors, background=False))

    def lasting(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for an answer that goes on while nobody reads."""
        return Request(path="/responses", body=request_body(job, errors, background=True))

    def resume(self, token: str) -> Request:
        """Return the request for what comes after a token."""
        place = read_place(token)
        after = f"&starting_after={place.after}" if place.after >= 0 else ""
        return Request(path=f"{_path(place)}?stream=true{after}")

    def look(self, token: str) -> Request:
        """Return the request for the answer as it is now, without a stream."""
        return Request(path=_path(read_place(token)))

    def cancel(self, token: str) -> Request:
        """Return the request that ends the answer."""
        return Request(path=f"{_path(read_place(token))}/cancel", body=b"")

    def decoder(self, errors: ErrorBuilder, token: str | None = None) -> ResponsesDecoder:
        """Return a decoder for one answer, or for what comes after a token."""
        return ResponsesDecoder(errors, token)

    def refused(self, error: ProviderError) -> Refused | None:
        """Return what a refusal to go on means: ``gone``, ``no_stream`` (but it can be looked at), or nothing of both.

        OpenAI streams an answer again only in its first five minutes or so.
        """
        if error.status == 400 and _NO_LONGER_STREAMED.search(error.message):
            return "no_stream"
        if error.status in (404, 410) or (error.status == 400 and _FORGOTTEN.search(error.message)):
            return "gone"
        return None

    def names(self, listing: Any) -> list[str]:
        """Return the names in ``{"data": [{"id": …}]}``."""
        items = listing.get("data") if isinstance(listing, dict) else listing
        found = [item.get("id") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        return sorted(name for name in found if isinstance(name, str))


def _path(place: Place) -> str:
    return f"/responses/{quote(place.id, safe='')}"
