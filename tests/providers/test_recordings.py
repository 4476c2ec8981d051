"""Recorded answers of services and our own streams in the Chat Completions format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from providers.recorded import streams
from providers.speaking import cut, cut_at_random, decoded, heard, of, text

from jupyter_bgstream.core.events import Citation, Completed, ToolCall, Usage

STREAMS = streams("chat-completions")
each = pytest.mark.parametrize("path", STREAMS.values(), ids=STREAMS)

# Read by a person: how many tool calls and citations there are, and how the reasoning is counted.
FOUND = {
    "own-tool-call": (ToolCall, 1),
    "own-citations": (Citation, 2),
    "deepseek-tool-call": (ToolCall, 1),
    "perplexity-citations": (Citation, 7),
}
APART = {
    "own-counted-apart": Usage(input_tokens=12, output_tokens=42, cached_tokens=4, reasoning_tokens=40),
    "xai-text": Usage(input_tokens=12, output_tokens=342, cached_tokens=11, reasoning_tokens=340, cost=0.000172125),
}


def lines_of(path: Path) -> list[bytes]:
    # Not splitlines of text: an answer may hold a U+2028.
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def stream_of(lines: list[bytes], end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + line + b"\n\n" for line in lines) + end


def deltas_of(lines: list[bytes]) -> list[dict[str, Any]]:
    return [choice.get("delta") or {} for line in lines for choice in json.loads(line).get("choices") or []]


def text_of(lines: list[bytes]) -> str:
    """Return the text of the answer, independently of the decoder."""
    found = ""
    for delta in deltas_of(lines):
        content = delta.get("content") or ""
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part["type"] == "text")
        found += content
    return found


def reasoning_of(lines: list[bytes]) -> str:
    found = ""
    for delta in deltas_of(lines):
        found += delta.get("reasoning_content") or delta.get("reasoning") or ""
        for part in delta["content"] if isinstance(delta.get("content"), list) else ():
            if part["type"] == "thinking":
                found += "".join(thought["text"] for thought in part["thinking"])
    return found


@each
def test_recording_decodes_to_its_content(path: Path) -> None:
    lines = lines_of(path)
    said = decoded(stream_of(lines))
    assert text(said) == text_of(lines)
    assert text(said, "reasoning") == reasoning_of(lines)
    assert text(said) or of(said, ToolCall)
    assert isinstance(said[-1], Completed)
    assert len(of(said, Completed)) == len(of(said, Usage)) == 1


@each
def test_stream_byte_by_byte_decodes_the_same(path: Path) -> None:
    stream = stream_of(lines_of(path))
    assert decoded(stream[at : at + 1] for at in range(len(stream))) == decoded(stream)


@each
@pytest.mark.parametrize("seed", range(3))
def test_stream_in_random_pieces_decodes_the_same(path: Path, seed: int) -> None:
    stream = stream_of(lines_of(path))
    assert decoded(cut_at_random(stream, seed)) == decoded(stream)


@each
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=200))
def test_stream_in_any_pieces_decodes_the_same(path: Path, places: list[int]) -> None:
    stream = stream_of(lines_of(path)[-60:])
    assert decoded(cut(stream, places)) == decoded(stream)


@each
def test_stream_cut_at_any_event_is_truncated(path: Path) -> None:
    lines = lines_of(path)
    finish = next(
        number
        for number, line in enumerate(lines)
        if any(choice.get("finish_reason") for choice in json.loads(line)["choices"])
    )
    # All boundaries near the ends, and a sample of those between: decoding all prefixes of a long one is quadratic.
    for place in (
        range(finish + 1) if finish < 60 else [*range(20), *range(20, finish, 37), *range(finish - 20, finish + 1)]
    ):
        said, error = heard(stream_of(lines[:place], end=b""))
        assert text(said) == text_of(lines[:place])
        assert error is not None
        assert error.code == "truncated"
    _, error = heard(stream_of(lines[: finish + 1], end=b""))
    assert error is None


@pytest.mark.parametrize("name", FOUND.keys() & STREAMS.keys())
def test_tool_calls_and_citations_are_found(name: str) -> None:
    kind, number = FOUND[name]
    assert len(of(decoded(stream_of(lines_of(STREAMS[name]))), kind)) == number


@pytest.mark.parametrize("name", APART.keys() & STREAMS.keys())
def test_separately_counted_reasoning_is_part_of_output(name: str) -> None:
    (usage,) = of(decoded(stream_of(lines_of(STREAMS[name]))), Usage)
    assert usage == APART[name]
