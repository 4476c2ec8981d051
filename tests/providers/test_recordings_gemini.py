"""Recorded answers of Gemini, where the recordings are present, and our own streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from providers.conftest import Connect
from providers.decoding import decoded, heard, one_by_one
from providers.recorded import streams
from providers.speaking import cut, cut_at_random, of, read, text
from providers.test_recordings import lines_of, stream_of

from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.providers.formats.gemini import GeminiDecoder
from jupyter_bgstream.testing import ScriptedProvider, replay

STREAMS = streams("google-gemini")
each = pytest.mark.parametrize("path", STREAMS.values(), ids=STREAMS)

# Usage, read by a person.
COUNTS = {
    "own-thought": Usage(input_tokens=8, output_tokens=9 + 15, reasoning_tokens=15),
    "reasoning": Usage(input_tokens=9, output_tokens=29 + 256, reasoning_tokens=256),
    "text": Usage(input_tokens=9, output_tokens=23 + 185, reasoning_tokens=185),
}


def bytes_of(path: Path) -> bytes:
    return stream_of(lines_of(path), end=b"")


def parts_of(lines: list[bytes]) -> list[dict[str, Any]]:
    return [part for line in lines for part in json.loads(line)["candidates"][0]["content"]["parts"]]


@each
def test_recording_decodes_to_its_content(path: Path) -> None:
    said = decoded(GeminiDecoder, bytes_of(path))
    parts = parts_of(lines_of(path))
    assert text(said) == "".join(part["text"] for part in parts if not part.get("thought")) != ""
    assert text(said, "reasoning") == "".join(part["text"] for part in parts if part.get("thought"))
    assert said[-2:] == [COUNTS[path.stem], Completed(at=0.0, finish_reason="stop")]
    assert len(of(said, Completed)) == len(of(said, Usage)) == 1


@each
def test_stream_in_pieces_decodes_the_same(path: Path) -> None:
    whole = decoded(GeminiDecoder, bytes_of(path))
    assert decoded(GeminiDecoder, one_by_one(bytes_of(path))) == whole
    for seed in range(3):
        assert decoded(GeminiDecoder, cut_at_random(bytes_of(path), seed)) == whole


@each
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=200))
def test_stream_in_any_pieces_decodes_the_same(path: Path, places: list[int]) -> None:
    assert decoded(GeminiDecoder, cut(bytes_of(path), places)) == decoded(GeminiDecoder, bytes_of(path))


@each
def test_stream_cut_at_any_event_is_truncated(path: Path) -> None:
    lines = lines_of(path)
    for place in range(len(lines)):
        said, error = heard(GeminiDecoder, stream_of(lines[:place], end=b""))
        assert text(said) == "".join(part["text"] for part in parts_of(lines[:place]) if not part.get("thought"))
        assert of(said, Completed) == []
        assert error is not None
        assert error.code == "truncated"


@each
async def test_recording_over_http_decodes_the_same(path: Path, provider: ScriptedProvider, connect: Connect) -> None:
    provider.routes["POST /v1/models/*"] = replay(bytes_of(path), cuts=1)
    assert await read(connect(format="gemini")) == (decoded(GeminiDecoder, bytes_of(path)), None)
