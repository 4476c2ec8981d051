"""OpenAI's Chat Completions, as OpenAI and dozens of compatible services speak it: a request out, a stream in.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming, and what services make of it: reasoning in
``reasoning_content`` (DeepSeek, xAI), ``reasoning`` (Groq, OpenRouter) or typed parts (Mistral), citations
(Perplexity, xAI), usage in the last chunk, in a chunk of its own, in every chunk, or in ``x_groq``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.events import Channel, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..base import ProviderEvent
from ..errors import ErrorBuilder
from ..finish_reasons import text_of
from ..parameters import Params, joined, read_params, refused, same
from .base import Request, StreamDecoder, model_name
from .chat_messages import chat_message
from .chat_usage import timed, usage_of
from .citations import Citations
from .conversation import conversation, lacking
from .dialects import BROKEN, DIALECTS, Dialect, finish_reason
from .images import KINDS, picture_of
from .json_schema import named_schema
from .lenient import Schema, UnfitEventError
from .sse import ServerEvent
from .tool_calls import FunctionFragment, ToolCalls, ToolFragment


class ChatCompletions:
    """The format, in one service's dialect; a Format."""

    name = "chat_completions"
    title = "Chat Completions"
    media_type = "text/event-stream"
    models = Request(path="/models")

    def __init__(self, dialect: Dialect = DIALECTS["plain"], *, done_is_end: bool = False) -> None:
        self._dialect = dialect
        self._done_is_end = done_is_end

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {key}"}

    def lacks(self, part: Part) -> str | None:
        """Return why the service cannot be sent a part; None if it can."""
        dialect = self._dialect
        return lacking(part, dialect.title, pdf=dialect.pdf is not None, audio=dialect.audio is not None)

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job's answer.

        The standard parameters go by the dialect's names, all others as they are; ``stream_options: null`` leaves that
        field out, for services that do not know it. Raises ProviderError (``bad_request``) for params that would
        change what is asked of whom, that contradict each other, or that the service would ignore.
        """
        dialect = self._dialect
        params = read_params(job.spec.params, errors)
        refused(params, dialect.lacks, dialect.title, errors)
        rest = same(params.rest, "max_tokens", params.max_tokens, ("max_tokens", "max_completion_tokens"), errors)
        rest = same(rest, "seed", params.seed, ("seed", "random_seed"), errors)
        body: dict[str, Any] = {
            "model": model_name(job),
            "messages": [chat_message(message, dialect) for message in conversation(job, errors, self.lacks)],
            "stream": True,
            **dialect.always,
            **_named(params, dialect),
        }
        rest |= _plugins(rest, dialect)
        if rest.get("stream_options", ...) is None:
            del rest["stream_options"]
        elif dialect.counts:
            body["stream_options"] = {"include_usage": True}
        return Request(path="/chat/completions", body=msgspec.json.encode(joined(body, rest, errors)))

    def decoder(self, errors: ErrorBuilder) -> ChatDecoder:
        """Return a decoder for one answer."""
        return ChatDecoder(errors, done_is_end=self._done_is_end)

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
    reasoning_content: str | list[Any] | None = None
    reasoning: str | list[Any] | None = None
    reasoning_details: Any = None  # OpenRouter
    refusal: str | None = None
    tool_calls: list[ToolFragment] | None = None
    function_call: FunctionFragment | None = None  # before there were tools
    annotations: Any = None
    images: Any = None  # OpenRouter
    audio: Any = None
    executed_tools: Any = None  # Groq's own searches
    finish_reason: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: Any = None  # the answer so far, beside the delta (Perplexity), or the whole one at its end
    text: str | None = None  # of services that speak Completions
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


NEEDED: dict[type, tuple[str, ...]] = {_Delta: ("content",), _Choice: ("delta", "text")}
MOST_CHOICES = 1_000  # of an event: each takes some time of the server's loop, and no service sends so many
MOST_ANSWERS = 8  # that a request is thought to ask for; a higher number counts something else

_messages = Schema(_Delta, needed=NEEDED)


class ChatDecoder(StreamDecoder):
    """Chat Completions. The end is a ``finish_reason``, which usage and ``[DONE]`` may follow.

    Of several answers the first is read. Some services number pieces of one answer as if they were answers: such pieces
    are held back until it is clear what they are.
    """

    schema = Schema(_Chunk, needed=NEEDED)

    def __init__(self, errors: ErrorBuilder, *, done_is_end: bool = False) -> None:
        super().__init__(errors)
        self._usage: Any = None
        self._timings: Any = None
        self._tools = ToolCalls(errors)
        self._pages = Citations()
        self._spoke = False
        self._refused = False
        self._done_is_end = done_is_end
        self._index: int | None = None  # of the answer that is read
        self._held: list[_Choice] = []  # of other answers, or of this one
        self._counts = False  # the indices say nothing

    def take(self, found: _Chunk, event: ServerEvent, said: list[ProviderEvent]) -> None:
        """Add what one chunk says."""
        if found.error or found.object == "error" or event.type == "error":
            raise self.report(event)
        if found.search_results:  # before citations, which have no titles
            self._sources(found.search_results, said)
        if found.citations:
            self._sources(found.citations, said)
        if found.usage:
            self._usage = found.usage
        if found.x_groq:
            self._groq(found.x_groq)
        if found.timings:
            self._timings = found.timings
        if found.choices:
            if len(found.choices) > MOST_CHOICES:
                raise self._errors.error("malformed_stream", f"An event has more than {MOST_CHOICES:,} choices.")
            for choice in found.choices:
                if choice.index == self._index:
                    if self._held:
                        self._held.clear()  # it comes again after others: they are others
                    self._choice(choice, said)
                else:
                    for each in self._meant(choice):
                        self._choice(each, said)
            if found.finish_reason:
                self._finished(found.finish_reason)
        elif not found.usage:
            self.strange(event)

    def complete(self, said: list[ProviderEvent]) -> None:
        """Add pieces of the one answer that were held back."""
        if self._done_is_end and self.ended and self.error is None and self.finish_reason is None:
            self.finish_reason = "stop"
        if self.finish_reason is None:
            for choice in self._held:
                self._choice(choice, said)

    def usage(self) -> Usage | None:
        """Return the last counts there were."""
        return usage_of(self._usage) or timed(self._timings)

    def tool_calls(self) -> list[ToolCall]:
        """Return all calls, which come in fragments."""
        return self._tools.whole()

    def _meant(self, choice: _Choice) -> list[_Choice]:
        # What can be read once a choice with another index is there.
        index = choice.index
        if index is None or index < 0 or self._counts:  # -1 stands for none
            return [choice]
        if self._index is None and index == 0:
            self._index = 0
            self._held.clear()
            return [choice]
        if self.finish_reason is not None:
            return []
        repeated = bool(self._held) and self._held[-1].index == index
        self._held.append(choice)
        if self._index is None and repeated:  # the only answer, although it is not the first
            self._index = index
        elif len(self._held) < MOST_ANSWERS:
            return []
        else:
            self._counts = True
        held, self._held = self._held, []
        return held

    def _choice(self, choice: _Choice, said: list[ProviderEvent]) -> None:
        if choice.delta is not None:
            self._delta(choice.delta, said)
        if choice.text:
            self._text(choice.text, said)
        if choice.error:
            raise self.reported({"error": choice.error})
        if choice.usage:
            self._usage = choice.usage
        reason = choice.finish_reason or choice.finish_reason_camel or (choice.delta and choice.delta.finish_reason)
        if choice.message:
            is_answer = choice.delta is None  # and no stream was sent
            self._message(choice.message, said, whole=is_answer or bool(reason))
            reason = reason or ("stop" if is_answer else None)
        if reason:
            self._finished(reason)

    def _finished(self, reason: Any) -> None:
        word = text_of(reason)
        finish = finish_reason(word) if word else None
        if finish in BROKEN:
            words = "" if finish == "error" else f"finish_reason: {finish}"
            raise self._errors.error("provider_error", words, transient=True)
        if finish is not None:
            self.finish_reason = "refusal" if self._refused and finish == "stop" else finish

    def _message(self, message: Any, said: list[ProviderEvent], *, whole: bool) -> None:
        # It repeats what the deltas have said, unless there were none.
        match message:
            case {"annotations": list() as annotations}:
                self._sources(annotations, said)
        if not whole or not isinstance(message, dict):
            return
        if self._spoke:
            self._images(message.get("images"), said)
        else:
            self._spoke = True
            try:
                self._delta(_messages.fitted(message), said)
            except UnfitEventError as error:
                raise self._errors.error("malformed_stream", str(error)) from None

    def _delta(self, delta: _Delta, said: list[ProviderEvent]) -> None:
        # vLLM and others say the same twice, under the old name and the new one; OpenRouter also in parts.
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            self._words(reasoning, "reasoning", said)
        elif delta.reasoning_details:
            self._details(delta.reasoning_details, said)
        content = delta.content
        if content:
            if type(content) is str:
                self._spoke = True
                self.say("text", content, said)
            else:
                self._words(content, "text", said)
        if delta.refusal:
            self._refused = True
            self._text(delta.refusal, said)
        if delta.tool_calls:
            self._called(delta.tool_calls)
        if delta.function_call:
            self._called([ToolFragment(index=-1, function=delta.function_call)])
        if delta.annotations:
            self._sources(delta.annotations, said)
        if delta.executed_tools:
            for tool in delta.executed_tools if isinstance(delta.executed_tools, list) else ():
                match tool:
                    case {"search_results": {"results": list() as found}}:
                        self._sources(found, said)
        if delta.images:
            self._images(delta.images, said)
        if delta.audio:
            match delta.audio:
                case {"transcript": str() as words}:
                    self._text(words, said)

    def _called(self, fragments: list[ToolFragment]) -> None:
        self._spoke = True
        self._tools.add(fragments)

    def _text(self, words: str, said: list[ProviderEvent]) -> None:
        self._spoke = True
        self.say("text", words, said)

    def _words(self, words: str | list[Any], channel: Channel, said: list[ProviderEvent]) -> None:
        if isinstance(words, list):
            self._parts(words, channel, said)
        else:
            self._spoke = self._spoke or channel == "text"
            self.say(channel, words, said)

    def _details(self, details: Any, said: list[ProviderEvent]) -> None:
        # {"type": "reasoning.text", "text"}, {"type": "reasoning.summary", "summary"}; others are encrypted.
        for detail in details if isinstance(details, list) else ():
            match detail:
                case {"text": str() as words} | {"summary": str() as words} if words:
                    self.say("reasoning", words, said)

    def _parts(self, parts: Any, channel: Channel, said: list[ProviderEvent]) -> None:
        # Mistral: [{"type": "thinking", "thinking": [{"type": "text", "text": …}]}, {"type": "text", "text": …}]
        for part in parts if isinstance(parts, list) else [parts]:
            match part:
                case {"type": kind} if isinstance(kind, str) and kind in KINDS:
                    self._images([part], said)
                case {"type": "thinking", "thinking": inner}:
                    self._parts(inner, "reasoning", said)
                case {"text": str() as text} | (str() as text):
                    self._words(text, channel, said)
                case {"text": found} if found:
                    raise self.unreadable("The text of a part", found)

    def _images(self, found: Any, said: list[ProviderEvent]) -> None:
        # [{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}]; not words, so a whole message at the
        # end of a stream may still say some.
        for image in found if isinstance(found, list) else [found]:
            if image is not None:
                self.show(picture_of(image), said)

    def _sources(self, found: Any, said: list[ProviderEvent]) -> None:
        # A URL; {"url", "title"}; OpenAI's annotation {"type": "url_citation", "url_citation": {"url", "title"}}.
        for item in found if isinstance(found, list) else ():
            match item:
                case {"url_citation": {"url": str() as url} as page} | ({"url": str() as url} as page):
                    title = page.get("title")
                case str() as url:
                    title = None
                case _:
                    continue
            self._pages.add(url, title, said)

    def _groq(self, extra: Any) -> None:
        match extra:
            case {"error": error} if error:
                raise self.reported({"error": error})
            case {"usage": usage} if usage:
                self._usage = usage
