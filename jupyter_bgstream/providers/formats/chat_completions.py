"""OpenAI's Chat Completions, as OpenAI and dozens of compatible services speak it: a request out, a stream in.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming, and what services make of it: reasoning in
``reasoning_content`` (DeepSeek, xAI), ``reasoning`` (Groq, OpenRouter) or typed parts (Mistral), citations
(Perplexity, xAI), usage in the last chunk, in a chunk of its own, in every chunk, or in ``x_groq``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.events import Channel, Delta, Source, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..base import Said
from ..faults import Faults
from ..params import Params, joined, read_params, refused, same
from .base import Request, StreamDecoder, model_name
from .chat_messages import chat_message
from .chat_usage import timed, usage_of
from .dialects import BROKEN, DIALECTS, Dialect, finish_reason
from .schemas import named_schema
from .sse import ServerEvent, SSEParser
from .tool_calls import ToolCalls, ToolFragment
from .turns import conversation, lacking


class ChatCompletions:
    """The format, in one service's dialect; a Format."""

    name = "chat_completions"
    title = "Chat Completions"
    media_type = "text/event-stream"
    models = Request(path="/models")

    def __init__(self, dialect: Dialect = DIALECTS["plain"]) -> None:
        self._dialect = dialect

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {key}"}

    def lacks(self, part: Part) -> str | None:
        """Return why the service cannot be sent a part; None if it can."""
        dialect = self._dialect
        return lacking(part, dialect.title, pdf=dialect.pdf is not None, audio=dialect.audio is not None)

    def request(self, job: Job, faults: Faults) -> Request:
        """Return the request for a job's answer.

        The standard parameters go by the dialect's names, all others as they are; ``stream_options: null`` leaves that
        field out, for services that do not know it. Raises ProviderError (``bad_request``) for params that would
        change what is asked of whom, that contradict each other, or that the service would ignore.
        """
        dialect = self._dialect
        params = read_params(job.spec.params, faults)
        refused(params, dialect.lacks, dialect.title, faults)
        rest = same(params.rest, "max_tokens", params.max_tokens, ("max_tokens", "max_completion_tokens"), faults)
        rest = same(rest, "seed", params.seed, ("seed", "random_seed"), faults)
        body: dict[str, Any] = {
            "model": model_name(job),
            "messages": [chat_message(message, dialect) for message in conversation(job, faults, self.lacks)],
            "stream": True,
            **dialect.always,
            **_named(params, dialect),
        }
        rest |= _plugins(rest, dialect)
        if rest.get("stream_options", ...) is None:
            del rest["stream_options"]
        elif dialect.counts:
            body["stream_options"] = {"include_usage": True}
        return Request(path="/chat/completions", body=msgspec.json.encode(joined(body, rest, faults)))

    def decoder(self, faults: Faults) -> ChatDecoder:
        """Return a decoder for one answer."""
        return ChatDecoder(faults)

    def names(self, listing: Any) -> list[str]:
        """Return the names in ``{"data": [{"id": …}]}``; some services leave the envelope out."""
        match listing:
            case {"data": list() as items} | (list() as items):
                found = [item.get("id") for item in items if isinstance(item, dict)]
                return sorted(name for name in found if isinstance(name, str))
        return []


