"""OpenAI's Chat Completions, in the dialects of dozens of compatible services.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming, and variants of services: reasoning in
``reasoning_content`` (DeepSeek, xAI), ``reasoning`` (Groq, OpenRouter) or typed parts (Mistral), citations
(Perplexity, xAI), usage in the last chunk, in a chunk of its own, in every chunk, or in ``x_groq``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.events import Channel, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..errors import ErrorBuilder
from ..finish_reasons import text_of
from ..port import ProviderEvent
from ..standard_parameters import Params, joined, read_params, reject_params, same
from .chat_messages import chat_message
from .chat_usage import timings_usage, usage_of
from .citations import Citations
from .conversation import conversation, unsupported_part
from .dialects import BROKEN, DIALECTS, Dialect, finish_reason
from .format import Format, Request
from .framing import ServerEvent
from .images import KINDS, image_of
from .json_schema import named_schema
from .lenient_json import Schema, UnfitEventError, list_of
from .stream_decoder import StreamDecoder, model_name
from .tool_calls import FunctionFragment, ToolCalls, ToolFragment


class ChatCompletions(Format):
    """The format, in one service's dialect."""

    name = "chat_completions"
    title = "Chat Completions"

    def __init__(self, dialect: Dialect = DIALECTS["plain"], *, done_is_end: bool = False) -> None:
        self._dialect = dialect
        self._done_is_end = done_is_end

    def unsupported(self, part: Part) -> str | None:
        """Return why the service does not accept a message part; None if it does."""
        dialect = self._dialect
        return unsupported_part(part, dialect.title, pdf=dialect.pdf is not None, audio=dialect.audio is not None)

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job.

        The standard parameters get the dialect's names, all others are sent as they are; ``stream_options: null`` omits
        that field, for services that do not know it. Raises ProviderError (``bad_request``) for params that belong to
        the job itself, that contradict each other, or that the service would ignore.
        """
        dialect = self._dialect
        params = read_params(job.spec.params, errors)
        reject_params(params, dialect.unsupported, dialect.title, errors)
        rest = same(params.rest, "max_tokens", params.max_tokens, ("max_tokens", "max_completion_tokens"), errors)
        rest = same(rest, "seed", params.seed, ("seed", "random_seed"), errors)
        body: dict[str, Any] = {
            "model": model_name(job),
            "messages": [chat_message(message, dialect) for message in conversation(job, errors, self.unsupported)],
            "stream": True,
            **dialect.always,
            **_named(params, dialect),
        }
        rest |= _plugins(rest, dialect)
        if rest.get("stream_options", ...) is None:
            del rest["stream_options"]
        elif dialect.stream_usage:
            body["stream_options"] = {"include_usage": True}
        return Request(path="/chat/completions", body=msgspec.json.encode(joined(body, rest, errors)))

    def decoder(self, errors: ErrorBuilder) -> ChatDecoder:
        """Return a decoder for one response."""
        return ChatDecoder(errors, done_is_end=self._done_is_end)


def _plugins(rest: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    # A plugin that the job itself names takes precedence; transforms are OpenRouter's older name for them.
    given = rest.get("plugins", [])
    if not dialect.plugins or "transforms" in rest or not isinstance(given, list):
        return {}
    named = {plugin.get("id") for plugin in given if isinstance(plugin, dict)}
    return {"plugins": [*given, *(plugin for plugin in dialect.plugins if plugin["id"] not in named)]}


def _named(params: Params, dialect: Dialect) -> dict[str, Any]:
    # The job's standard parameters, by their names at this service.
    schema = params.schema
    given: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        dialect.max_tokens: params.max_tokens,
        "stop": params.stop,
        dialect.seed: params.seed,
        "response_format": None if schema is None else {"type": "json_schema", "json_schema": named_schema(schema)},
    }
    named = {name: value for name, value in given.items() if value is not None}
    if params.reasoning_effort == "none" and dialect.no_effort is not None:
        return named | dialect.no_effort
    if (effort := params.reasoning_effort) is not None:
        value: Any = effort
        for name in reversed(dialect.effort):
            value = {name: value}
        named |= value
    return named


# Only fields of every delta are typed; the others differ too much between services.
class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | list[Any] | None = None
    reasoning: str | list[Any] | None = None
    reasoning_details: Any = None  # OpenRouter
    refusal: str | None = None
    tool_calls: list[ToolFragment] | None = None
    function_call: FunctionFragment | None = None  # the predecessor of tool calls
    annotations: Any = None
    images: Any = None  # OpenRouter
    audio: Any = None
    executed_tools: Any = None  # Groq's own searches
    finish_reason: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: Any = None  # the answer so far, beside the delta (Perplexity), or the whole one at the end
    text: str | None = None  # of services with the older Completions
    finish_reason: Any = None
    finish_reason_camel: Any = msgspec.field(name="finishReason", default=None)  # Gemini's compatible API
    usage: Any = None  # Moonshot
    error: Any = None  # OpenRouter


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None  # "error" in vLLM's errors
    citations: Any = None
    search_results: Any = None
    x_groq: Any = None
    timings: Any = None  # llama.cpp
    finish_reason: Any = None


REQUIRED: dict[type, tuple[str, ...]] = {_Delta: ("content",), _Choice: ("delta", "text")}
MAX_CHOICES = 1_000  # of an event: each takes time of the event loop, and no service sends so many
MAX_ANSWERS = 8  # that a request is assumed to ask for; a higher index counts something else

_messages = Schema(_Delta, required=REQUIRED)


class ChatDecoder(StreamDecoder):
    """Decoder of Chat Completions. The end is a ``finish_reason``, which usage and ``[DONE]`` may follow.

    Of several answers the first one is read. Some services number the pieces of one answer like several answers: such
    pieces are buffered until it is clear which they are.
    """

    schema = Schema(_Chunk, required=REQUIRED)

    def __init__(self, errors: ErrorBuilder, *, done_is_end: bool = False) -> None:
        super().__init__(errors)
        self._usage: Any = None
        self._timings: Any = None
        self._tools = ToolCalls(errors)
        self._citations = Citations()
        self._has_content = False
        self._refused = False
        self._done_is_end = done_is_end
        self._index: int | None = None  # of the answer that is read
        self._buffer: list[_Choice] = []  # of other answers, or of this one
        self._ignore_index = False  # the indexes number pieces of one answer

    def handle(self, parsed: _Chunk, event: ServerEvent, events: list[ProviderEvent]) -> None:
        """Append the events of one chunk."""
        if parsed.error or parsed.object == "error" or event.type == "error":
            raise self.event_error(event)
        if parsed.search_results:  # before citations, which have no titles
            self._cite(parsed.search_results, events)
        if parsed.citations:
            self._cite(parsed.citations, events)
        if parsed.usage:
            self._usage = parsed.usage
        if parsed.x_groq:
            self._groq(parsed.x_groq)
        if parsed.timings:
            self._timings = parsed.timings
        if parsed.choices:
            if len(parsed.choices) > MAX_CHOICES:
                raise self._errors.error("malformed_stream", f"An event has more than {MAX_CHOICES:,} choices.")
            for choice in parsed.choices:
                if choice.index == self._index:
                    if self._buffer:
                        self._buffer.clear()  # this answer continues after the others, so they are other answers
                    self._choice(choice, events)
                else:
                    for each in self._readable(choice):
                        self._choice(each, events)
            if parsed.finish_reason:
                self._set_finish(parsed.finish_reason)
        elif not parsed.usage:
            self.handle_unknown(event)

    def finalize(self, events: list[ProviderEvent]) -> None:
        """Append buffered pieces if they are of the one answer."""
        if self._done_is_end and self.ended and self.error is None and self.finish_reason is None:
            self.finish_reason = "stop"
        if self.finish_reason is None:
            for choice in self._buffer:
                self._choice(choice, events)

    def usage(self) -> Usage | None:
        """Return the last usage that was sent."""
        return usage_of(self._usage) or timings_usage(self._timings)

    def tool_calls(self) -> list[ToolCall]:
        """Return all tool calls, whose fragments are joined at the end."""
        return self._tools.complete()

    def _readable(self, choice: _Choice) -> list[_Choice]:
        # Return the choices that can be read once a choice with another index arrives.
        index = choice.index
        if index is None or index < 0 or self._ignore_index:  # -1 means none
            return [choice]
        if self._index is None and index == 0:
            self._index = 0
            self._buffer.clear()
            return [choice]
        if self.finish_reason is not None:
            return []
        repeated = bool(self._buffer) and self._buffer[-1].index == index
        self._buffer.append(choice)
        if self._index is None and repeated:  # the only answer, although its index is not 0
            self._index = index
        elif len(self._buffer) < MAX_ANSWERS:
            return []
        else:
            self._ignore_index = True
        buffered, self._buffer = self._buffer, []
        return buffered

    def _choice(self, choice: _Choice, events: list[ProviderEvent]) -> None:
        if choice.delta is not None:
            self._delta(choice.delta, events)
        if choice.text:
            self._text(choice.text, events)
        if choice.error:
            raise self.payload_error({"error": choice.error})
        if choice.usage:
            self._usage = choice.usage
        reason = choice.finish_reason or choice.finish_reason_camel or (choice.delta and choice.delta.finish_reason)
        if choice.message:
            is_answer = choice.delta is None  # a whole answer instead of a stream
            self._message(choice.message, events, is_final=is_answer or bool(reason))
            reason = reason or ("stop" if is_answer else None)
        if reason:
            self._set_finish(reason)

    def _set_finish(self, reason: Any) -> None:
        text = text_of(reason)
        finish = finish_reason(text) if text else None
        if finish in BROKEN:
            details = "" if finish == "error" else f"finish_reason: {finish}"
            raise self._errors.error("provider_error", details, transient=True)
        if finish is not None:
            self.finish_reason = "refusal" if self._refused and finish == "stop" else finish

    def _message(self, message: Any, events: list[ProviderEvent], *, is_final: bool) -> None:
        # It repeats the deltas, if there were any.
        match message:
            case {"annotations": list() as annotations}:
                self._cite(annotations, events)
        if not is_final or not isinstance(message, dict):
            return
        if self._has_content:
            self._images_of(message.get("images"), events)
        else:
            self._has_content = True
            try:
                self._delta(_messages.fitted(message), events)
            except UnfitEventError as error:
                raise self._errors.error("malformed_stream", str(error)) from None

    def _delta(self, delta: _Delta, events: list[ProviderEvent]) -> None:
        # vLLM and others send the same text twice, in the old field and the new one; OpenRouter also in parts.
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            self._content(reasoning, "reasoning", events)
        elif delta.reasoning_details:
            self._details(delta.reasoning_details, events)
        content = delta.content
        if content:
            if type(content) is str:
                self._has_content = True
                self.add_text("text", content, events)
            else:
                self._content(content, "text", events)
        if delta.refusal:
            self._refused = True
            self._text(delta.refusal, events)
        if delta.tool_calls:
            self._add_calls(delta.tool_calls)
        if delta.function_call:
            self._add_calls([ToolFragment(index=-1, function=delta.function_call)])
        if delta.annotations:
            self._cite(delta.annotations, events)
        if delta.executed_tools:
            for tool in list_of(delta.executed_tools):
                match tool:
                    case {"search_results": {"results": list() as found}}:
                        self._cite(found, events)
        if delta.images:
            self._images_of(delta.images, events)
        if delta.audio:
            match delta.audio:
                case {"transcript": str() as transcript}:
                    self._text(transcript, events)

    def _add_calls(self, fragments: list[ToolFragment]) -> None:
        self._has_content = True
        self._tools.add(fragments)

    def _text(self, text: str, events: list[ProviderEvent]) -> None:
        self._has_content = True
        self.add_text("text", text, events)

    def _content(self, content: str | list[Any], channel: Channel, events: list[ProviderEvent]) -> None:
        if isinstance(content, list):
            self._parts(content, channel, events)
        else:
            self._has_content = self._has_content or channel == "text"
            self.add_text(channel, content, events)

    def _details(self, details: Any, events: list[ProviderEvent]) -> None:
        # {"type": "reasoning.text", "text"}, {"type": "reasoning.summary", "summary"}; others are encrypted.
        for detail in list_of(details):
            match detail:
                case {"text": str() as text} | {"summary": str() as text} if text:
                    self.add_text("reasoning", text, events)

    def _parts(self, parts: Any, channel: Channel, events: list[ProviderEvent]) -> None:
        # Mistral: [{"type": "thinking", "thinking": [{"type": "text", "text": …}]}, {"type": "text", "text": …}]
        for part in parts if isinstance(parts, list) else [parts]:
            match part:
                case {"type": kind} if isinstance(kind, str) and kind in KINDS:
                    self._images_of([part], events)
                case {"type": "thinking", "thinking": inner}:
                    self._parts(inner, "reasoning", events)
                case {"text": str() as text} | (str() as text):
                    self._content(text, channel, events)
                case {"text": found} if found:
                    raise self.type_error("The text of a part", found)

    def _images_of(self, found: Any, events: list[ProviderEvent]) -> None:
        # [{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}]. An image does not set _has_content:
        # a whole message at the end of a stream may still have text.
        for image in found if isinstance(found, list) else [found]:
            if image is not None:
                self.add_image(image_of(image), events)

    def _cite(self, found: Any, events: list[ProviderEvent]) -> None:
        # A URL; {"url", "title"}; OpenAI's annotation {"type": "url_citation", "url_citation": {"url", "title"}}.
        for item in list_of(found):
            match item:
                case {"url_citation": {"url": str() as url} as page} | ({"url": str() as url} as page):
                    title = page.get("title")
                case str() as url:
                    title = None
                case _:
                    continue
            self._citations.add(url, title, events)

    def _groq(self, extra: Any) -> None:
        match extra:
            case {"error": error} if error:
                raise self.payload_error({"error": error})
            case {"usage": usage} if usage:
                self._usage = usage
