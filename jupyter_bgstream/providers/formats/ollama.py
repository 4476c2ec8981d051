"""Ollama's own API: a request out, a line of JSON for each piece of the answer in.

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
from ...core.messages import Message, Part
from ..base import ProviderEvent
from ..context_window import Length
from ..errors import ErrorBuilder, message_in
from ..finish_reasons import text_of
from ..parameters import Params, joined, read_params
from .base import Request, StreamDecoder, count, model_name
from .conversation import arguments_object, conversation, lacking
from .images import picture_of
from .lenient import Schema, as_json
from .sse import ServerEvent

CUT = (
    "This Ollama has cut what was too long, although it was told not to, and the answer rests on what was left. Update"
    " Ollama to 0.12.6 or later."
)

# What stands beside ``options`` in a request. Any other parameter of a job is one of the model's, and goes into them.
_BESIDE = frozenset(
    {"format", "keep_alive", "logprobs", "options", "shift", "think", "tools", "top_logprobs", "truncate"}
)
# Levels are for models that have them; the others take each for "think".
_THINK: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}


class Ollama:
    """The format; a Format."""

    name = "ollama"
    title = "Ollama"
    media_type = "application/x-ndjson"
    models = Request(path="/api/tags")

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key: ollama.com wants one, a server of one's own does not."""
        return {"Authorization": f"Bearer {key}"}

    def lacks(self, part: Part) -> str | None:
        """Return why a part cannot be sent; None if it can."""
        return lacking(part, self.title, pdf=False, audio=False)

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job's answer; raises ProviderError (``bad_request``) for params that clash."""
        params = read_params(job.spec.params, errors)
        body: dict[str, Any] = {
            "model": model_name(job),
            "messages": list(_turns(conversation(job, errors, self.lacks))),
            "stream": True,
        }
        if options := _options(params):
            body["options"] = options
        if params.reasoning_effort is not None:
            body["think"] = _THINK[params.reasoning_effort]
        if params.schema is not None:
            body["format"] = params.schema
        # By default it would drop what it finds too long, and while it answers also what was said first, without a
        # word. Versions before 0.12.6 do not know these fields: see OllamaDecoder.
        body |= {name: False for name in ("truncate", "shift") if name not in params.rest}
        beside = {name: value for name, value in params.rest.items() if name in _BESIDE}
        within = {name: value for name, value in params.rest.items() if name not in _BESIDE}
        body = joined(body, beside, errors)
        if within:
            body = joined(body, {"options": within}, errors)
        return Request(path="/api/chat", body=msgspec.json.encode(body))

    def decoder(self, errors: ErrorBuilder) -> OllamaDecoder:
        """Return a decoder for one answer."""
        return OllamaDecoder(errors)

    def names(self, listing: Any) -> list[str]:
        """Return the names in ``{"models": [{"name": …}]}``: those that have been pulled."""
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
    id: str | None = None  # newer versions give one


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    images: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Line(msgspec.Struct, gc=False):
    message: _Message | None = None
    done: bool = False
    done_reason: Any = None
    prompt_eval_count: Any = None  # left out if all of the prompt was in the cache
    eval_count: Any = None
    error: Any = None


NEEDED: dict[type, tuple[str, ...]] = {_Line: ("message",), _Message: ("content",)}


class OllamaDecoder(StreamDecoder):
    """Ollama's lines. The end is the one with ``done``, and nothing follows it."""

    schema = Schema(_Line, needed=NEEDED)

    def __init__(self, errors: ErrorBuilder) -> None:
        super().__init__(errors)
        self._usage: Usage | None = None
        self._calls = 0

    def take(self, line: _Line, event: ServerEvent, said: list[ProviderEvent]) -> None:
        """Add what one line says."""
        if line.error or event.type == "error":
            raise self.report(event)
        if line.message is None and not line.done:
            self.strange(event)
        if line.message is not None:
            self._message(line.message, said)
        if line.done:
            given, answered = count({"n": line.prompt_eval_count}, "n"), count({"n": line.eval_count}, "n")
            if given is not None or answered is not None:
                self._usage = Usage(input_tokens=given, output_tokens=answered)
            if given is not None and self._errors.window is not None and given >= self._errors.window:
                # An old version has cut it all the same: what answered had not read it all.
                raise self._errors.too_long(CUT, Length(given, self._errors.window, cut=True))
            reason = (text_of(line.done_reason) or "stop").lower()
            self.finish_reason = "tool_calls" if self._calls and reason == "stop" else reason
            self.ended = True

    def usage(self) -> Usage | None:
        """Return the counts of the last line."""
        return self._usage

    def _message(self, message: _Message, said: list[ProviderEvent]) -> None:
        if message.thinking:
            self.say("reasoning", message.thinking, said)
        if message.content:
            self.say("text", message.content, said)
        if message.images:
            for image in message.images if isinstance(message.images, list) else [message.images]:
                if image is not None:
                    self.show(picture_of(image), said)
        for call in message.tool_calls or ():  # each comes whole
            arguments = call.function.arguments
            if not isinstance(arguments, str):
                arguments = as_json({} if arguments is None else arguments)
            said.append(ToolCall(id=call.id or f"call_{self._calls}", name=call.function.name, arguments=arguments))
            self._calls += 1

    def reported(self, payload: Any) -> ProviderError:
        """Return the error that the service reports. Only its words tell what is wrong: it has no code."""
        words = message_in(payload)
        if "not found" in words and "model" in words:
            return self._errors.error("model_not_found", words)
        return self._errors.payload_error(payload)
