"""Recorded answers in the Responses format, where the recordings are present, and our own streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from providers.recorded import streams
from providers.responses_samples import decoded, heard
from providers.speaking import cut_at_random, of, text

from jupyter_bgstream.core.events import Citation, Completed, Usage
from jupyter_bgstream.testing.scripts import event

STREAMS = streams("openai-responses")
each = pytest.mark.parametrize("path", STREAMS.values(), ids=STREAMS)
TITLED = {"own-reasoning": 1, "web-search-tool": 7}  # sources with a title, counted by a person
QUOTA = {
    "type": "error",
    "sequence_number": 1,
    "error": {
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "message": "You exceeded your current quota, please check your plan.",
        "param": None,
    },
}


def events_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]


def stream_of(events: list[dict[str, Any]]) -> list[bytes]:
    return [event(it, it["type"]) for it in events]


def told(events: list[dict[str, Any]], *kinds: str) -> str:
    """Return the text of the deltas, independently of the decoder."""
    return "".join(it["delta"] for it in events if it["type"] in {f"response.{kind}.delta" for kind in kinds})


def pages(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the cited pages, then those that searches found, each once."""
    cited = [it["annotation"] for it in events if it["type"] == "response.output_text.annotation.added"]
    output = events[-1]["response"]["output"]
    found = [page for it in output if it["type"] == "web_search_call" for page in it["action"].get("sources") or ()]
    titles: dict[str, str] = {}
    for page in (*cited, *found):
        titles.setdefault(page["url"], page.get("title") or "")
    return list(titles.items())


@each
def test_recording_decodes_to_its_content(path: Path) -> None:
    events = events_of(path)
    said = decoded(stream_of(events))
    output, counts = events[-1]["response"]["output"], events[-1]["response"]["usage"]
    assert text(said) == "".join(part["text"] for it in output if it["type"] == "message" for part in it["content"])
    if path.stem != "phase":  # from which deltas were taken out; the whole texts are there
        assert text(said) == told(events, "output_text")
    assert text(said, "reasoning") == told(events, "reasoning_summary_text")  # of a single part, if of any
    assert [(it.url, it.title) for it in of(said, Citation)] == pages(events)
    assert of(said, Usage) == [
        Usage(
            input_tokens=counts["input_tokens"],
            output_tokens=counts["output_tokens"],
            cached_tokens=counts["input_tokens_details"]["cached_tokens"],
            reasoning_tokens=counts["output_tokens_details"]["reasoning_tokens"],
        )
    ]
    assert said[-1] == Completed(at=0.0, finish_reason="stop")


@each
def test_stream_in_pieces_decodes_the_same(path: Path) -> None:
    whole = b"".join(stream_of(events_of(path)))
    said = decoded([whole])
    for seed in range(3):
        assert decoded(cut_at_random(whole, seed)) == said
    assert decoded(bytes([byte]) for byte in whole) == said


@each
def test_stream_cut_at_any_event_is_truncated(path: Path) -> None:
    events = events_of(path)
    places = range(len(events)) if len(events) < 60 else [*range(20), *range(20, len(events), 37), len(events) - 1]
    for place in places:
        said, error = heard(stream_of(events[:place]))
        assert text(said).startswith(told(events[:place], "output_text")) or path.stem == "phase"
        assert text(decoded(stream_of(events))).startswith(text(said))
        assert error is not None
        assert error.code == "truncated"


def test_exhausted_quota_is_permanent_rate_limit() -> None:
    said, error = heard(stream_of([*events_of(STREAMS["own-reasoning"])[:2], QUOTA]))
    assert error is not None
    assert (said, error.code, error.transient) == ([], "rate_limited", False)
    assert "exceeded your current quota" in error.message


@pytest.mark.parametrize("name", TITLED.keys() & STREAMS.keys())
def test_search_citations_have_titles(name: str) -> None:
    sources = of(decoded(stream_of(events_of(STREAMS[name]))), Citation)
    assert len([source for source in sources if source.title]) == TITLED[name]
