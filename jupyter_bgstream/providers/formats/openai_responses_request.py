"""Requests in OpenAI's Responses format: a job as the body of ``POST /responses``.

Wire format: https://platform.openai.com/docs/api-reference/responses/create. Every turn is an item of ``input``, system
turns too: not every service supports ``instructions``.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ...core.job import Job
from ...core.messages import FilePart, ImagePart, Message, Part, TextPart
from ..errors import ErrorBuilder
from ..standard_parameters import Params, joined, read_params, reject_params
from .conversation import conversation, pdf_name, unsupported_part
from .json_schema import named_schema
from .stream_decoder import model_name


def request_body(job: Job, errors: ErrorBuilder, *, background: bool) -> bytes:
    """Return the JSON of a request.

    ``background`` says whether the provider continues the response without a reader; the job's parameters
    ``background`` and ``store`` take precedence. Only a background response is stored by default, for some minutes.
    Raises ProviderError (``bad_request``) for invalid params.
    """
    params = read_params(job.spec.params, errors)
    reject_params(params, ("stop", "seed"), "The Responses format", errors)
    rest = dict(params.rest)
    background = _flag(rest, "background", background, errors)
    body: dict[str, Any] = {
        "model": model_name(job),
        "input": [item for message in conversation(job, errors, unsupported) for item in _items(message)],
        "stream": True,
        "store": _flag(rest, "store", background, errors),
    }
    if background:
        body["background"] = True
    return msgspec.json.encode(joined(body | _named(params, rest), rest, errors))


def _named(params: Params, rest: dict[str, Any]) -> dict[str, Any]:
    # The standard parameters, by their names here.
    named: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_output_tokens": params.max_tokens,
    }
    if params.reasoning_effort is not None:
        named["reasoning"] = {"effort": params.reasoning_effort}
        own = rest.get("reasoning")
        if params.reasoning_effort != "none" and not (isinstance(own, dict) and "summary" in own):
            named["reasoning"]["summary"] = "auto"  # else the reasoning would be paid for and not shown
    if params.schema is not None:
        named["text"] = {"format": {"type": "json_schema", **named_schema(params.schema)}}
    return {name: value for name, value in named.items() if value is not None}


def _flag(rest: dict[str, Any], name: str, otherwise: bool, errors: ErrorBuilder) -> bool:
    value = rest.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise errors.error("bad_request", f"params: {name} must be true or false, not {value!r:.80}.")
    return otherwise if value is None else value


def unsupported(part: Part) -> str | None:
    """Return why a message part cannot be sent; None if it can."""
    return unsupported_part(part, "The Responses format", pdf=True, audio=False)


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return
    if message.text.strip() or not message.tool_calls:
        yield _turn(message)
    for call in message.tool_calls:
        arguments = call.arguments or "{}"
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def _turn(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str) or message.role == "assistant":
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part) for part in message.content]}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case ImagePart():
            return {"type": "input_image", "image_url": part.url, "detail": "auto"}
        case FilePart(is_pdf=True):
            return {"type": "input_file", "filename": pdf_name(part), "file_data": part.url}
        case FilePart():
            return {"type": "input_text", "text": part.as_text}
        case TextPart():
            return {"type": "input_text", "text": part.text}
    raise TypeError(f"The Responses format has no part for {type(part).__name__}.")
