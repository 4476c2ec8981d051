"""The body parser: events compared with a slow reference parser, and JSON lines, cut at every byte."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.speaking import cut

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.providers.formats.framing import BodyParser, ServerEvent


def parse(*pieces: bytes, max_event_bytes: int = 1024) -> list[ServerEvent]:
    parser = BodyParser(max_event_bytes=max_event_bytes)
    return [event for piece in pieces for event in parser.feed(piece)]


def by_the_book(stream: bytes) -> list[ServerEvent]:
    """Parse a whole stream literally as WHATWG HTML 9.2.6 specifies, without regard to speed."""
    lines = re.split("\r\n|\r|\n", stream.decode().removeprefix("\ufeff"))[:-1]  # the last was not ended
    events, data, kind, last_id = [], "", "", ""
    for line in lines:
        if not line:
            if data:
                events.append(ServerEvent(kind or "message", data.removesuffix("\n"), last_id))
            data, kind = "", ""
            continue
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ") if colon else ""
        if field == "data":
            data += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


TRICKY = (
    "\ufeffevent: greeting\rdata: 한국어 👩‍👩‍👧 e\u0301\r\n\r\n: a comment\n\nid: 7\ndata:one\ndata: two\ndata\n\n"
    "data:  two spaces\u2028and no line end\u0085\x0b\x0c\n\nretry: 10\nid\ndata: {}\r\rdata:\n\n"
    "event: lost\n\n\ufeffdata: only the first is a mark\ndata: x\n\ndata: cut"
).encode()


def test_tricky_stream_is_parsed() -> None:
    assert parse(TRICKY) == [
        ServerEvent("greeting", "한국어 👩‍👩‍👧 e\u0301", ""),
        ServerEvent("message", "one\ntwo\n", "7"),
        ServerEvent("message", " two spaces\u2028and no line end\u0085\x0b\x0c", "7"),
        ServerEvent("message", "{}", ""),
        ServerEvent("message", "", ""),
        ServerEvent("message", "x", ""),
    ]


def test_tricky_stream_cut_at_every_byte_parses_the_same() -> None:
    whole = by_the_book(TRICKY)
    for place in range(len(TRICKY) + 1):
        assert parse(TRICKY[:place], TRICKY[place:]) == whole
    assert parse(*(TRICKY[place : place + 1] for place in range(len(TRICKY)))) == whole


pieces_of_streams = st.sampled_from(
    [
        "\r",
        "\n",
        "\r\n",
        ":",
        " ",
        "data",
        "data:",
        "data: ",
        "event: e",
        "id: 1",
        "id:\0",
        "\ufeff",
        "\u2028",
        "é",
        "👩‍👧",
    ]
)


@settings(deadline=None)  # it is the answer that counts, however busy the machine
@given(
    stream=st.lists(pieces_of_streams, max_size=40).map(lambda parts: "".join(parts).encode()),
    places=st.lists(st.integers(0, 400)),
)
def test_any_stream_is_parsed_as_specified(stream: bytes, places: list[int]) -> None:
    assert parse(*cut(stream, places)) == by_the_book(stream)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_event_ends_with_its_blank_line(end: bytes) -> None:
    assert len(parse(b"data: x" + end + end)) == 1


@pytest.mark.parametrize("rest", [b"data: x", b"data: x\n", b"data: x\r", b"data: x\r\n"])
def test_incomplete_last_event_is_dropped(rest: bytes) -> None:
    assert parse(rest) == []


@pytest.mark.parametrize("line", [b"data: \xff", b"event: \xc3", b"id: \xed\xa0\x80", b"data: \xf0\x9f"])
def test_invalid_utf_8_is_malformed_after_valid_events(line: bytes) -> None:
    parser = BodyParser()
    events = parser.feed(b"data: good\n\n" + line + b"\n\n")
    assert next(events).data == "good"
    with pytest.raises(ProviderError) as caught:
        next(events)
    assert caught.value.code == "malformed_stream"


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 1024, b"data: " + b"x" * 1024 + b"\n\n", b"data: 12345678\n" * 100, b"data:" * 300],
)
@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_event_size_is_limited_in_any_pieces(stream: bytes, size: int) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(*(stream[place : place + size] for place in range(0, len(stream), size)))
    assert caught.value.code == "event_too_large"


def test_size_limit_applies_to_one_event() -> None:
    assert len(parse(b"data: " + b"x" * 500 + b"\n\n", *[b": " + b"y" * 500 + b"\n", b"data: z\n\n"] * 10)) == 11


def test_event_of_8_mib_is_parsed_in_linear_time() -> None:
    def seconds(mebibytes: int) -> float:
        stream = b"data: " + b"x" * (mebibytes << 20) + b"\n\n"
        pieces = [stream[place : place + 256] for place in range(0, len(stream), 256)]
        begun = time.process_time()
        (event,) = parse(*pieces, max_event_bytes=1 << 24)
        assert len(event.data) == mebibytes << 20
        return time.process_time() - begun

    # Eight times the bytes: linear is 8, quadratic is 64.
    assert min(seconds(8) for _ in range(2)) < 32 * min(seconds(1) for _ in range(3))


# JSON without the framing of events


def parse_all(*pieces: bytes) -> list[str]:
    parser = BodyParser(max_event_bytes=1024)
    return [event.data for piece in pieces for event in parser.feed(piece)] + [event.data for event in parser.end()]


LINES = '\ufeff{"a": "한국어 👩‍👩‍👧 e\u0301"}\r\n\n \r\n{"b":"\u2028\u0085"}\n[1, "{"]\n{"cut'.encode()
DOCUMENTS = ['{"a": "한국어 👩‍👩‍👧 e\u0301"}', '{"b":"\u2028\u0085"}', '[1, "{"]']


def test_json_line_is_an_event() -> None:
    assert parse_all(LINES) == [*DOCUMENTS, '{"cut']
    for place in range(len(LINES) + 1):
        assert [event.data for event in parse(LINES[:place], LINES[place:])] == DOCUMENTS
    assert parse_all(*(LINES[place : place + 1] for place in range(len(LINES)))) == [*DOCUMENTS, '{"cut']


def test_json_document_ends_where_brackets_close() -> None:
    document = b'{\n  "a": [\n    "}]\\"",\n    {}\n  ]\n}'
    for stream in (document, document + b"\n", document + b"\n\ndata: x\n\n", b"data: y\n" + document + b"\n"):
        found = parse_all(stream)
        assert document.replace(b"  ", b"").decode() in found
        assert parse_all(*(stream[at : at + 1] for at in range(len(stream)))) == found


def test_incomplete_document_does_not_swallow_events() -> None:
    assert parse_all(b'{"a": [\n"b"\ndata: x\n\n') == ['{"a": [\n"b"', "x"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["\n", "\r", "{", "}", "[]", '"', " ", "\ufeff", "data: x", "é"]), max_size=20),
    st.lists(st.integers(0, 60)),
)
def test_documents_in_any_pieces_parse_the_same(parts: list[str], places: list[int]) -> None:
    stream = "".join(parts).encode()
    assert parse_all(*cut(stream, places)) == parse_all(stream)


@pytest.mark.parametrize("pieces", [[b'{"' + b"x" * 1100], [b'{"' + b"x" * 700, b"x" * 700], [b"{\n" * 1100]])
def test_document_size_is_limited(pieces: list[bytes]) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_all(*pieces)
    assert caught.value.code == "event_too_large"
