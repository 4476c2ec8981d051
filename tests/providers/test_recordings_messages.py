"""Recorded answers of Anthropic's Messages, where the recordings are present, and our own streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from providers.conftest import Connect
from providers.decoding import decoded, heard, one_by_one
from providers.official import anthropics, our_reason, ours
from providers.recorded import streams
from providers.speaking import cut, cut_at_random, of, read, text
from providers.test_messages_sdk import THEIR_WORDS
from providers.test_recordings import lines_of

from jupyter_bgstream.core.events import Citation, Completed, Usage
from jupyter_bgstream.providers.formats.anthropic_messages import MessagesDecoder
from jupyter_bgstream.testing import ScriptedProvider, replay

STREAMS = streams("anthropic-messages")
each = pytest.mark.parametrize("path", STREAMS.values(), ids=STREAMS)

# Usage and finish reason, read by a person.
ENDS = {
    "own-thinking": (Usage(input_tokens=21, output_tokens=33, cached_tokens=0, cache_write_tokens=0), "stop"),
    "duplicate-message-start": (Usage(input_tokens=17, output_tokens=227), "stop"),
    "refusal": (Usage(input_tokens=18, output_tokens=5, cached_tokens=0, cache_write_tokens=0), "refusal"),
    "text": (Usage(input_tokens=12, output_tokens=30, cached_tokens=0, cache_write_tokens=0), "stop"),
    "thinking": (Usage(input_tokens=69, output_tokens=53, cached_tokens=0, cache_write_tokens=0), "stop"),
    "usage-in-message-delta": (Usage(input_tokens=61, output_tokens=2), "stop"),
    "web-search-tool": (Usage(input_tokens=15665, output_tokens=795, cached_tokens=0, cache_write_tokens=0), "stop"),
}

WORDS = {
    "own-thinking": ("A list of events.\n\nIn order.", "What is a log? 🦉"),
    "thinking": ("925 ÷ 5 = 185", "The previous result was 925"),
}
SOURCES = {"own-thinking": 0, "web-search-tool": 10}


def events_of(path: Path) -> list[bytes]:
    lines = lines_of(path)
    return [b"event: %b\ndata: %b\n\n" % (json.loads(line)["type"].encode(), line) for line in lines]


def found_in(path: Path, kind: str) -> list[Any]:
    """Return the values of a field anywhere in the recording, independently of the decoder."""
    found: list[Any] = []

    def look(value: Any) -> None:
        match value:
            case dict():
                found.extend([value[kind]] if kind in value else [])
                for inner in value.values():
                    look(inner)
            case list():
                for inner in value:
                    look(inner)

    for line in lines_of(path):
        look(json.loads(line))
    return found


@each
def test_recording_decodes_to_its_content(path: Path) -> None:
    said = decoded(MessagesDecoder, b"".join(events_of(path)))
    spoken = "".join(found_in(path, "text")) or "".join(found_in(path, "explanation"))
    assert text(said) == spoken != ""
    assert text(said, "reasoning") == "".join(found_in(path, "thinking"))
    assert {source.url for source in of(said, Citation)} == set(found_in(path, "url"))
    usage, reason = ENDS[path.stem]
    assert said[-2:] == [usage, Completed(at=0.0, finish_reason=reason)]
    assert len(of(said, Completed)) == len(of(said, Usage)) == 1


@pytest.mark.parametrize("name", WORDS.keys() & STREAMS.keys())
def test_text_and_reasoning_are_separate(name: str) -> None:
    said = decoded(MessagesDecoder, b"".join(events_of(STREAMS[name])))
    assert (text(said), text(said, "reasoning").partition(". ")[0]) == WORDS[name]


@pytest.mark.parametrize("name", SOURCES.keys() & STREAMS.keys())
def test_citations_are_unique_and_have_titles(name: str) -> None:
    sources = of(decoded(MessagesDecoder, b"".join(events_of(STREAMS[name]))), Citation)
    assert len({source.url for source in sources}) == len(sources) == SOURCES[name]
    assert all(source.title for source in sources)


@each
def test_stream_in_pieces_decodes_the_same(path: Path) -> None:
    stream = b"".join(events_of(path))
    whole = decoded(MessagesDecoder, stream)
    assert decoded(MessagesDecoder, one_by_one(stream)) == whole
    for seed in range(3):
        assert decoded(MessagesDecoder, cut_at_random(stream, seed)) == whole


@each
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=200))
def test_stream_in_any_pieces_decodes_the_same(path: Path, places: list[int]) -> None:
    stream = b"".join(events_of(path))
    assert decoded(MessagesDecoder, cut(stream, places)) == decoded(MessagesDecoder, stream)


@each
def test_stream_cut_at_any_event_is_truncated(path: Path) -> None:
    events = events_of(path)
    whole = text(decoded(MessagesDecoder, events))
    for place in range(len(events)):
        said, error = heard(MessagesDecoder, events[:place])
        assert whole.startswith(text(said))
        assert of(said, Completed) == []
        assert error is not None
        assert error.code == "truncated"


@each
async def test_sdk_and_decoder_agree(path: Path, provider: ScriptedProvider, connect: Connect) -> None:
    provider.routes["POST /v1/messages"] = replay(b"".join(events_of(path)), cuts=1)
    said, error = await read(connect(format="messages"))
    assert error is None
    theirs, reason = await anthropics(provider.base_url)
    if path.stem == "refusal":  # the SDK has the service's explanation apart; we show it where nothing else was said
        theirs = theirs._replace(text="".join(found_in(path, "explanation")))
    assert ours(said) == theirs
    assert our_reason(said) == THEIR_WORDS.get(str(reason), reason)
