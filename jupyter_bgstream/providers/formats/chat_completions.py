"""OpenAI's Chat Completions, as OpenAI and dozens of compatible services speak it: a request out, a stream in.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming, and what services make of it: reasoning in
``reasoning_content`` (DeepSeek, xAI), ``reasoning`` (Groq, OpenRouter) or typed parts (Mistral), citations
(Perplexity, xAI), usage in the last chunk, in a chunk of its own, in every chunk, or in ``x_groq``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.errors import ProviderError
from ...core.events import Channel, Delta, Source, ToolCall, Usage
from ...core.job import ImagePart, Job, Message, Part
from ..base import Said
from ..faults import Faults, has_error
from .base import Request, StreamDecoder, count, model_name
from .sse import ServerEvent, SSEParser
from .tool_calls import ToolCalls, ToolFragment

_OURS = ("model", "messages", "stream")


class ChatCompletions:
    """The format; a Format."""

    name = "chat_completions"
    title = "Chat Completions"
    media_type = "text/event-stream"
    models = Request(path="/models")

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {key}"}

    def request(self, job: Job, faults: Faults) -> Request:
        """Return the request for a job's answer.

        A job's ``params`` join it; ``stream_options: null`` leaves that field out, for services that do not know it.
        Raises ProviderError (``bad_request``) for params that would change what is asked of whom.
        """
        params = job.spec.params
        if clash := [name for name in _OURS if name in params]:
            raise faults.error("bad_request", f"params may not set {', '.join(clash)}: the job itself does.")
        body: dict[str, Any] = {
            "model": model_name(job),
            "messages": [_turn(message) for message in (*job.history, *job.spec.messages)],
            "stream": True,
            "stream_options": {"include_usage": True},
        } | params
        if body["stream_options"] is None:
            del body["stream_options"]
        return Request(path="/chat/completions", body=msgspec.json.encode(body))

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


def _turn(message: Message) -> dict[str, Any]:
    content: Any = message.content
    if not isinstance(content, str):
        content = [_part(part) for part in content]
    return {"role": message.role, "content": content}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": part.url}}
    return {"type": "text", "text": part.text}


# Only what is read at every delta is typed; the rest differs too much between services, and is looked at with care.
class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[ToolFragment] | None = None
    annotations: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    error: Any = None  # OpenRouter


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None  # "error" in vLLM's errors
    citations: Any = None
    search_results: Any = None
    x_groq: Any = None


_chunks = msgspec.json.Decoder(_Chunk)


class ChatDecoder(StreamDecoder):
    """Chat Completions. The end is a ``finish_reason``, which usage and ``[DONE]`` may follow."""

    reader = SSEParser

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._usage: Any = None
        self._tools = ToolCalls()
        self._urls: set[str] = set()

    def take(self, event: ServerEvent, said: list[Said]) -> None:
        """Add what one chunk says."""
        if event.data == "[DONE]":
            self.ended = True
        else:
            self._chunk(event.data, said, is_error=event.type == "error")

    def usage(self) -> Usage | None:
        """Return the last counts there were."""
        return usage_of(self._usage)

    def tool_calls(self) -> list[ToolCall]:
        """Return all calls, which come in fragments."""
        return self._tools.whole()

    def _chunk(self, text: str, said: list[Said], *, is_error: bool) -> None:
        try:
            chunk = _chunks.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._not_a_chunk(text, error) from None
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
        for choice in chunk.choices or ():
            if not choice.index:  # of several answers only the first is read
                self._choice(choice, said)

    def _choice(self, choice: _Choice, said: list[Said]) -> None:
        if choice.delta is not None:
            self._delta(choice.delta, said)
        if choice.error:
            raise self._faults.in_stream({"error": choice.error})
        if choice.finish_reason == "error":
            raise self._faults.error("provider_error", transient=True)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason

    def _delta(self, delta: _Delta, said: list[Said]) -> None:
        # vLLM and others say the same twice, under the old name and the new one.
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning and isinstance(reasoning, str):
            said.append(Delta(channel="reasoning", text=reasoning))
        content = delta.content
        if content:
            if isinstance(content, str):
                said.append(Delta(channel="text", text=content))
            else:
                self._parts(content, "text", said)
        if delta.refusal:
            said.append(Delta(channel="text", text=delta.refusal))
        if delta.tool_calls:
            self._tools.add(delta.tool_calls)
        if delta.annotations:
            self._sources(delta.annotations, said)

    def _parts(self, parts: Any, channel: Channel, said: list[Said]) -> None:
        # Mistral: [{"type": "thinking", "thinking": [{"type": "text", "text": …}]}, {"type": "text", "text": …}]
        for part in parts if isinstance(parts, list) else [parts]:
            match part:
                case {"type": "thinking", "thinking": inner}:
                    self._parts(inner, "reasoning", said)
                case {"text": str() as text} | (str() as text) if text:
                    said.append(Delta(channel=channel, text=text))

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

    def _not_a_chunk(self, text: str, error: Exception) -> ProviderError:
        try:
            payload = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return self._faults.error("malformed_stream", f"{error}: {text}")
        if has_error(payload):
            return self._faults.in_stream(payload)
        return self._faults.error("malformed_stream", f"{error}: {text}")


def usage_of(found: Any) -> Usage | None:
    """Return the counts of a ``usage`` object, which a later one replaces; None if there are none in it."""
    if not isinstance(found, dict):
        return None
    given, answered, total = (count(found, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    reasoning = count(found, "completion_tokens_details", "reasoning_tokens")
    cached = count(found, "prompt_tokens_details", "cached_tokens")
    if cached is None:
        cached = count(found, "prompt_cache_hit_tokens")  # DeepSeek
    if reasoning and answered is not None and total == (given or 0) + answered + reasoning:
        answered += reasoning  # xAI counts the reasoning apart; for us it is a part of the output
    usage = Usage(input_tokens=given, output_tokens=answered, cached_tokens=cached, reasoning_tokens=reasoning)
    return None if usage == Usage() else usage
