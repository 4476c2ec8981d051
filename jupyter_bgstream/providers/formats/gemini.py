"""Google's Gemini: a request for ``streamGenerateContent`` out, a stream in.

Wire format: https://ai.google.dev/api/generate-content, with ``alt=sse``: each event is a GenerateContentResponse.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec

from ...core.events import Delta, Source, ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..base import Said
from ..faults import Faults
from ..params import joined, read_params
from .base import Request, StreamDecoder, count, model_name
from .gemini_contents import contents_of
from .gemini_params import config_of, placed
from .sse import ServerEvent, SSEParser
from .turns import conversation, lacking, system_text

_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"} | dict.fromkeys(
    (
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    ),
    "content_filter",
)
# The model did what makes no answer. The first two often do not happen again.
_MISHAPS = {
    "MALFORMED_FUNCTION_CALL": True,
    "MALFORMED_RESPONSE": True,
    "UNEXPECTED_TOOL_CALL": False,
    "TOO_MANY_TOOL_CALLS": False,
    "MISSING_THOUGHT_SIGNATURE": False,
}
_TICKS = re.compile(r"`+")


class Gemini:
    """The format; a Format."""

    name = "gemini"
    title = "Gemini"
    media_type = "text/event-stream"
    models = Request(path="/models?pageSize=1000")

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"x-goog-api-key": key}

    def lacks(self, part: Part) -> str | None:
        """Return why a part cannot be sent; None if it can, as all of them can."""
        return lacking(part, self.title, pdf=True, audio=True)

    def request(self, job: Job, faults: Faults) -> Request:
        """Return the request for a job's answer.

        Of the params that are passed on, the fields of GenerationConfig go there, all others to the top. Raises
        ProviderError (``bad_request``) for params that contradict each other.
        """
        params = read_params(job.spec.params, faults)
        model = model_name(job).removeprefix("models/")
        messages = conversation(job, faults, self.lacks)
        body: dict[str, Any] = {"contents": contents_of(messages, model)}
        if system := system_text(messages, faults):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if config := config_of(params, model, faults):
            body["generationConfig"] = config
        body = joined(body, placed(params.rest, faults), faults)
        # A model's name goes into the path, so nothing in it may lead elsewhere.
        path = f"/models/{quote(model, safe='')}:streamGenerateContent?alt=sse"
        return Request(path=path, body=msgspec.json.encode(body))

    def decoder(self, faults: Faults) -> GeminiDecoder:
        """Return a decoder for one answer."""
        return GeminiDecoder(faults)

    def names(self, listing: Any) -> list[str]:
        """Return the names of the models that answer: ``{"models": [{"name": "models/…", …}]}``."""
        match listing:
            case {"models": list() as items}:
                return sorted(
                    name.removeprefix("models/")
                    for item in items
                    if isinstance(item, dict)
                    and isinstance(name := item.get("name"), str)
                    and "generateContent" in _list(item.get("supportedGenerationMethods"))
                )
        return []


class _Content(msgspec.Struct, gc=False):
    parts: list[Any] | None = None


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: Any = None
    citation_metadata: Any = None


class _Response(msgspec.Struct, rename="camel", gc=False):
    candidates: list[_Candidate] | None = None
    usage_metadata: Any = None
    prompt_feedback: Any = None
    error: Any = None


_responses = msgspec.json.Decoder(_Response)


class GeminiDecoder(StreamDecoder):
    """Gemini. The end is a ``finishReason``, or a prompt that was blocked; counts may follow it.

    Code that the service ran and its output are shown as blocks of code; a file is named, not shown.
    """

    reader = SSEParser

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._usage: dict[str, Any] = {}
        self._urls: set[str] = set()
        self._calls = 0
        self._spoken = False

    def take(self, event: ServerEvent, said: list[Said]) -> None:
        """Add what one response says."""
        try:
            found = _responses.decode(event.data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._faults.unreadable(event.data, error) from None
        if found.error or event.type == "error":
            raise self._faults.in_stream(msgspec.json.decode(event.data))
        if isinstance(found.usage_metadata, dict):
            self._usage |= found.usage_metadata  # totals so far
        for candidate in found.candidates or ():
            if not candidate.index:  # of several answers only the first is read
                self._candidate(candidate, said)
        match found.prompt_feedback:
            case {"blockReason": str() as reason} if reason and self.finish_reason is None:
                self._blocked(reason, found.prompt_feedback, said)

    def usage(self) -> Usage | None:
        """Return the counts, of which the service gives input and output in two parts each."""
        return usage_of(self._usage)

    def _candidate(self, candidate: _Candidate, said: list[Said]) -> None:
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._part(part, said)
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._sources(candidate, said)
        if candidate.finish_reason:
            self._finished(candidate.finish_reason, candidate.finish_message, said)

    def _part(self, part: Any, said: list[Said]) -> None:
        match part:
            case {"text": str() as text}:
                if part.get("thought"):
                    if text:
                        said.append(Delta(channel="reasoning", text=text))
                else:
                    self._say(text, said)
            case {"functionCall": {"name": str() as name} as call}:
                arguments = msgspec.json.encode(call.get("args") or {}).decode()
                said.append(ToolCall(id=str(call.get("id") or f"call_{self._calls}"), name=name, arguments=arguments))
                self._calls += 1
            case {"executableCode": {"code": str() as code} as found}:
                language = found.get("language")
                self._say(_fenced(code, language.lower() if isinstance(language, str) else ""), said)
            case {"codeExecutionResult": dict() as found}:
                output, outcome = found.get("output"), found.get("outcome")
                if isinstance(output, str) and output:
                    self._say(_fenced(output, ""), said)
                elif outcome != "OUTCOME_OK":
                    self._say(_fenced(str(outcome), ""), said)
            case {"inlineData": {"mimeType": str() as kind}} | {"fileData": {"mimeType": str() as kind}}:
                self._say(f"\n\n*({kind}, which is not shown here)*\n\n", said)

    def _say(self, text: str, said: list[Said]) -> None:
        if text:
            self._spoken = True
            said.append(Delta(channel="text", text=text))

    def _sources(self, candidate: _Candidate, said: list[Said]) -> None:
        # Pages of a search or of a store of documents, places on a map, and what was recited.
        pages: list[Any] = []
        match candidate.grounding_metadata:
            case {"groundingChunks": list() as chunks}:
                pages += [page for chunk in chunks if isinstance(chunk, dict) for page in chunk.values()]
        match candidate.citation_metadata:
            case {"citationSources": list() as found} | {"citations": list() as found}:
                pages += found
        for page in pages:
            match page:
                case {"uri": str() as url} if url and url not in self._urls:
                    self._urls.add(url)
                    title = page.get("title")
                    said.append(Source(url=url, title=title if isinstance(title, str) else ""))

    def _finished(self, reason: str, words: str | None, said: list[Said]) -> None:
        if reason in _MISHAPS:
            raise self._faults.error("provider_error", f"{reason}. {words or ''}", transient=_MISHAPS[reason])
        if words and not self._spoken and reason not in ("STOP", "MAX_TOKENS"):
            self._say(words, said)
        ours = _FINISH_REASONS.get(reason, reason.lower())
        self.finish_reason = "tool_calls" if ours == "stop" and self._calls else ours

    def _blocked(self, reason: str, feedback: dict[str, Any], said: list[Said]) -> None:
        words = feedback.get("blockReasonMessage")
        if not self._spoken:
            self._say(words if isinstance(words, str) and words else f"The prompt was blocked: {reason}.", said)
        self.finish_reason = "content_filter"


def _fenced(text: str, language: str) -> str:
    # A fence longer than any in the text, as CommonMark wants it.
    fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(text)), default=0))
    lines = text.rstrip("\n")
    return f"\n\n{fence}{language}\n{lines}\n{fence}\n\n"


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def usage_of(found: dict[str, Any]) -> Usage | None:
    """Return the counts of a ``usageMetadata`` object; None if there are none in it."""
    given, searched = count(found, "promptTokenCount"), count(found, "toolUsePromptTokenCount")
    answered, thought = count(found, "candidatesTokenCount"), count(found, "thoughtsTokenCount")
    usage = Usage(
        input_tokens=_sum(given, searched),
        output_tokens=_sum(answered, thought),
        cached_tokens=count(found, "cachedContentTokenCount"),
        reasoning_tokens=thought,
    )
    return None if usage == Usage() else usage


def _sum(*counts: int | None) -> int | None:
    known = [number for number in counts if number is not None]
    return sum(known) if known else None
