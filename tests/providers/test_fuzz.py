"""Fuzz every decoder: only our own errors, the same events in any pieces, bounded time and memory."""

from __future__ import annotations

import copy
import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.speaking import ERRORS, STOP, cut, delta

from jupyter_bgstream.core.codec import decode_event, encode
from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Completed, Delta, Usage
from jupyter_bgstream.providers.formats import FORMATS
from jupyter_bgstream.providers.port import ProviderEvent

Frame = Callable[[Any], bytes]

CODES = {"truncated", "malformed_stream", "event_too_large", "provider_error", "model_not_found"} | {
    "rate_limited",
    "unauthorized",
    "bad_request",
}
MEBI = 2**20


def event(value: Any) -> bytes:
    """Return a server-sent event with the type of its JSON, as Responses and Messages send it."""
    kind = value.get("type") if isinstance(value, dict) else None
    named = b"event: %b\n" % kind.encode() if isinstance(kind, str) and kind.isidentifier() else b""
    return named + b"data: " + as_json(value) + b"\n\n"


def line(value: Any) -> bytes:
    return as_json(value) + b"\n"


def as_json(value: Any) -> bytes:
    """Return JSON with NaN and unpaired surrogates, which JSON does not allow."""
    return bytes(value) if isinstance(value, msgspec.Raw) else json.dumps(value).encode()


FRAMES: dict[str, Frame] = {"text/event-stream": event, "application/x-ndjson": line}

