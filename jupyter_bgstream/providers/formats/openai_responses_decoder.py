"""Decoder of the Responses format, event by event, with tokens to resume a response.

A text comes as deltas; the whole text after them only adds what they left out. The amount of text so far is stored as a
count and a checksum, also in the token, so that the rest is found after any interruption.
"""

import re
import zlib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ...core.errors import ProviderError
from ...core.events import Channel, Citation, Delta, ToolCall, Usage
from ..errors import ErrorBuilder
from ..event_limits import MAX_CALLS, MAX_CITATIONS
from ..port import ProviderEvent, Resume
from .framing import ServerEvent
from .images import image_of
from .lenient_json import Schema, joined, list_of
from .openai_responses_calls import Call, call_of, may_wait
from .stream_decoder import DEEP, StreamDecoder, count, payload_of

_REASONS = {"max_output_tokens": "length"}
# Codes of a failed response that concern the request and do not say "invalid".
_BAD_REQUEST = re.compile(r"image|policy|residency", re.I)


class _Tally(msgspec.Struct, array_like=True):
    # The amount of a text so far: enough to find the rest in the whole text, and to verify that it is the same text.
    characters: int = 0
    crc: int = 0

    def add(self, text: str) -> None:
        self.characters += len(text)
        self.crc = zlib.crc32(text.encode(errors="surrogatepass"), self.crc)

    def rest(self, text: str) -> str:
        begin = text[: self.characters]
        return text[self.characters :] if zlib.crc32(begin.encode(errors="surrogatepass")) == self.crc else ""


class ResumePoint(msgspec.Struct, omit_defaults=True):
    """A position in a response, as a token holds it; stored jobs have its field names."""

    id: str = ""  # of the response
    after: int = -1  # sequence_number of the last event that was read, except the end
    text: _Tally = msgspec.field(default_factory=_Tally)
    reasoning: _Tally = msgspec.field(default_factory=_Tally)
    part: str = ""  # the last part of the reasoning
    calls: list[str] = []  # ids of tool calls so far
    waits: bool = False  # whether the client must run one of them
    may_wait: bool = False  # whether the client must run one of them unless a message follows
    refuses: bool = False
    urls: list[int] = []  # checksums of the URLs of citations so far
    images: list[int] = []  # checksums of the ids of images so far


_encode = msgspec.json.Encoder().encode
read_resume_point = msgspec.json.Decoder(ResumePoint).decode


# Only fields of every delta are typed.
class _Event(msgspec.Struct, gc=False):
    type: str = ""
    sequence_number: int | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    annotation: Any = None
    item: Any = None
    response: Any = None
    error: Any = None
    object: Any = None
    status: Any = None


REQUIRED: dict[type, tuple[str, ...]] = {}  # only the text of deltas is required, which has no type here: see _add


