"""The Responses format's stream, event by event, and from where it can be gone on with.

A text is said by its deltas; the whole text that follows them says only what they left out. How much was said is kept
as a count and a checksum, in the token too, so that the rest is found whatever came between.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ...core.errors import ProviderError
from ...core.events import Channel, Citation, Delta, ToolCall, Usage
from ..base import ProviderEvent, Resume
from ..errors import ErrorBuilder
from ..sanitize import MOST_CALLS, MOST_SOURCES
from .base import DEEP, StreamDecoder, count, payload_of
from .images import picture_of
from .lenient import Schema, whole
from .responses_calls import Call, call_of, may_wait
from .sse import ServerEvent

_REASONS = {"max_output_tokens": "length"}
# Codes of a failed response that are about what was asked, and that do not say "invalid".
_ASKED_WRONG = re.compile(r"image|policy|residency", re.I)


class _Tally(msgspec.Struct, array_like=True):
    # How much of a text was said: enough to find the rest in the whole, and to know that it is the same text.
    characters: int = 0
    crc: int = 0

    def add(self, text: str) -> None:
        self.characters += len(text)
        self.crc = zlib.crc32(text.encode(errors="surrogatepass"), self.crc)

    def rest(self, whole: str) -> str:
        said = whole[: self.characters]
        return whole[self.characters :] if zlib.crc32(said.encode(errors="surrogatepass")) == self.crc else ""


class Place(msgspec.Struct, omit_defaults=True):
    """Where in an answer its reader is: what a token holds."""

    id: str = ""  # of the response
    after: int = -1  # sequence_number of the last event that was read, but for the last of all
    text: _Tally = msgspec.field(default_factory=_Tally)
    reasoning: _Tally = msgspec.field(default_factory=_Tally)
    part: str = ""  # the part of the reasoning that was last spoken of
    calls: list[str] = []  # ids of tool calls that were said
    waits: bool = False  # whether one of them is the client's to make
    may_wait: bool = False  # whether one is that no message has followed
    refuses: bool = False
    urls: list[int] = []  # checksums of the sources that were said
    pictures: list[int] = []  # checksums of the ids of pictures that were shown


_encode = msgspec.json.Encoder().encode
read_place = msgspec.json.Decoder(Place).decode


# Only what is read at every delta is typed; the rest is looked at with care.
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


NEEDED: dict[type, tuple[str, ...]] = {}  # of deltas only the text is, which has no type here: see _say


class ResponsesDecoder(StreamDecoder):
    """Responses. The end is ``response.completed`` or ``response.incomplete``; ``[DONE]`` may follow.

    With a token it takes what comes after it. ``state`` takes the answer as a whole instead of a stream.
    """

    schema = Schema(_Event, needed=NEEDED)

    def __init__(self, errors: ErrorBuilder, token: str | None = None) -> None:
        super().__init__(errors)
        self._at = Place() if token is None else read_place(token)
        self._resumed = token is not None
        self._lasts = self._resumed  # whether the service goes on while nobody reads
        self._parts: dict[str, _Tally] = {}
        self._found: list[Any] = []  # results of searches; said last, for citations of them have titles
        self._counts: Any = None

    @property
    def token(self) -> str | None:
        """From where the service can be asked to go on; None if it cannot."""
        return _encode(self._at).decode() if self._lasts else None

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """Return what these bytes say, and from where the service can be asked to go on. Never raises."""
        known = self._lasts
        return self._marked(super().feed(data), known=known)

    def state(self, response: Any) -> list[ProviderEvent]:
        """Return what an answer has become that was not said yet, once it has ended. Never raises."""
        said: list[ProviderEvent] = []
        try:
            self._whole(response, said)
        except ProviderError as error:
            self.error = error
        except RecursionError:
            self.error = self._errors.error("malformed_stream", DEEP)
        self.ended = self.ended or self.error is not None
        return self._marked(said, known=True)

    def take(self, found: _Event, event: ServerEvent, said: list[ProviderEvent]) -> None:
        """Add what one event says."""
        kind = found.type or event.type
        if found.object == "response" and found.status:  # the whole answer, which came instead of a stream
            self._whole(payload_of(event.data), said)
            return
        if kind == "error" or event.type == "error" or found.error:
            raise self.report(event)
        if not kind.startswith("response."):
            self.strange(event)
        number = found.sequence_number
        if number is not None and self._lasts and number <= self._at.after:
            return  # said before
        if not self._delta(kind, found, said):
            self._other(kind, found, said)
        if number is not None and not self.settled:
            self._at.after = number

    def usage(self) -> Usage | None:
        """Return what was counted."""
        given, answered = (count(self._counts, f"{kind}_tokens") for kind in ("input", "output"))
        usage = Usage(
            input_tokens=given,
            output_tokens=answered,
            cached_tokens=count(self._counts, "input_tokens_details", "cached_tokens"),
            cache_write_tokens=count(self._counts, "input_tokens_details", "cache_write_tokens"),
            reasoning_tokens=count(self._counts, "output_tokens_details", "reasoning_tokens"),
        )
        return None if usage == Usage() else usage

    def _marked(self, said: list[ProviderEvent], *, known: bool) -> list[ProviderEvent]:
        if self._lasts and (said or not known):
            said.append(Resume(token=_encode(self._at).decode()))
        return said

    def _delta(self, kind: str, event: _Event, said: list[ProviderEvent]) -> bool:
        # Pieces of the answer, and the whole of each part, which says more only where there were no pieces.
        match kind:
            case "response.output_text.delta":
                self._say(event, "text", f"t{event.content_index}", event.delta, said)
            case "response.reasoning_summary_text.delta":
                self._say(event, "reasoning", f"s{event.summary_index}", event.delta, said)
            case "response.reasoning_text.delta":
                self._say(event, "reasoning", f"r{event.content_index}", event.delta, said)
            case "response.refusal.delta":
                self._at.refuses = True
                self._say(event, "text", f"f{event.content_index}", event.delta, said)
            case "response.output_text.done":
                self._say_rest(event, "text", f"t{event.content_index}", event.text, said)
            case "response.reasoning_summary_text.done":
                self._say_rest(event, "reasoning", f"s{event.summary_index}", event.text, said)
            case "response.reasoning_text.done":
                self._say_rest(event, "reasoning", f"r{event.content_index}", event.text, said)
            case "response.refusal.done":
                self._at.refuses = True
                self._say_rest(event, "text", f"f{event.content_index}", event.refusal, said)
            case _:
                return False
        return True

    def _other(self, kind: str, event: _Event, said: list[ProviderEvent]) -> None:
        match kind:
            case "response.output_text.annotation.added":
                self._sources([event.annotation], said)
            case "response.output_item.done":
                self._item(event.item, said)
            case "response.created" | "response.queued" | "response.in_progress":
                match event.response:
                    # Without numbers nobody could tell what comes again from what is new.
                    case {"id": str() as name, "background": True} if (
                        name and self._errors.is_clean(name) and event.sequence_number is not None
                    ):  # it is kept, to go on with it
                        self._at.id = whole(name)
                        self._lasts = True
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self._whole({"status": kind.removeprefix("response.")} | _object(event.response), said)

    def _say(self, event: _Event, channel: Channel, part: str, text: Any, said: list[ProviderEvent]) -> None:
        if text and not isinstance(text, str):
            raise self.unreadable("A delta", text)
        if text and self._splits:
            text = self._halves.join(channel, text)
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
        said.append(Delta(channel=channel, text=text))

    def _say_rest(self, event: _Event, channel: Channel, part: str, text: Any, said: list[ProviderEvent]) -> None:
        # After a resume the beginning of a part may not be known; then what is missing is found in the end.
        if isinstance(text, str) and not self._resumed:
            tally = self._parts.get(f"{event.output_index}.{part}") or _Tally()
            self._say(event, channel, part, tally.rest(text), said)

    def _item(self, item: Any, said: list[ProviderEvent]) -> None:
        match item:
            case {"type": "message", "content": list() as parts}:
                self._at.may_wait = False  # the service has made its calls itself
                for part in parts:
                    match part:
                        case {"annotations": list() as found}:
                            self._sources(found, said)
                        case {"type": "refusal"}:
                            self._at.refuses = True
            case {"type": "web_search_call", "action": {"sources": list() as found}}:
                self._found += found[: MOST_SOURCES - len(self._found)]
            case {"type": "image_generation_call"}:
                self._picture(item, said)
            case dict() if (call := call_of(item)) is not None:
                self._call(call, said)

    def _picture(self, item: dict[str, Any], said: list[ProviderEvent]) -> None:
        # The whole answer at the end repeats it, also behind a token. Previews (partial_image) are not of the answer.
        match item.get("id"):
            case str() as name if name:
                mark = zlib.crc32(name.encode(errors="surrogatepass"))
                if mark in self._at.pictures:
                    return
                self._at.pictures.append(mark)
        self.show(picture_of(item.get("result")), said)

    def _call(self, call: Call, said: list[ProviderEvent]) -> None:
        name = call.id or f"call_{len(self._at.calls)}"
        name = whole(self._errors.label(name))  # as it is kept, to go on behind it
        if name in self._at.calls:
            return
        if len(self._at.calls) == MOST_CALLS:
            raise self._errors.error("answer_too_long", f"It asks for more than {MOST_CALLS:,} tools.")
        self._at.calls.append(name)
        self._at.waits = self._at.waits or call.waits
        self._at.may_wait = self._at.may_wait or call.may_wait
        said.append(ToolCall(id=name, name=call.name, arguments=call.arguments))

    def _sources(self, found: list[Any], said: list[ProviderEvent]) -> None:
        for source in found:
            match source:
                case {"type": "url_citation" | "url", "url": str() as url} if url:
                    mark = zlib.crc32(url.encode(errors="surrogatepass"))
                    if mark not in self._at.urls and len(self._at.urls) < MOST_SOURCES:
                        self._at.urls.append(mark)
                        title = source.get("title")
                        said.append(Citation(url=url, title=title if isinstance(title, str) else ""))

    def _whole(self, response: Any, said: list[ProviderEvent]) -> None:
        """Take an answer as a whole: what was not said of it, and how it ended, if it has."""
        response = _object(response)
        status = response.get("status")
        if status not in ("completed", "incomplete", "failed", "cancelled"):
            return
        self._counts = response.get("usage") or self._counts
        output = response.get("output")
        items = output if isinstance(output, list) else []
        for channel, tally, text in (
            ("reasoning", self._at.reasoning, "\n\n".join(_texts(items, "reasoning"))),
            ("text", self._at.text, "".join(_texts(items, "message"))),
        ):
            if rest := tally.rest(whole(text)):
                tally.add(rest)
                said.append(Delta(channel=channel, text=rest))  # type: ignore[arg-type]  # two of two
        for item in items:
            self._item(item, said)
        if items:
            self._at.may_wait = may_wait(items)
        if status == "failed":
            raise self._failure(response.get("error"))
        if status == "cancelled":
            raise self._errors.error("provider_error", "The answer was cancelled at the service.")
        self._sources(self._found, said)
        self.finish_reason = self._reason(status, response.get("incomplete_details"))
        self.ended = True

    def _reason(self, status: str, details: Any) -> str:
        if status == "incomplete":
            reason = details.get("reason") if isinstance(details, dict) else None
            return _REASONS.get(reason, reason.lower()) if isinstance(reason, str) and reason else "incomplete"
        if self._at.waits or self._at.may_wait:
            return "tool_calls"
        return "refusal" if self._at.refuses else "stop"

    def _failure(self, error: Any) -> ProviderError:
        match error:
            case {"code": str() as code, "message": str() as words} if _ASKED_WRONG.search(code):
                return self._errors.error("bad_request", f"{code}: {words}")
            case dict() if error:
                return self._errors.payload_error({"error": error})
        return self._errors.error("provider_error", "The answer failed; the service does not say why.", transient=True)


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _texts(items: list[Any], kind: Literal["message", "reasoning"]) -> Iterator[str]:
    # All parts of an answer, in the order in which a stream says them.
    for item in items:
        if not isinstance(item, dict) or item.get("type") != kind:
            continue
        for name in ("summary", "content"):
            parts = item.get(name)
            for part in parts if isinstance(parts, list) else ():
                text = (part.get("text") or part.get("refusal")) if isinstance(part, dict) else None
                if isinstance(text, str) and text:
                    yield text