# Words that mean something to some format: a value made of them goes deeper than one made of random letters.
KEYS = """
    type message delta content choices text thinking usage error index finish_reason done done_reason tool_calls
    function name arguments id reasoning reasoning_content reasoning_details refusal annotations citations
    search_results url url_citation title prompt_tokens completion_tokens total_tokens prompt_tokens_details
    completion_tokens_details reasoning_tokens cached_tokens cost total_cost cost_in_usd_ticks x_groq timings
    prompt_n predicted_n eval_count prompt_eval_count code status object response output item item_id output_index
    content_index summary_index sequence_number incomplete_details reason annotation part content_block stop_reason
    input_tokens output_tokens input_tokens_details output_tokens_details cache_read_input_tokens signature
    partial_json candidates parts role thought functionCall args finishReason usageMetadata promptTokenCount
    candidatesTokenCount thoughtsTokenCount groundingMetadata groundingChunks web uri promptFeedback blockReason
    service_tier server_tool_use
""".split()  # noqa: SIM905 - as a list it would fill the page
WORDS = """
    stop STOP length error end_turn max_tokens assistant response.output_text.delta response.created
    response.completed response.failed response.incomplete response.output_item.done message_start message_delta
    message_stop content_block_start content_block_delta content_block_stop text_delta thinking_delta
    input_json_delta tool_use text thinking ping SAFETY MAX_TOKENS https://a.example [DONE]
""".split()  # noqa: SIM905 - as a list it would fill the page

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
    | st.sampled_from(["\ud83d", "\ude00", "a\ud83d", "\ude00b", "\ude00\ud83d"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
places = st.lists(st.integers(0, 5000), max_size=12)


def numbers(usage: Usage) -> list[float]:
    found = [getattr(usage, field) for field in Usage.__struct_fields__]
    return [number for number in found if number is not None]


def heard(name: str, pieces: Iterable[bytes]) -> tuple[list[ProviderEvent], str | None]:
    """Return the events of a decoder and its error; check the invariants that hold for any input."""
    decoder = FORMATS[name].decoder(ERRORS)
    said: list[ProviderEvent] = []
    for piece in pieces:
        said += decoder.feed(piece)
        if decoder.ended:
            assert decoder.feed(b"more") == []
    said += decoder.close()
    assert decoder.close() == []
    ends = [happened for happened in said if isinstance(happened, Completed)]
    assert (decoder.error is None) == (len(ends) == 1)
    assert not ends or (said[-1] is ends[0] and ends[0].finish_reason == ends[0].finish_reason.lower() != "")
    for happened in said:
        assert decode_event(encode(happened)) == happened  # the log can hold it
        assert not isinstance(happened, Delta) or happened.text
        if isinstance(happened, Usage):
            assert all(0 <= number < 2**53 for number in numbers(happened))
    if decoder.error is None:
        return said, None
    assert type(decoder.error) is ProviderError
    assert decoder.error.code in CODES
    assert len(decoder.error.message) < 1000
    return said, f"{decoder.error.code}: {decoder.error.message}"


def stable(name: str, stream: bytes, where: list[int]) -> None:
    assert heard(name, cut(stream, where)) == heard(name, [stream])


every_format = pytest.mark.parametrize("name", FORMATS)
few = settings(deadline=None, max_examples=60)


@every_format
@few
@given(st.binary(max_size=200), places)
def test_arbitrary_bytes_decode_the_same_in_any_pieces(name: str, stream: bytes, where: list[int]) -> None:
    stable(name, stream, where)


@every_format
@settings(deadline=None, max_examples=150)
@given(st.lists(values, max_size=6), places)
def test_arbitrary_json_decodes_the_same_in_any_pieces(name: str, said: list[Any], where: list[int]) -> None:
    stable(name, framed(name, said), where)


# A good answer of each format: its events, in order.
GOOD: dict[str, list[dict[str, Any]]] = {
    "chat_completions": [
        delta(role="assistant", content="", reasoning_content="hm"),
        delta(content="Grüße 👩‍👩‍👧‍👦 "),
        delta(content=[{"type": "thinking", "thinking": [{"text": "x"}]}, {"text": "y"}]),
        delta(reasoning_details=[{"type": "reasoning.text", "text": "z"}]),
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]),
        {**STOP, "citations": ["https://a.example"], "timings": {"prompt_n": 1, "predicted_n": 2, "cache_n": 3}},
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "total_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 2},
                "cost": 0.1,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.2},
            },
        },
    ],
    "ollama": [
        {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {"message": {"content": "Grüße 👩‍👩‍👧‍👦 "}, "done": False},
        {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, "done": False},
        {"message": {"content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4},
    ],
    "responses": [
        {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "status": "in_progress"}},
        {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "m", "delta": "Grüße "},
        {"type": "response.refusal.delta", "sequence_number": 2, "item_id": "m", "delta": "no"},
        {
            "type": "response.completed",
            "sequence_number": 3,
            "response": {"id": "r", "status": "completed", "output": [], "usage": {"input_tokens": 1}},
        },
    ],
    "messages": [
        {"type": "message_start", "message": {"id": "m", "role": "assistant", "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße "}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ],
    "gemini": [
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}], "role": "model"}}]},
        {
            "candidates": [{"content": {"parts": [{"text": "Grüße "}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4},
        },
    ],
}


def framed(name: str, said: Iterable[Any]) -> bytes:
    return b"".join(FRAMES[FORMATS[name].media_type](value) for value in said)


def test_every_format_has_a_valid_answer() -> None:
    assert FORMATS.keys() <= GOOD.keys()
    for name in FORMATS:
        said, error = heard(name, [framed(name, GOOD[name])])
        assert (error, isinstance(said[-1], Completed)) == (None, True)


@every_format
@settings(deadline=None, max_examples=120)
@given(st.data())
def test_corrupted_bytes_decode_the_same_in_any_pieces(name: str, data: st.DataObject) -> None:
    stream = bytearray(framed(name, GOOD[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "double", "insert"])):
            case "flip":
                stream[at] ^= 1 << data.draw(st.integers(0, 7))
            case "drop":
                del stream[at : at + data.draw(st.integers(1, 40))]
            case "double":
                stream[at:at] = stream[at : at + data.draw(st.integers(1, 200))]
            case "insert":
                stream[at:at] = data.draw(st.sampled_from([b"\n", b"\r\n", b'"', b"{", b"]", b"null", b"\xff", b"\0"]))
        stream = stream or bytearray(b"x")
    stable(name, bytes(stream), data.draw(places))


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Return every position in a JSON value, as (container, key)."""
    if not isinstance(value, dict | list):
        return []
    keys: Iterable[Any] = value if isinstance(value, dict) else range(len(value))
    return [spot for key in keys for spot in [(value, key), *spots(value[key])]]


ODD = [
    None,
    True,
    -1,
    2**70,
    1e300,
    0.5,
    float("nan"),
    "\ud83d",
    "",
    "x",
    "null",
    [],
    [7],
    [None],
    ["x"],
    [[]],
    {},
    {"a": 1},
    [{"text": 7}],
]


@every_format
def test_odd_value_anywhere_keeps_decoder_invariants(name: str) -> None:
    for number in range(len(spots(GOOD[name]))):
        for odd in ODD:
            said = copy.deepcopy(GOOD[name])
            container, key = spots(said)[number]
            container[key] = odd
            heard(name, [framed(name, said)])


@every_format
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_corrupted_values_decode_the_same_in_any_pieces(name: str, data: st.DataObject) -> None:
    said: list[Any] = copy.deepcopy(GOOD[name])
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(spots(said)))
        match data.draw(st.sampled_from(["change", "change", "drop", "double"])):
            case "change":
                container[key] = data.draw(scalars | values)
            case "drop":
                del container[key]
            case "double" if isinstance(container, list):
                container.insert(key, copy.deepcopy(container[key]))
        said = said or [{}]
    stable(name, framed(name, said), data.draw(places))


@every_format
def test_deeply_nested_json_fails(name: str) -> None:
    frame = FRAMES[FORMATS[name].media_type]
    deep = b"[" * 100_000 + b"]" * 100_000
    for spot in (b'"@"', b'{"error":"@"}', b'{"choices":"@"}', b'{"message":{"content":"@"}}'):
        stream = frame(msgspec.Raw(spot.replace(b'"@"', deep)))
        _, error = heard(name, [stream])
        assert error is not None


def big(name: str, size: int) -> bytes:
    """Return a valid event with a text of this many bytes."""
    return FRAMES[FORMATS[name].media_type]({"unknown": "x" * size})


@every_format
def test_large_event_in_small_pieces_takes_linear_time(name: str) -> None:
    def seconds(size: int) -> float:
        stream = big(name, size)
        pieces = [stream[at : at + 64] for at in range(0, len(stream), 64)]
        decoder = FORMATS[name].decoder(ERRORS)
        began = time.process_time()
        for piece in pieces:
            decoder.feed(piece)
        return time.process_time() - began

    # With quadratic time this would move 8 MiB for each of 131,072 pieces: half a terabyte.
    assert seconds(8 * MEBI) < 5


@every_format
def test_endless_event_is_refused_in_bounded_memory(name: str) -> None:
    decoder = FORMATS[name].decoder(ERRORS)
    piece = b"x" * MEBI
    fed = 0
    opening = b"data: " if FORMATS[name].media_type == "text/event-stream" else b'{"x": "'
    decoder.feed(opening)
    tracemalloc.start()
    try:
        while not decoder.ended:
            decoder.feed(bytes(piece))
            fed += 1
            assert fed < 20
        decoder.close()
        assert decoder.error is not None
        assert decoder.error.code == "event_too_large"
        assert tracemalloc.get_traced_memory()[1] < 2 * 17 * MEBI
    finally:
        tracemalloc.stop()


# An event with text, in the place of "TEXT", and the number of events of a good answer that come before it.
TEXT_EVENTS: dict[str, tuple[int, Any]] = {
    "chat_completions": (1, delta(content="TEXT")),
    "ollama": (1, {"message": {"content": "TEXT"}, "done": False}),
    "responses": (2, {"type": "response.output_text.delta", "item_id": "m", "delta": "TEXT"}),
    "messages": (2, {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "TEXT"}}),
    "gemini": (1, {"candidates": [{"content": {"parts": [{"text": "TEXT"}], "role": "model"}}]}),
}


@every_format
@pytest.mark.parametrize("kind", ["unknown", "text"])
def test_decoder_memory_does_not_grow_with_the_stream(name: str, kind: str) -> None:
    """A decoder keeps only what it needs, such as the URLs of the citations that it has yielded."""
    begun, repeated = TEXT_EVENTS[name] if kind == "text" else (0, {"unknown": "TEXT"})
    chance = random.Random(1)
    texts = [chance.randbytes(512).hex() for _ in range(64)]
    filler = [framed(name, [repeated]).replace(b"TEXT", text.encode()) for text in texts]
    decoder = FORMATS[name].decoder(ERRORS)
    decoder.feed(framed(name, GOOD[name][:begun]))
    yields = sum(isinstance(happened, Delta) for piece in filler for happened in decoder.feed(piece))
    assert yields == (len(filler) if kind == "text" else 0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(40):
            for piece in filler:
                decoder.feed(piece)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert decoder.error is None
    assert held < 64 * 1024  # of 2.6 MB
    decoder.feed(framed(name, GOOD[name][begun:]))
    assert any(isinstance(happened, Completed) for happened in decoder.close())
