"""Google's Gemini: a request for ``streamGenerateContent`` out, a stream in.

Wire format: https://ai.google.dev/api/generate-content, with ``alt=sse``: each event is a GenerateContentResponse.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec

from ...core.events import ToolCall, Usage
from ...core.job import Job
from ...core.messages import Part
from ..base import ProviderEvent
from ..errors import ErrorBuilder
from ..finish_reasons import OTHER, text_of
from ..parameters import joined, read_params
from .base import Request, StreamDecoder, count, model_name
from .citations import Citations
from .conversation import conversation, lacking, system_text
from .gemini_calls import GeminiCalls
from .gemini_contents import contents_of
from .gemini_params import config_of, placed
from .images import picture_of
from .lenient import Schema
from .sse import ServerEvent

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
    "MALFORMED_FUNCTION_CALL": ("The model wrote a call of a tool that cannot be read", True),
    "MALFORMED_RESPONSE": ("The model wrote an answer that cannot be read", True),
    "UNEXPECTED_TOOL_CALL": ("The model called a tool that it was not given", False),
    "TOO_MANY_TOOL_CALLS": ("The model called too many tools in a row", False),
    "MISSING_THOUGHT_SIGNATURE": ("A turn before this one lacks its thought signature", False),
}
_COUNTS = (  # totals so far
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
)
_LANGUAGE = re.compile(r"[a-z0-9_+#.-]{1,30}")
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

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job's answer.

        Of the params that are passed on, the fields of GenerationConfig go there, all others to the top. Raises
        ProviderError (``bad_request``) for params that contradict each other.
        """
        params = read_params(job.spec.params, errors)
        model = model_name(job).removeprefix("models/")
        messages = conversation(job, errors, self.lacks)
        body: dict[str, Any] = {"contents": contents_of(messages, model)}
        if system := system_text(messages, errors):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if config := config_of(params, model, errors):
            body["generationConfig"] = config
        body = joined(body, placed(params.rest, errors), errors)
        # A model's name goes into the path, so nothing in it may lead elsewhere.
        path = f"/models/{quote(model, safe='')}:streamGenerateContent?alt=sse"
        return Request(path=path, body=msgspec.json.encode(body))

    def decoder(self, errors: ErrorBuilder) -> GeminiDecoder:
        """Return a decoder for one answer."""
        return GeminiDecoder(errors)

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
    finish_reason: Any = None
    finish_message: Any = None
    grounding_metadata: Any = None
    citation_metadata: Any = None


class _Response(msgspec.Struct, rename="camel", gc=False):
    candidates: list[_Candidate] | None = None
    usage_metadata: Any = None
    prompt_feedback: Any = None
    error: Any = None


NEEDED: dict[type, tuple[str, ...]] = {_Candidate: ("content",), _Content: ("parts",)}


class GeminiDecoder(StreamDecoder):
    """Gemini. The end is a ``finishReason``, or a prompt that was blocked; counts may follow it.

    Code that the service ran and its output are shown as blocks of code; a file that is no picture is named, not shown.
    """

    schema = Schema(_Response, needed=NEEDED)

    def __init__(self, errors: ErrorBuilder) -> None:
        super().__init__(errors)
        self._usage: dict[str, Any] = {}
        self._pages = Citations()
        self._calls = GeminiCalls(errors)
        self._spoken = False

    def take(self, found: _Response, event: ServerEvent, said: list[ProviderEvent]) -> None:
        """Add what one response says."""
        if found.error or event.type == "error":
            raise self.report(event)
        if found.candidates is None and found.usage_metadata is None and found.prompt_feedback is None:
            self.strange(event)
        if isinstance(found.usage_metadata, dict):
            self._usage |= {name: found.usage_metadata[name] for name in _COUNTS if name in found.usage_metadata}
        for candidate in found.candidates or ():
            if not candidate.index:  # of several answers only the first is read
                self._candidate(candidate, said)
        match found.prompt_feedback:
            case {"blockReason": str() as reason} if reason and self.finish_reason is None:
                self._blocked(reason, found.prompt_feedback, said)

    def usage(self) -> Usage | None:
        """Return the counts, of which the service gives input and output in two parts each."""
        return usage_of(self._usage)

    def tool_calls(self) -> list[ToolCall]:
        """Return the call whose arguments were under way at the end."""
        return self._calls.rest()

    def _candidate(self, candidate: _Candidate, said: list[ProviderEvent]) -> None:
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._part(part, said)
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._sources(candidate, said)
        if candidate.finish_reason:
            words = candidate.finish_message
            self._finished(text_of(candidate.finish_reason) or OTHER, words if isinstance(words, str) else "", said)

    def _part(self, part: Any, said: list[ProviderEvent]) -> None:
        match part:
            case {"text": str() as text}:
                if part.get("thought"):
                    self.say("reasoning", text, said)
                else:
                    self._say(text, said)
            case {"text": found} if found:
                raise self.unreadable("The text of a part", found)
            case {"functionCall": dict() as call}:
                said += self._calls.take(call)
            case {"executableCode": {"code": str() as code} as found}:
                language = found.get("language")
                word = language.lower() if isinstance(language, str) else ""
                self._say(_fenced(code, word if _LANGUAGE.fullmatch(word) else ""), said)
            case {"codeExecutionResult": dict() as found}:
                output, outcome = found.get("output"), found.get("outcome")
                if isinstance(output, str) and output:
                    self._say(_fenced(output, ""), said)
                elif outcome != "OUTCOME_OK":
                    self._say(_fenced(self._errors.label(str(outcome)), ""), said)
            case {"inlineData": dict() as file} | {"fileData": dict() as file}:
                self._file(file, said, is_thought=bool(part.get("thought")))

    def _file(self, file: dict[str, Any], said: list[ProviderEvent], *, is_thought: bool) -> None:
        kind = file.get("mimeType")
        if is_thought:  # a draft: the picture itself follows
            self.say("reasoning", "\n\n*(A draft of a picture, which is not kept)*\n\n", said)
        elif isinstance(kind, str) and kind and not kind.lower().startswith("image/"):
            self._say(f"\n\n*({self._errors.label(kind)}, which is not shown here)*\n\n", said)
        else:
            self._spoken = True
            self.show(picture_of(file), said)

    def _say(self, text: str, said: list[ProviderEvent]) -> None:
        if text:
            self._spoken = True
            self.say("text", text, said)

    def _sources(self, candidate: _Candidate, said: list[ProviderEvent]) -> None:
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
                case {"uri": str() as url} if url:
                    self._pages.add(url, page.get("title"), said)
                case {"title": str() as title} if title:  # of a store of documents: it has no address
                    self._pages.add_title(title, said)

    def _finished(self, reason: str, words: str, said: list[ProviderEvent]) -> None:
        if reason in _MISHAPS:
            what, transient = _MISHAPS[reason]
            raise self._errors.error("provider_error", f"{what} ({reason}). {words}", transient=transient)
        if words and not self._spoken and reason not in ("STOP", "MAX_TOKENS"):
            self._say(self._errors.redacted(words), said)
        ours = _FINISH_REASONS.get(reason, reason.lower())
        if ours == "content_filter" and not self._spoken:
            self._say(f"The answer was blocked: {self._errors.label(reason)}.", said)
        self.finish_reason = "tool_calls" if ours == "stop" and self._calls.number else ours

    def _blocked(self, reason: str, feedback: dict[str, Any], said: list[ProviderEvent]) -> None:
        words = feedback.get("blockReasonMessage")
        if not self._spoken:
            told = words if isinstance(words, str) and words else f"The prompt was blocked: {reason}."
            self._say(self._errors.redacted(told), said)
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
