"""Anthropic's Messages.

Wire format: https://platform.claude.com/docs/en/api/messages and https://platform.claude.com/docs/en/build-with-claude/streaming
in the version 2023-06-01, the last with ``temperature`` and ``top_p``.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec

from ...core.events import ToolCall, Usage
from ...core.job import Job
from ..errors import ErrorBuilder
from ..finish_reasons import OTHER, text_of
from ..port import ProviderEvent
from ..standard_parameters import joined, read_params, reject_params
from .anthropic_reasoning import MAX_TOKENS, thinking
from .anthropic_request import messages_of, system_of
from .citations import Citations
from .conversation import conversation
from .format import Format, Request
from .framing import ServerEvent
from .images import image_of
from .lenient_json import Schema, as_json, list_of
from .stream_decoder import TOKENS, StreamDecoder, count, known_sum, model_name
from .tool_calls import ArgumentBuffers

_VERSION = {"anthropic-version": "2023-06-01"}

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens_details",
    "iterations",
)
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


class Messages(Format):
    """The format."""

    name = "messages"
    title = "Anthropic Messages"
    models = Request(path="/models?limit=1000", headers=_VERSION)
    pdf = True

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"x-api-key": key}

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job.

        The API requires ``max_tokens``; the default is MAX_TOKENS. Raises ProviderError (``bad_request``) for a
        ``seed``, which the API does not have, and for params that contradict each other.
        """
        params = read_params(job.spec.params, errors)
        reject_params(params, ("seed",), self.title, errors)
        messages = conversation(job, errors, self.unsupported)
        fields: dict[str, Any] = {
            "model": model_name(job),
            "messages": messages_of(messages),
            "stream": True,
            "system": system_of(messages, errors) or None,
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "stop_sequences": params.stops,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        if params.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": params.schema}}
        if params.reasoning_effort is not None:
            body = joined(body, thinking(model_name(job), params.reasoning_effort), errors)
        body = {"max_tokens": MAX_TOKENS} | joined(body, params.rest, errors)
        _check(body, errors)
        return Request(path="/messages", body=msgspec.json.encode(body), headers=_VERSION)

    def decoder(self, errors: ErrorBuilder) -> MessagesDecoder:
        """Return a decoder for one response."""
        return MessagesDecoder(errors)


def _check(body: dict[str, Any], errors: ErrorBuilder) -> None:
    # The service would refuse these with messages on fields that the user may not know.
    found = body.get("thinking")
    mode = found.get("type") if isinstance(found, dict) else None
    if mode not in ("enabled", "adaptive"):
        return
    if body.get("temperature") not in (None, 1):
        raise errors.error(
            "bad_request",
            "params contradict each other: a model that reasons has temperature 1. Remove temperature or"
            " reasoning_effort.",
        )
    budget, limit = count(found, "budget_tokens"), count(body, "max_tokens")
    if budget is not None and limit is not None and limit <= budget:
        raise errors.error(
            "bad_request",
            f"params contradict each other: max_tokens is {limit}, which must be more than the {budget} tokens for"
            " reasoning, since it includes them.",
        )


class _Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    citation: Any = None
    stop_reason: Any = None
    stop_details: Any = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: Any = None
    message: Any = None
    usage: Any = None
    content: Any = None  # of a whole message, sent instead of a stream
    stop_reason: str | None = None
    stop_details: Any = None
    error: Any = None


REQUIRED: dict[type, tuple[str, ...]] = {_Event: ("delta",), _Delta: ("text", "partial_json")}


class _Call(msgspec.Struct):
    id: str
    name: str
    input: Any
    arguments: StringIO


class MessagesDecoder(StreamDecoder):
    """Decoder of Messages. The end is ``message_stop``; a ``stop_reason`` before it announces the reason.

    Tools that the service runs itself (``server_tool_use``) are not tool calls of the user; results of searches become
    citations.
    """

    schema = Schema(_Event, required=REQUIRED)

    def __init__(self, errors: ErrorBuilder) -> None:
        super().__init__(errors)
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._calls: dict[int, _Call] = {}  # unfinished ones, by the index of their block
        self._citations = Citations()
        self._arguments = ArgumentBuffers(errors)
        self._has_text = False

    def handle(self, parsed: _Event, event: ServerEvent, events: list[ProviderEvent]) -> None:
        """Append the events of one event. Its type is in its data too; unknown types are ignored."""
        if parsed.type == "error" or event.type == "error" or parsed.error:
            raise self.event_error(event)
        match parsed.type:
            case "content_block_delta":
                if parsed.delta is not None:
                    self._delta(parsed.index, parsed.delta, events)
            case "content_block_start":
                self._block(parsed.index, parsed.content_block, events)
            case "content_block_stop":
                if (call := self._calls.pop(parsed.index, None)) is not None:
                    events.append(_tool_call(call))
            case "message_start":  # some services send it twice
                if isinstance(parsed.message, dict):
                    self._count(parsed.message.get("usage"))
            case "message_delta":
                self._count(parsed.usage)
                if parsed.delta is not None and parsed.delta.stop_reason:
                    self._set_stop(parsed.delta.stop_reason, parsed.delta.stop_details, events)
            case "message_stop":
                self.finish_reason = self._stop_reason
                self.ended = True
            case "message":
                self._message(parsed, events)
            case _:
                self.handle_unknown(event)

    def usage(self) -> Usage | None:
        """Return the usage, whose input the service sends in three parts."""
        return usage_of(self._usage)

    def tool_calls(self) -> list[ToolCall]:
        """Return the calls whose blocks were never closed: some compatible services omit that."""
        return [_tool_call(call) for call in self._calls.values()]

    def _delta(self, index: int, delta: _Delta, events: list[ProviderEvent]) -> None:
        match delta.type:
            case "text_delta":
                self._text(delta.text, events)
            case "thinking_delta":
                if delta.thinking:
                    self.add_text("reasoning", delta.thinking, events)
            case "input_json_delta":
                if delta.partial_json and (call := self._calls.get(index)) is not None:
                    self._arguments.add(call.arguments, delta.partial_json)
            case "citations_delta":
                self._cite(delta.citation, events)

    def _block(self, index: int, block: Any, events: list[ProviderEvent]) -> None:
        match block:
            case {"type": "text"}:
                self._text(block.get("text"), events)
                for citation in list_of(block.get("citations")):
                    self._cite(citation, events)
            case {"type": "thinking", "thinking": str() as thought} if thought:
                self.add_text("reasoning", thought, events)
            case {"type": "image"}:
                self._has_text = True
                self.add_image(image_of(block), events)
            case {"type": "tool_use"}:
                name, id = block.get("name"), block.get("id")
                self._calls[index] = _Call(
                    id=str(id or f"call_{index}"),
                    name=str(name or ""),
                    input=block.get("input"),
                    arguments=self._arguments.begin(),
                )
            case {"type": "web_search_tool_result", "content": list() as results}:
                for result in results:
                    self._cite(result, events)
            case {"type": "web_fetch_tool_result", "content": {"url": str() as url} as page}:
                document = page.get("content")
                self._cite({"url": url, "title": document.get("title") if isinstance(document, dict) else ""}, events)

    def _text(self, text: Any, events: list[ProviderEvent]) -> None:
        if text and isinstance(text, str):
            self._has_text = True
            self.add_text("text", text, events)

    def _cite(self, found: Any, events: list[ProviderEvent]) -> None:
        # A search result, or a citation of one; citations of the user's own documents have no URL.
        if not isinstance(found, dict):
            return
        url, title = found.get("url") or found.get("source"), found.get("title")
        if isinstance(url, str) and "://" in url:
            self._citations.add(url, title, events)

    def _count(self, usage: Any) -> None:
        # Later counts are totals, not increments, and may omit what has not changed.
        if isinstance(usage, dict):
            self._usage |= {name: usage[name] for name in _COUNTS if usage.get(name) is not None}

    def _message(self, found: _Event, events: list[ProviderEvent]) -> None:
        for index, block in enumerate(list_of(found.content)):
            self._block(index, block, events)
        self._count(found.usage)
        if found.stop_reason:
            self._set_stop(found.stop_reason, found.stop_details, events)
        self.finish_reason = self._stop_reason
        self.ended = True

    def _set_stop(self, found: Any, details: Any, events: list[ProviderEvent]) -> None:
        reason = text_of(found) or OTHER
        self._stop_reason = _FINISH_REASONS.get(reason, reason.lower())
        # A refusal has no text of the model, but often an explanation of the service.
        match details:
            case {"explanation": str() as explanation} if not self._has_text:
                self._text(self._errors.redacted(explanation), events)


def _tool_call(call: _Call) -> ToolCall:
    # Arguments come in fragments, or without fragments in the start of the block.
    arguments = call.arguments.getvalue() or as_json(call.input or {})
    return ToolCall(id=call.id, name=call.name, arguments=arguments)


def usage_of(found: dict[str, Any]) -> Usage | None:
    """Return the counts of a ``usage`` object; None if it has none.

    ``iterations`` are all calls of models that one answer took, such as to compact the conversation, or of an advisor.
    The counts beside them are of the last one only.
    """
    parts = [_usage(part) for part in list_of(found.get("iterations")) if isinstance(part, dict)]
    if known := [usage for usage in parts if usage is not None]:
        sums: dict[str, Any] = {name: known_sum(*(getattr(usage, name) for usage in known)) for name in TOKENS}
        return Usage(**sums)
    return _usage(found)


def _usage(found: dict[str, Any]) -> Usage | None:
    read, written = count(found, "cache_read_input_tokens"), count(found, "cache_creation_input_tokens")
    usage = Usage(
        input_tokens=known_sum(count(found, "input_tokens"), read, written),
        output_tokens=count(found, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(found, "output_tokens_details", "thinking_tokens"),
    )
    return None if usage == Usage() else usage
