"""Hand-written events of OpenAI's Responses, one of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from providers.speaking import ERRORS

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.providers.formats.openai_responses import Responses
from jupyter_bgstream.providers.port import ProviderEvent
from jupyter_bgstream.testing.scripts import event

FORMAT = Responses()
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 50,
}
COUNTED = Usage(input_tokens=20, output_tokens=30, cached_tokens=5, reasoning_tokens=12)


def stream(*events: dict[str, Any], background: bool = False, number: int = 0) -> list[bytes]:
    """Return the numbered events of a stream, each with its `event:` line, after response.created."""
    begun = {"type": "response.created", "response": {"id": "resp_1", "status": "queued", "background": background}}
    return [event({"sequence_number": n} | it, it["type"]) for n, it in enumerate([begun, *events], number)]


def delta(kind: str, piece: str, item: int = 0, part: int = 0) -> dict[str, Any]:
    index = "summary_index" if "summary" in kind else "content_index"
    return {"type": f"response.{kind}.delta", "output_index": item, index: part, "item_id": f"i{item}", "delta": piece}


def done(kind: str, whole: str, item: int = 0, part: int = 0) -> dict[str, Any]:
    index = "summary_index" if "summary" in kind else "content_index"
    name = "refusal" if kind == "refusal" else "text"
    return {"type": f"response.{kind}.done", "output_index": item, index: part, "item_id": f"i{item}", name: whole}


def item(found: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": found}


def message(*texts: str, refusal: str = "", annotations: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "output_text", "text": it, "annotations": [*annotations]} for it in texts]
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": parts}


def end(*output: dict[str, Any], status: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": status, "output": [*output], "usage": USAGE} | fields
    return {"type": f"response.{status}", "response": response}


def heard(pieces: Iterable[bytes], token: str | None = None) -> tuple[list[ProviderEvent], ProviderError | None]:
    decoder = FORMAT.decoder(ERRORS, token)
    said = [event for piece in pieces for event in decoder.feed(piece)]
    return [*said, *decoder.close()], decoder.error


def decoded(pieces: Iterable[bytes], token: str | None = None) -> list[ProviderEvent]:
    said, error = heard(pieces, token)
    if error is not None:
        raise error
    return said


def citation(url: str, title: str = "") -> dict[str, Any]:
    return {"type": "url_citation", "url": url, "title": title, "start_index": 0, "end_index": 1}


PLAIN = [delta("output_text", "Hello, "), delta("output_text", "weiß 🦉"), done("output_text", "Hello, weiß 🦉")]
THOUGHT = [
    delta("reasoning_summary_text", "First"),
    delta("reasoning_summary_text", " this."),
    done("reasoning_summary_text", "First this."),
    delta("reasoning_summary_text", "Then that.", part=1),
    done("reasoning_summary_text", "Then that.", part=1),
    item({"type": "reasoning", "id": "i0", "summary": [{"text": "First this."}, {"text": "Then that."}]}),
]
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at": "it"}'}
SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "x", "sources": [{"type": "url", "url": "https://a.example/"}]},
}
NOTED = [
    {
        "type": "response.output_text.annotation.added",
        "output_index": 1,
        "content_index": 0,
        "annotation": citation("https://b.example/", "B"),
    }
]
EVERYTHING = stream(
    {"type": "response.queued", "response": {"id": "resp_1", "status": "queued"}},
    {"type": "response.in_progress", "response": {"id": "resp_1", "status": "in_progress"}},
    *THOUGHT,
    item(SEARCH, 1),
    {"type": "response.output_item.added", "output_index": 2, "item": message()},
    {"type": "response.content_part.added", "output_index": 2, "content_index": 0, "part": {"type": "output_text"}},
    *PLAIN,
    *NOTED,
    {"type": "response.content_part.done", "output_index": 2, "content_index": 0, "part": {"text": "Hello, weiß 🦉"}},
    item(message("Hello, weiß 🦉", annotations=[citation("https://b.example/", "B")]), 2),
    {"type": "response.function_call_arguments.delta", "output_index": 3, "item_id": "fc_1", "delta": '{"at"'},
    {"type": "response.function_call_arguments.done", "output_index": 3, "item_id": "fc_1", "arguments": "{}"},
    item(CALL, 3),
    {"type": "response.some_event_of_next_year", "delta": {"not": "a text"}, "item": 7},
    end(THOUGHT[-1]["item"], SEARCH, message("Hello, weiß 🦉"), CALL),
)
EVENTS = [
    Delta(channel="reasoning", text="First"),
    Delta(channel="reasoning", text=" this."),
    Delta(channel="reasoning", text="\n\nThen that."),
    Delta(channel="text", text="Hello, "),
    Delta(channel="text", text="weiß 🦉"),
    Citation(url="https://b.example/", title="B"),
    ToolCall(id="call_1", name="look", arguments='{"at": "it"}'),
    Citation(url="https://a.example/"),
    COUNTED,
    Completed(at=0.0, finish_reason="tool_calls"),
]
