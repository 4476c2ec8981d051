"""Google's Gemini, through ``streamGenerateContent``.

Wire format: https://ai.google.dev/api/generate-content, with ``alt=sse``: each event is a GenerateContentResponse.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec

from ...core.events import ToolCall, Usage
from ...core.job import Job
from ..errors import ErrorBuilder
from ..finish_reasons import OTHER, text_of
from ..port import ProviderEvent
from ..standard_parameters import joined, read_params
from .citations import Citations
from .conversation import conversation, system_text
from .format import Format, Request
from .framing import ServerEvent
from .gemini_calls import GeminiCalls
from .gemini_contents import contents_of
from .gemini_params import config_of, nested
from .images import image_of
from .lenient_json import Schema, list_of
from .stream_decoder import StreamDecoder, count, known_sum, model_name

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
# Finish reasons without an answer, and whether they are transient: the first two often do not happen again.
_FAILURES = {
    "MALFORMED_FUNCTION_CALL": ("The model wrote an invalid tool call", True),
    "MALFORMED_RESPONSE": ("The model wrote an invalid response", True),
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
_BACKTICKS = re.compile(r"`+")


class Gemini(Format):
    """The format."""

    name = "gemini"
    title = "Gemini"
    models = Request(path="/models?pageSize=1000")
    pdf = audio = True

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry a key."""
        return {"x-goog-api-key": key}

    def request(self, job: Job, errors: ErrorBuilder) -> Request:
        """Return the request for a job.

        Of the params that are passed on, fields of GenerationConfig go there, all others to the top. Raises
        ProviderError (``bad_request``) for params that contradict each other.
        """
        params = read_params(job.spec.params, errors)
        model = model_name(job).removeprefix("models/")
        messages = conversation(job, errors, self.unsupported)
        body: dict[str, Any] = {"contents": contents_of(messages, model)}
        if system := system_text(messages, errors):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if config := config_of(params, model, errors):
            body["generationConfig"] = config
        body = joined(body, nested(params.rest, errors), errors)
        # The model's name is part of the path, so it is quoted.
        path = f"/models/{quote(model, safe='')}:streamGenerateContent?alt=sse"
        return Request(path=path, body=msgspec.json.encode(body))

    def decoder(self, errors: ErrorBuilder) -> GeminiDecoder:
        """Return a decoder for one response."""
        return GeminiDecoder(errors)

    def model_names(self, listing: Any) -> list[str]:
        """Return the names of the models that can answer: ``{"models": [{"name": "models/…", …}]}``."""
        match listing:
            case {"models": list() as items}:
                return sorted(
                    name.removeprefix("models/")
                    for item in items
                    if isinstance(item, dict)
                    and isinstance(name := item.get("name"), str)
                    and "generateContent" in list_of(item.get("supportedGenerationMethods"))
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


REQUIRED: dict[type, tuple[str, ...]] = {_Candidate: ("content",), _Content: ("parts",)}


class GeminiDecoder(StreamDecoder):
    """Decoder of Gemini. The end is a ``finishReason``, or a blocked prompt; usage may follow it.

    Code that the service ran and its output become code blocks; a file that is not an image is only mentioned.
    """

    schema = Schema(_Response, required=REQUIRED)

    def __init__(self, errors: ErrorBuilder) -> None:
        super().__init__(errors)
        self._usage: dict[str, Any] = {}
        self._citations = Citations()
        self._calls = GeminiCalls(errors)
        self._has_content = False

    def handle(self, parsed: _Response, event: ServerEvent, events: list[ProviderEvent]) -> None:
        """Append the events of one response."""
        if parsed.error or event.type == "error":
            raise self.event_error(event)
        if parsed.candidates is None and parsed.usage_metadata is None and parsed.prompt_feedback is None:
            self.handle_unknown(event)
        if isinstance(parsed.usage_metadata, dict):
            self._usage |= {name: parsed.usage_metadata[name] for name in _COUNTS if name in parsed.usage_metadata}
        for candidate in parsed.candidates or ():
            if not candidate.index:  # of several answers only the first is read
                self._candidate(candidate, events)
        match parsed.prompt_feedback:
            case {"blockReason": str() as reason} if reason and self.finish_reason is None:
                self._set_blocked(reason, parsed.prompt_feedback, events)

    def usage(self) -> Usage | None:
        """Return the usage, whose input and output the service sends in two parts each."""
        return usage_of(self._usage)

    def tool_calls(self) -> list[ToolCall]:
        """Return the call whose arguments had not ended."""
        return self._calls.rest()

    def _candidate(self, candidate: _Candidate, events: list[ProviderEvent]) -> None:
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._part(part, events)
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._cite(candidate, events)
        if candidate.finish_reason:
            message = candidate.finish_message
            self._set_finish(
                text_of(candidate.finish_reason) or OTHER, message if isinstance(message, str) else "", events
            )

    def _part(self, part: Any, events: list[ProviderEvent]) -> None:
        match part:
            case {"text": str() as text}:
                if part.get("thought"):
                    self.add_text("reasoning", text, events)
                else:
                    self._text(text, events)
            case {"text": found} if found:
                raise self.type_error("The text of a part", found)
            case {"functionCall": dict() as call}:
                events += self._calls.add(call)
            case {"executableCode": {"code": str() as code} as found}:
                language = found.get("language")
                word = language.lower() if isinstance(language, str) else ""
                self._text(_fenced(code, word if _LANGUAGE.fullmatch(word) else ""), events)
            case {"codeExecutionResult": dict() as found}:
                output, outcome = found.get("output"), found.get("outcome")
                if isinstance(output, str) and output:
                    self._text(_fenced(output, ""), events)
                elif outcome != "OUTCOME_OK":
                    self._text(_fenced(self._errors.label(str(outcome)), ""), events)
            case {"inlineData": dict() as file} | {"fileData": dict() as file}:
                self._file(file, events, is_thought=bool(part.get("thought")))

    def _file(self, file: dict[str, Any], events: list[ProviderEvent], *, is_thought: bool) -> None:
        media_type = file.get("mimeType")
        if is_thought:  # a draft; the final image follows
            self.add_text("reasoning", "\n\n*(A draft of an image, which is not saved)*\n\n", events)
        elif isinstance(media_type, str) and media_type and not media_type.lower().startswith("image/"):
            self._text(f"\n\n*({self._errors.label(media_type)}, which is not shown here)*\n\n", events)
        else:
            self._has_content = True
            self.add_image(image_of(file), events)

    def _text(self, text: str, events: list[ProviderEvent]) -> None:
        if text:
            self._has_content = True
            self.add_text("text", text, events)

    def _cite(self, candidate: _Candidate, events: list[ProviderEvent]) -> None:
        # Pages of a search or of a document store, places on a map, and recited works.
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
                    self._citations.add(url, page.get("title"), events)
                case {"title": str() as title} if title:  # of a document store, without a URL
                    self._citations.add_title(title, events)

    def _set_finish(self, reason: str, message: str, events: list[ProviderEvent]) -> None:
        if reason in _FAILURES:
            what, transient = _FAILURES[reason]
            raise self._errors.error("provider_error", f"{what} ({reason}). {message}", transient=transient)
        if message and not self._has_content and reason not in ("STOP", "MAX_TOKENS"):
            self._text(self._errors.redacted(message), events)
        word = _FINISH_REASONS.get(reason, reason.lower())
        if word == "content_filter" and not self._has_content:
            self._text(f"The answer was blocked: {self._errors.label(reason)}.", events)
        self.finish_reason = "tool_calls" if word == "stop" and self._calls.number else word

    def _set_blocked(self, reason: str, feedback: dict[str, Any], events: list[ProviderEvent]) -> None:
        message = feedback.get("blockReasonMessage")
        if not self._has_content:
            text = message if isinstance(message, str) and message else f"The prompt was blocked: {reason}."
            self._text(self._errors.redacted(text), events)
        self.finish_reason = "content_filter"


def _fenced(text: str, language: str) -> str:
    # The fence is longer than any in the text, as CommonMark requires.
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    lines = text.rstrip("\n")
    return f"\n\n{fence}{language}\n{lines}\n{fence}\n\n"


def usage_of(found: dict[str, Any]) -> Usage | None:
    """Return the counts of a ``usageMetadata`` object; None if it has none."""
    prompt, tools = count(found, "promptTokenCount"), count(found, "toolUsePromptTokenCount")
    answer, thoughts = count(found, "candidatesTokenCount"), count(found, "thoughtsTokenCount")
    usage = Usage(
        input_tokens=known_sum(prompt, tools),
        output_tokens=known_sum(answer, thoughts),
        cached_tokens=count(found, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )
    return None if usage == Usage() else usage
