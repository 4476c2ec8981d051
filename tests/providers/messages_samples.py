"""Hand-written events of Anthropic's Messages, one of each kind."""

from __future__ import annotations

from typing import Any

from providers.decoding import named

from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage

COUNTS = {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": COUNTS}}
STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def begun(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ended(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def finish(reason: str | None = "end_turn", **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def block(index: int, words: str) -> list[dict[str, Any]]:
    return [
        begun(index, type="text", text=""),
        *(piece(index, type="text_delta", text=word) for word in words.split("|")),
        ended(index),
    ]


def answer(*events: dict[str, Any], reason: str = "end_turn") -> bytes:
    return b"".join(named(START, *events, finish(reason, output_tokens=30), STOP))


# Every kind of event that a stream may hold.
FULL = named(
    START,
    PING,
    begun(0, type="thinking", thinking="", signature=""),
    piece(0, type="thinking_delta", thinking="Grüße, "),
    piece(0, type="thinking_delta", thinking="hm\u2028"),
    piece(0, type="signature_delta", signature="EvQBCkYICxgC"),
    ended(0),
    begun(1, type="redacted_thinking", data="EmwKAhgB"),
    ended(1),
    begun(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    piece(2, type="input_json_delta", partial_json='{"query": "logs"}'),
    ended(2),
    begun(
        3,
        type="web_search_tool_result",
        tool_use_id="srvtoolu_1",
        content=[
            {"type": "web_search_result", "url": "https://a.example/", "title": "A", "encrypted_content": "x"},
            {"type": "web_search_result", "url": "https://b.example/", "title": "B", "encrypted_content": "x"},
        ],
    ),
    ended(3),
    begun(4, type="text", text="", citations=[]),
    piece(4, type="text_delta", text="A 👩‍👩‍👧‍👦 "),
    piece(4, type="citations_delta", citation={"type": "web_search_result_location", "url": "https://a.example/"}),
    piece(
        4,
        type="citations_delta",
        citation={"type": "web_search_result_location", "url": "https://c.example/", "title": "C"},
    ),
    piece(4, type="text_delta", text="log"),
    ended(4),
    begun(5, type="tool_use", id="toolu_1", name="look", input={}),
    piece(5, type="input_json_delta", partial_json=""),
    piece(5, type="input_json_delta", partial_json='{"at": '),
    piece(5, type="input_json_delta", partial_json="2}"),
    ended(5),
    {"type": "something_new", "index": 6, "delta": {"type": "text_delta", "text": "no"}},
    finish("tool_use", input_tokens=20, output_tokens=30),
    STOP,
)
EVENTS = [
    Delta(channel="reasoning", text="Grüße, "),
    Delta(channel="reasoning", text="hm\u2028"),
    Citation(url="https://a.example/", title="A"),
    Citation(url="https://b.example/", title="B"),
    Delta(channel="text", text="A 👩‍👩‍👧‍👦 "),
    Citation(url="https://c.example/", title="C"),
    Delta(channel="text", text="log"),
    ToolCall(id="toolu_1", name="look", arguments='{"at": 2}'),
    Usage(input_tokens=28, output_tokens=30, cached_tokens=5, cache_write_tokens=3),
    Completed(at=0.0, finish_reason="tool_calls"),
]
