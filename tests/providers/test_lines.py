"""The parser of lines, against a plain reading and cut at every byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.speaking import cut

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.providers.formats.lines import LineParser


def parse(*pieces: bytes, max_event_bytes: int = 1024) -> list[str]:
    parser = LineParser(max_event_bytes=max_event_bytes)
    return [event.data for piece in pieces for event in parser.feed(piece)]


TRICKY = '\ufeff{"a": "한국어 👩‍👩‍👧 e\u0301"}\r\n\n \r\n{"b":\u2028\u0085\x0b}\n\ufeff{"c": "\r"}\n{"cut'.encode()
WHOLE = ['{"a": "한국어 👩‍👩‍👧 e\u0301"}', '{"b":\u2028\u0085\x0b}', '\ufeff{"c": "\r"}']


def test_a_tricky_stream_cut_at_every_byte() -> None:
    assert parse(TRICKY) == WHOLE
    for place in range(len(TRICKY) + 1):
        assert parse(TRICKY[:place], TRICKY[place:]) == WHOLE
    assert parse(*(TRICKY[place : place + 1] for place in range(len(TRICKY)))) == WHOLE


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["\n", "\r", "\r\n", "{}", " ", "\ufeff", "é"]), max_size=20), st.lists(st.integers(0, 60))
)
def test_any_cut_says_the_same(parts: list[str], places: list[int]) -> None:
    stream = "".join(parts).encode()
    lines = stream.decode().removeprefix("\ufeff").split("\n")[:-1]
    assert parse(*cut(stream, places)) == [text for line in lines if (text := line.strip(" \t\r"))]


@pytest.mark.parametrize("pieces", [[b"x" * 65 + b"\n"], [b"x" * 40, b"x" * 40], [b"ok\n" + b"x" * 70]])
def test_a_line_has_a_bound(pieces: list[bytes]) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(*pieces, max_event_bytes=64)
    assert caught.value.code == "event_too_large"
    assert parse(b"x" * 64 + b"\n", b"y" * 64 + b"\n", max_event_bytes=64) == ["x" * 64, "y" * 64]


def test_what_is_not_utf8_is_malformed() -> None:
    parser = LineParser()
    lines = parser.feed(b"{}\n\xff\n")
    assert next(lines).data == "{}"
    with pytest.raises(ProviderError) as caught:
        next(lines)
    assert caught.value.code == "malformed_stream"