def _plugins(rest: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    # What the job says itself of one of them stands; transforms are OpenRouter's older word for the same.
    given = rest.get("plugins", [])
    if not dialect.plugins or "transforms" in rest or not isinstance(given, list):
        return {}
    named = {plugin.get("id") for plugin in given if isinstance(plugin, dict)}
    return {"plugins": [*given, *(plugin for plugin in dialect.plugins if plugin["id"] not in named)]}


def _named(params: Params, dialect: Dialect) -> dict[str, Any]:
    # The standard parameters that were given, by their names at this service.
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


# Only what is read at every delta is typed; the rest differs too much between services, and is looked at with care.
class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: Any = None  # OpenRouter
    refusal: str | None = None
    tool_calls: list[ToolFragment] | None = None
    annotations: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: Any = None  # the answer so far, beside the delta (Perplexity), or the whole one at its end
    finish_reason: str | None = None
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


_chunks = msgspec.json.Decoder(_Chunk)


class ChatDecoder(StreamDecoder):
    """Chat Completions. The end is a ``finish_reason``, which usage and ``[DONE]`` may follow."""

    reader = SSEParser

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._usage: Any = None
        self._timings: Any = None
        self._tools = ToolCalls()
        self._urls: set[str] = set()
        self._spoke = False
        self._refused = False

    def take(self, event: ServerEvent, said: list[Said]) -> None:
        """Add what one chunk says."""
        if event.data == "[DONE]":
            self.ended = True
        else:
            self._chunk(event.data, said, is_error=event.type == "error")

    def usage(self) -> Usage | None:
        """Return the last counts there were."""
        return usage_of(self._usage) or timed(self._timings)

    def tool_calls(self) -> list[ToolCall]:
        """Return all calls, which come in fragments."""
        return self._tools.whole()

    def _chunk(self, text: str, said: list[Said], *, is_error: bool) -> None:
        try:
            chunk = _chunks.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._faults.unreadable(text, error) from None
        if chunk.error or chunk.object == "error" or is_error:
            raise self._faults.in_stream(msgspec.json.decode(text))
        if chunk.search_results:  # before citations, which have no titles
            self._sources(chunk.search_results, said)
        if chunk.citations:
            self._sources(chunk.citations, said)
        if chunk.usage:
            self._usage = chunk.usage
        if chunk.x_groq:
            self._groq(chunk.x_groq)
        if chunk.timings:
            self._timings = chunk.timings
        for choice in chunk.choices or ():
            if not choice.index:  # of several answers only the first is read
                self._choice(choice, said)

    def _choice(self, choice: _Choice, said: list[Said]) -> None:
        if choice.delta is not None:
            self._delta(choice.delta, said)
        if choice.error:
            raise self._faults.in_stream({"error": choice.error})
        if choice.usage:
            self._usage = choice.usage
        finish = finish_reason(choice.finish_reason) if choice.finish_reason else None
        if choice.message:
            self._message(choice.message, said, whole=finish is not None)
        if finish in BROKEN:
            words = "" if finish == "error" else f"finish_reason: {finish}"
            raise self._faults.error("provider_error", words, transient=True)
        if finish is not None:
            self.finish_reason = "refusal" if self._refused and finish == "stop" else finish

    def _message(self, message: Any, said: list[Said], *, whole: bool) -> None:
        # It repeats what the deltas have said, unless there were none.
        match message:
            case {"annotations": list() as annotations}:
                self._sources(annotations, said)
        match message:
            case {"content": str() as words} if words and whole and not self._spoke:
                self._say("text", words, said)

    def _delta(self, delta: _Delta, said: list[Said]) -> None:
        # vLLM and others say the same twice, under the old name and the new one; OpenRouter also in parts.
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning and isinstance(reasoning, str):
            said.append(Delta(channel="reasoning", text=reasoning))
        elif delta.reasoning_details:
            self._details(delta.reasoning_details, said)
        content = delta.content
        if content:
            if isinstance(content, str):
                self._say("text", content, said)
            else:
                self._parts(content, "text", said)
        if delta.refusal:
            self._refused = True
            self._say("text", delta.refusal, said)
        if delta.tool_calls:
            self._tools.add(delta.tool_calls)
        if delta.annotations:
            self._sources(delta.annotations, said)

    def _say(self, channel: Channel, words: str, said: list[Said]) -> None:
        self._spoke = self._spoke or channel == "text"
        said.append(Delta(channel=channel, text=words))

    def _details(self, details: Any, said: list[Said]) -> None:
        # {"type": "reasoning.text", "text"}, {"type": "reasoning.summary", "summary"}; others are encrypted.
        for detail in details if isinstance(details, list) else ():
            match detail:
                case {"text": str() as words} | {"summary": str() as words} if words:
                    self._say("reasoning", words, said)

    def _parts(self, parts: Any, channel: Channel, said: list[Said]) -> None:
        # Mistral: [{"type": "thinking", "thinking": [{"type": "text", "text": …}]}, {"type": "text", "text": …}]
        for part in parts if isinstance(parts, list) else [parts]:
            match part:
                case {"type": "thinking", "thinking": inner}:
                    self._parts(inner, "reasoning", said)
                case {"text": str() as text} | (str() as text) if text:
                    self._say(channel, text, said)

    def _sources(self, found: Any, said: list[Said]) -> None:
        # A URL; {"url", "title"}; OpenAI's annotation {"type": "url_citation", "url_citation": {"url", "title"}}.
        for item in found if isinstance(found, list) else ():
            match item:
                case {"url_citation": {"url": str() as url} as page} | ({"url": str() as url} as page):
                    title = page.get("title")
                case str() as url:
                    title = None
                case _:
                    continue
            if url and url not in self._urls:
                self._urls.add(url)
                said.append(Source(url=url, title=title if isinstance(title, str) else ""))

    def _groq(self, extra: Any) -> None:
        match extra:
            case {"error": error} if error:
                raise self._faults.in_stream({"error": error})
            case {"usage": usage} if usage:
                self._usage = usage
