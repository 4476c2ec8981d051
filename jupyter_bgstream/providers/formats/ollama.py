"""Ollama's own API, which streams one line of JSON for each piece of the answer.

Wire format: https://docs.ollama.com/api/chat and https://docs.ollama.com/api/errors.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ...core.errors import ProviderError
from ...core.events import ToolCall, Usage
from ...core.job import Job
from ...core.messages import Message
from ..context_window import Length
from ..errors import ErrorBuilder, message_in
from ..finish_reasons import text_of
from ..port import ProviderEvent
from ..standard_parameters import Params, joined, read_params
from .conversation import arguments_object, conversation
from .format import Format, Request
from .framing import ServerEvent
from .images import image_of
from .lenient_json import Schema, as_json
from .stream_decoder import StreamDecoder, count, model_name

CUT = (
    "This Ollama cut a request that was too long, although it was asked not to, so the answer does not cover all of it."
    " Update Ollama to 0.12.6 or later."
)

# Fields beside ``options`` in a request. Any other parameter of a job is one of the model's and goes into options.
_TOP = frozenset({"format", "keep_alive", "logprobs", "options", "shift", "think", "tools", "top_logprobs", "truncate"})
# Levels are for models that support them; others take each as "think".
_THINK: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}


class Ollama(Format):
    """The format."""

    name = "ollama"
    title = "Ollama"
    media_type = "application/x-ndjson"
    models = Request(path="/api/tags")

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job; raise ProviderError (``bad_request``) for contradictory params."""
        params = read_params(job.spec.params, errors)
        body: dict[str, Any] = {
            "model": model_name(job),
            "messages": list(_turns(conversation(job, errors, self.unsupported))),
            "stream": True,
        }
        if options := _options(params):
            body["options"] = options
        if params.reasoning_effort is not None:
            body["think"] = _THINK[params.reasoning_effort]
        if params.schema is not None:
            body["format"] = params.schema
        # By default Ollama drops the start of a request that is too long, and of the conversation while it answers,
        # without an error. Versions before 0.12.6 ignore these fields: see OllamaDecoder.
        body |= {name: False for name in ("truncate", "shift") if name not in params.rest}
        top = {name: value for name, value in params.rest.items() if name in _TOP}
        options = {name: value for name, value in params.rest.items() if name not in _TOP}
        body = joined(body, top, errors)
        if options:
            body = joined(body, {"options": options}, errors)
        return Request(path="/api/chat", body=msgspec.json.encode(body))

    def decoder(self, errors: ErrorBuilder) -> OllamaDecoder:
        """Return a decoder for one response."""
        return OllamaDecoder(errors)

    def model_names(self, listing: Any) -> list[str]:
        """Return the names in ``{"models": [{"name": …}]}``: the pulled models."""
        match listing:
            case {"models": list() as items}:
                found = [item.get("model") or item.get("name") for item in items if isinstance(item, dict)]
                return sorted(name for name in found if isinstance(name, str))
        return []


def _options(params: Params) -> dict[str, Any]:
    given = {
        "num_predict": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "stop": params.stops,
        "seed": params.seed,
    }
    return {name: value for name, value in given.items() if value is not None}


def _turns(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    names: dict[str | None, str] = {}  # of functions, by the ids of calls
    for message in messages:
        role = "system" if message.role == "developer" else message.role
        turn: dict[str, Any] = {"role": role, "content": message.text_with_files}
        if message.images:
            turn["images"] = [b64encode(image.data).decode() for image in message.images]
        if message.tool_calls:
            names |= {call.id: call.name for call in message.tool_calls}
            turn["tool_calls"] = [
                {"function": {"name": call.name, "arguments": arguments_object(call)}} for call in message.tool_calls
            ]
        if message.role == "tool":
            turn["tool_name"] = names[message.tool_call_id]
        yield turn


class _Function(msgspec.Struct, gc=False):
    name: str = ""
    arguments: Any = None  # an object


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function
    id: str | None = None  # of newer versions


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    images: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Line(msgspec.Struct, gc=False):
    message: _Message | None = None
    done: bool = False
    done_reason: Any = None
    prompt_eval_count: Any = None  # missing if all of the prompt was in the cache
    eval_count: Any = None
    error: Any = None


REQUIRED: dict[type, tuple[str, ...]] = {_Line: ("message",), _Message: ("content",)}


class OllamaDecoder(StreamDecoder):
    """Decoder of Ollama's lines. The end is the line with ``done``, and nothing follows it."""

    schema = Schema(_Line, required=REQUIRED)

    def __init__(self, errors: ErrorBuilder) -> None:
        super().__init__(errors)
        self._usage: Usage | None = None
        self._calls = 0

    def handle(self, parsed: _Line, event: ServerEvent, events: list[ProviderEvent]) -> None:
        """Append the events of one line."""
        if parsed.error or event.type == "error":
            raise self.event_error(event)
        if parsed.message is None and not parsed.done:
            self.handle_unknown(event)
        if parsed.message is not None:
            self._message(parsed.message, events)
        if parsed.done:
            prompt, answer = count({"n": parsed.prompt_eval_count}, "n"), count({"n": parsed.eval_count}, "n")
            if prompt is not None or answer is not None:
                self._usage = Usage(input_tokens=prompt, output_tokens=answer)
            if prompt is not None and self._errors.window is not None and prompt >= self._errors.window:
                # An old version has cut the request all the same.
                raise self._errors.too_long(CUT, Length(prompt, self._errors.window, cut=True))
            reason = (text_of(parsed.done_reason) or "stop").lower()
            self.finish_reason = "tool_calls" if self._calls and reason == "stop" else reason
            self.ended = True

    def usage(self) -> Usage | None:
        """Return the usage of the last line."""
        return self._usage

    def _message(self, message: _Message, events: list[ProviderEvent]) -> None:
        if message.thinking:
            self.add_text("reasoning", message.thinking, events)
        if message.content:
            self.add_text("text", message.content, events)
        if message.images:
            for image in message.images if isinstance(message.images, list) else [message.images]:
                if image is not None:
                    self.add_image(image_of(image), events)
        for call in message.tool_calls or ():  # never in fragments
            arguments = call.function.arguments
            if not isinstance(arguments, str):
                arguments = as_json({} if arguments is None else arguments)
            events.append(ToolCall(id=call.id or f"call_{self._calls}", name=call.function.name, arguments=arguments))
            self._calls += 1

    def payload_error(self, payload: Any) -> ProviderError:
        """Return the error that the service reports. It has no code, so its message decides."""
        message = message_in(payload)
        if "not found" in message and "model" in message:
            return self._errors.error("model_not_found", message)
        return self._errors.payload_error(payload)