class ResponsesDecoder(StreamDecoder):
    """Decoder of Responses. The end is ``response.completed`` or ``response.incomplete``; ``[DONE]`` may follow.

    With a token it decodes the rest after that. ``apply_snapshot`` takes the whole response instead of a stream.
    """

    schema = Schema(_Event, required=REQUIRED)

    def __init__(self, errors: ErrorBuilder, token: str | None = None) -> None:
        super().__init__(errors)
        self._at = ResumePoint() if token is None else read_resume_point(token)
        self._resumed = token is not None
        self._resumable = self._resumed  # whether the provider continues the response without a reader
        self._parts: dict[str, _Tally] = {}
        self._results: list[Any] = []  # of searches; cited last, since citations of them have titles
        self._usage: Any = None

    @property
    def token(self) -> str | None:
        """Token to resume the response here; None if it cannot be resumed."""
        return _encode(self._at).decode() if self._resumable else None

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Return the events in these bytes, with a token after them. Never raise."""
        was_resumable = self._resumable
        return self._with_token(super().feed(data), was_resumable=was_resumable)

    def apply_snapshot(self, response: Any) -> list[ProviderEvent]:
        """Return the events that are new in a response that has ended; none in another. Never raise."""
        events: list[ProviderEvent] = []
        try:
            self._response(response, events)
        except ProviderError as error:
            self.error = error
        except RecursionError:
            self.error = self._errors.error("malformed_stream", DEEP)
        self.ended = self.ended or self.error is not None
        return self._with_token(events, was_resumable=True)

    def handle(self, parsed: _Event, event: ServerEvent, events: list[ProviderEvent]) -> None:
        """Append the events of one server event."""
        kind = parsed.type or event.type
        if parsed.object == "response" and parsed.status:  # the whole response, sent instead of a stream
            self._response(payload_of(event.data), events)
            return
        if kind == "error" or event.type == "error" or parsed.error:
            raise self.event_error(event)
        if not kind.startswith("response."):
            self.handle_unknown(event)
        number = parsed.sequence_number
        if number is not None and self._resumable and number <= self._at.after:
            return  # a repetition
        if not self._delta(kind, parsed, events):
            self._other(kind, parsed, events)
        if number is not None and not self.is_complete:
            self._at.after = number

    def usage(self) -> Usage | None:
        """Return the usage."""
        usage = Usage(
            input_tokens=count(self._usage, "input_tokens"),
            output_tokens=count(self._usage, "output_tokens"),
            cached_tokens=count(self._usage, "input_tokens_details", "cached_tokens"),
            cache_write_tokens=count(self._usage, "input_tokens_details", "cache_write_tokens"),
            reasoning_tokens=count(self._usage, "output_tokens_details", "reasoning_tokens"),
        )
        return None if usage == Usage() else usage

    def _with_token(self, events: list[ProviderEvent], *, was_resumable: bool) -> list[ProviderEvent]:
        if self._resumable and (events or not was_resumable):
            events.append(Resume(token=_encode(self._at).decode()))
        return events

    def _delta(self, kind: str, event: _Event, events: list[ProviderEvent]) -> bool:
        # Pieces of the answer, and the whole of each part, which adds text only if there were no pieces.
        match kind:
            case "response.output_text.delta":
                self._add(event, "text", f"t{event.content_index}", event.delta, events)
            case "response.reasoning_summary_text.delta":
                self._add(event, "reasoning", f"s{event.summary_index}", event.delta, events)
            case "response.reasoning_text.delta":
                self._add(event, "reasoning", f"r{event.content_index}", event.delta, events)
            case "response.refusal.delta":
                self._at.refuses = True
                self._add(event, "text", f"f{event.content_index}", event.delta, events)
            case "response.output_text.done":
                self._add_rest(event, "text", f"t{event.content_index}", event.text, events)
            case "response.reasoning_summary_text.done":
                self._add_rest(event, "reasoning", f"s{event.summary_index}", event.text, events)
            case "response.reasoning_text.done":
                self._add_rest(event, "reasoning", f"r{event.content_index}", event.text, events)
            case "response.refusal.done":
                self._at.refuses = True
                self._add_rest(event, "text", f"f{event.content_index}", event.refusal, events)
            case _:
                return False
        return True

    def _other(self, kind: str, event: _Event, events: list[ProviderEvent]) -> None:
        match kind:
            case "response.output_text.annotation.added":
                self._cite([event.annotation], events)
            case "response.output_item.done":
                self._item(event.item, events)
            case "response.created" | "response.queued" | "response.in_progress":
                match event.response:
                    # Without sequence numbers a repetition cannot be distinguished from a new event.
                    case {"id": str() as name, "background": True} if (
                        name and self._errors.is_clean(name) and event.sequence_number is not None
                    ):  # the id is stored in the token
                        self._at.id = joined(name)
                        self._resumable = True
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self._response({"status": kind.removeprefix("response.")} | _object(event.response), events)

    def _add(self, event: _Event, channel: Channel, part: str, text: Any, events: list[ProviderEvent]) -> None:
        if text and not isinstance(text, str):
            raise self.type_error("A delta", text)
        if text and self._splits:
            text = self._surrogates.join(channel, text)
        if not text:
            return
        part = f"{event.output_index}.{part}"
        self._parts.setdefault(part, _Tally()).add(text)
        if channel == "text":
            self._at.text.add(text)
        else:
            if self._at.part not in ("", part):
                text = f"\n\n{text}"
            self._at.part = part
            self._at.reasoning.add(text)
        events.append(Delta(channel=channel, text=text))

    def _add_rest(self, event: _Event, channel: Channel, part: str, text: Any, events: list[ProviderEvent]) -> None:
        # After a resume the start of a part may be unknown; the rest is then found at the end.
        if isinstance(text, str) and not self._resumed:
            tally = self._parts.get(f"{event.output_index}.{part}") or _Tally()
            self._add(event, channel, part, tally.rest(text), events)

    def _item(self, item: Any, events: list[ProviderEvent]) -> None:
        match item:
            case {"type": "message", "content": list() as parts}:
                self._at.may_wait = False  # the service has run its calls itself
                for part in parts:
                    match part:
                        case {"annotations": list() as found}:
                            self._cite(found, events)
                        case {"type": "refusal"}:
                            self._at.refuses = True
            case {"type": "web_search_call", "action": {"sources": list() as found}}:
                self._results += found[: MAX_CITATIONS - len(self._results)]
            case {"type": "image_generation_call"}:
                self._image(item, events)
            case dict() if (call := call_of(item)) is not None:
                self._call(call, events)

    def _image(self, item: dict[str, Any], events: list[ProviderEvent]) -> None:
        # The whole response repeats it, also after a token. Previews (partial_image) are not a part of the answer.
        match item.get("id"):
            case str() as name if name:
                checksum = zlib.crc32(name.encode(errors="surrogatepass"))
                if checksum in self._at.images:
                    return
                self._at.images.append(checksum)
        self.add_image(image_of(item.get("result")), events)

    def _call(self, call: Call, events: list[ProviderEvent]) -> None:
        name = call.id or f"call_{len(self._at.calls)}"
        name = joined(self._errors.label(name))  # as the token stores it
        if name in self._at.calls:
            return
        if len(self._at.calls) == MAX_CALLS:
            raise self._errors.error("answer_too_long", f"It has more than {MAX_CALLS:,} tool calls.")
        self._at.calls.append(name)
        self._at.waits = self._at.waits or call.waits
        self._at.may_wait = self._at.may_wait or call.may_wait
        events.append(ToolCall(id=name, name=call.name, arguments=call.arguments))

    def _cite(self, found: list[Any], events: list[ProviderEvent]) -> None:
        for source in found:
            match source:
                case {"type": "url_citation" | "url", "url": str() as url} if url:
                    checksum = zlib.crc32(url.encode(errors="surrogatepass"))
                    if checksum not in self._at.urls and len(self._at.urls) < MAX_CITATIONS:
                        self._at.urls.append(checksum)
                        title = source.get("title")
                        events.append(Citation(url=url, title=title if isinstance(title, str) else ""))

    def _response(self, response: Any, events: list[ProviderEvent]) -> None:
        """Append what is new in a whole response, and set its end if it has ended."""
        response = _object(response)
        status = response.get("status")
        if status not in ("completed", "incomplete", "failed", "cancelled"):
            return
        self._usage = response.get("usage") or self._usage
        items = list_of(response.get("output"))
        for channel, tally, text in (
            ("reasoning", self._at.reasoning, "\n\n".join(_texts(items, "reasoning"))),
            ("text", self._at.text, "".join(_texts(items, "message"))),
        ):
            if rest := tally.rest(joined(text)):
                tally.add(rest)
                events.append(Delta(channel=channel, text=rest))  # type: ignore[arg-type]  # one of two literals
        for item in items:
            self._item(item, events)
        if items:
            self._at.may_wait = may_wait(items)
        if status == "failed":
            raise self._failure(response.get("error"))
        if status == "cancelled":
            raise self._errors.error("provider_error", "The response was cancelled at the provider.")
        self._cite(self._results, events)
        self.finish_reason = self._finish(status, response.get("incomplete_details"))
        self.ended = True

    def _finish(self, status: str, details: Any) -> str:
        if status == "incomplete":
            reason = details.get("reason") if isinstance(details, dict) else None
            return _REASONS.get(reason, reason.lower()) if isinstance(reason, str) and reason else "incomplete"
        if self._at.waits or self._at.may_wait:
            return "tool_calls"
        return "refusal" if self._at.refuses else "stop"

    def _failure(self, error: Any) -> ProviderError:
        match error:
            case {"code": str() as code, "message": str() as message} if _BAD_REQUEST.search(code):
                return self._errors.error("bad_request", f"{code}: {message}")
            case dict() if error:
                return self._errors.payload_error({"error": error})
        return self._errors.error("provider_error", "The response failed without a reason.", transient=True)


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _texts(items: list[Any], kind: Literal["message", "reasoning"]) -> Iterator[str]:
    # All parts of an answer, in the order of a stream.
    for item in items:
        if not isinstance(item, dict) or item.get("type") != kind:
            continue
        for name in ("summary", "content"):
            for part in list_of(item.get(name)):
                text = (part.get("text") or part.get("refusal")) if isinstance(part, dict) else None
                if isinstance(text, str) and text:
                    yield text
