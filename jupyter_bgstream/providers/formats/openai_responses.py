"""OpenAI's Responses, also of Azure, xAI, LM Studio, vLLM and others.

Wire format: https://platform.openai.com/docs/api-reference/responses-streaming. The provider continues a background
response without a reader, and a reader may continue after any ``sequence_number``:
https://platform.openai.com/docs/guides/background. Such a stream begins without ``response.created``.
"""

import re
from typing import Literal
from urllib.parse import quote

from ...core.errors import ProviderError
from ...core.job import Job
from ...core.messages import Part
from ..errors import ErrorBuilder
from .format import Format, Request
from .openai_responses_decoder import ResponsesDecoder, ResumePoint, read_resume_point
from .openai_responses_request import request_body, unsupported

_NO_STREAM = re.compile(r"no longer be streamed|cannot be streamed|minutes old", re.I)
_GONE = re.compile(r"not found|no longer (available|exists?)|expired|was deleted|does not exist", re.I)


Refused = Literal["gone", "no_stream"]  # a response that is no longer stored, or has no stream any more


class Responses(Format):
    """The format; its providers can continue a response without a reader. Tokens come from its decoder."""

    name = "responses"
    title = "Responses"

    def unsupported(self, part: Part) -> str | None:
        """Return why a message part cannot be sent; None if it can."""
        return unsupported(part)

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a response that ends with its connection, unless the job's params differ."""
        return Request(path="/responses", body=request_body(job, errors, background=False))

    def background_request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a response that continues without a reader."""
        return Request(path="/responses", body=request_body(job, errors, background=True))

    def resume(self, token: str) -> Request:
        """Return the request for the stream after a token."""
        point = read_resume_point(token)
        after = f"&starting_after={point.after}" if point.after >= 0 else ""
        return Request(path=f"{_path(point)}?stream=true{after}")

    def retrieve(self, token: str) -> Request:
        """Return the request for the whole response as it is now, without a stream."""
        return Request(path=_path(read_resume_point(token)))

    def cancel(self, token: str) -> Request:
        """Return the request that cancels the response."""
        return Request(path=f"{_path(read_resume_point(token))}/cancel", body=b"")

    def decoder(self, errors: ErrorBuilder, token: str | None = None) -> ResponsesDecoder:
        """Return a decoder for one response, or for its rest after a token."""
        return ResponsesDecoder(errors, token)

    def resume_refusal(self, error: ProviderError) -> Refused | None:
        """Return what an error of ``resume`` means: ``gone``, ``no_stream`` (it can be retrieved), or neither.

        OpenAI streams a response again only in its first five minutes or so.
        """
        if error.status == 400 and _NO_STREAM.search(error.message):
            return "no_stream"
        if error.status in (404, 410) or (error.status == 400 and _GONE.search(error.message)):
            return "gone"
        return None


def _path(point: ResumePoint) -> str:
    return f"/responses/{quote(point.id, safe='')}"
