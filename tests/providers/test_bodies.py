"""Response bodies are bounded after decompression, in memory and in time on the event loop."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator

import pytest
from providers.conftest import Connect
from providers.raw import Strain, raw
from providers.speaking import of, read, sse, text

from jupyter_bgstream.core.events import Completed
from jupyter_bgstream.providers import response_reader, transport
from jupyter_bgstream.testing import ScriptedProvider, answer, refusal
from jupyter_bgstream.testing.scripts import Script, Send

MB = 1_000_000
MOST_MEMORY = 80  # MB: some times the largest event
MOST_BLOCK = 0.1  # CPU seconds; some milliseconds on a machine that does nothing else
EVENTS = {"Content-Type": "text/event-stream"}
SAID = sse({"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]})


def squeezed(data: bytes, coding: str) -> bytes:
    match coding:
        case "gzip" | "x-gzip" | "GZIP" | "identity, gzip":
            return gzip.compress(data)
        case "gzip in members":
            return b"".join(gzip.compress(data[at : at + 40]) for at in range(0, len(data), 40))
        case "deflate":
            return zlib.compress(data)
        case "raw deflate":
            squeezing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            return squeezing.compress(data) + squeezing.flush()
    return data


def bomb(megabytes: int, filling: bytes = b"\0") -> bytes:
    """Return gzip of repeated bytes, about 1 kB for each MB."""
    squeezing = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    block = filling * (MB // len(filling))
    return b"".join([*(squeezing.compress(block) for _ in range(megabytes)), squeezing.flush()])


def compressed(data: bytes, coding: str = "gzip", *, status: int = 200, pieces: int = 4096) -> Script:
    steps = tuple(Send(data[at : at + pieces]) for at in range(0, len(data), pieces))
    return Script(status=status, headers=EVENTS | {"Content-Encoding": coding}, steps=steps)


CODINGS = ["gzip", "x-gzip", "GZIP", "identity, gzip", "gzip in members", "deflate", "raw deflate", "identity", ""]


@pytest.mark.parametrize("pieces", [1, 7, 4096])
@pytest.mark.parametrize("coding", CODINGS)
async def test_one_layer_of_compression_is_undone(
    provider: ScriptedProvider, connect: Connect, coding: str, pieces: int
) -> None:
    name = {"gzip in members": "gzip", "raw deflate": "deflate"}.get(coding, coding)
    provider.scripts["one"] = compressed(squeezed(SAID, coding), name, pieces=pieces)
    said, error = await read(connect())
    assert error is None
    assert (text(said), len(of(said, Completed))) == ("Hello", 1)


@pytest.mark.parametrize(
    "coding", ["gzip, gzip", "deflate, gzip", "br", "zstd", "compress", "x" * 5000, "gzip,identity,br"]
)
async def test_unsupported_or_double_compression_is_refused(
    provider: ScriptedProvider, connect: Connect, coding: str
) -> None:
    provider.scripts["one"] = compressed(gzip.compress(gzip.compress(SAID)), coding)
    said, error = await read(connect())
    assert said == []
    assert error is not None
    assert error.code == "malformed_stream"
    assert "compress" in error.message
    assert len(error.message) < 1000


async def test_uncompressed_body_declared_compressed_is_malformed(provider: ScriptedProvider, connect: Connect) -> None:
    for coding in ("gzip", "deflate"):
        provider.scripts["one"] = compressed(SAID, coding)
        said, error = await read(connect())
        assert said == []
        assert error is not None
        assert error.code == "malformed_stream"


@pytest.mark.parametrize("left", [1, 12, 40])
async def test_compressed_body_that_ends_early_is_truncated(
    provider: ScriptedProvider, connect: Connect, left: int
) -> None:
    provider.scripts["one"] = compressed(gzip.compress(sse({"choices": [{"delta": {"content": "a" * 500}}]}))[:left])
    _, error = await read(connect())
    assert error is not None
    assert error.code == "truncated"


async def test_missing_gzip_trailer_keeps_complete_answer(provider: ScriptedProvider, connect: Connect) -> None:
    provider.scripts["one"] = compressed(gzip.compress(SAID)[:-4])
    said, error = await read(connect())
    assert (text(said), error) == ("Hello", None)


@pytest.mark.parametrize("name", ["Accept-Encoding", "accept-encoding"])
async def test_requests_accept_only_identity_encoding(provider: ScriptedProvider, connect: Connect, name: str) -> None:
    provider.routes["GET /v1/models"] = refusal(200, {"data": []})
    provider.scripts["one"] = answer("Hello")
    service = connect(headers={name: "gzip, br"})
    await read(service)
    await service.status()
    assert [request.headers["accept-encoding"] for request in provider.requests] == ["identity", "identity"]


FILLINGS = {"zeros": b"\0", "blank lines": b"\n", "comments": b":\n", "data": b"data:\n", "words": b"data: a b\n"}


@pytest.mark.parametrize("filling", FILLINGS)
async def test_compression_bomb_in_stream_is_bounded(
    provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch, filling: str
) -> None:
    monkeypatch.setattr(transport, "STREAM_BYTES", 4 * MB)
    provider.scripts["one"] = compressed(bomb(12, FILLINGS[filling]))
    async with Strain() as strain:
        _, error = await read(connect())
    assert error is not None
    assert error.code in ("event_too_large", "answer_too_long")
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
async def test_compression_bomb_in_error_body_is_bounded(
    provider: ScriptedProvider, connect: Connect, coding: str
) -> None:
    data = bomb(100, b"no ")
    provider.scripts["one"] = compressed(data if coding == "gzip" else gzip.compress(data), coding, status=401)
    async with Strain() as strain:
        _, error = await read(connect())
    assert error is not None
    assert error.code == "unauthorized"
    assert ("no no" in error.message) == (coding == "gzip")
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
async def test_compression_bomb_in_model_list_is_bounded(
    provider: ScriptedProvider, connect: Connect, coding: str, status: int
) -> None:
    data = bomb(100, b'["a"],')
    provider.listing = compressed(data if coding == "gzip" else gzip.compress(data), coding, status=status)
    async with Strain() as strain:
        found = await connect().status()
    assert found.error is not None
    assert found.error.code == ("malformed_stream" if status == 200 else "provider_error")
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK


CROWDS = {
    "empty lists": (b"[", b"[],", b"[]]"),
    "objects": (b"[", b'{"a":1},', b"{}]"),
    "numbers": (b"[", b"1,", b"1]"),
    "fields": (b"{", b'"a":1,', b'"a":1}'),
}


@pytest.mark.parametrize("of_what", CROWDS)
async def test_event_with_too_many_values_is_refused_in_bounded_memory(
    provider: ScriptedProvider, connect: Connect, of_what: str
) -> None:
    first, item, last = CROWDS[of_what]
    event = b'data: {"choices": [], "citations": %b}\n\n' % (first + item * (15 * MB // len(item)) + last)
    provider.scripts["one"] = compressed(gzip.compress(event, 1))
    async with Strain() as strain:
        said, error = await read(connect())
    assert said == []
    assert error is not None
    assert error.code == "event_too_large"
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK


async def test_model_list_with_too_many_values_is_refused_in_bounded_memory(
    provider: ScriptedProvider, connect: Connect
) -> None:
    provider.listing = compressed(gzip.compress(b"[" + b"[]," * MB + b"[]]"))
    async with Strain() as strain:
        found = await connect().status()
    assert found.error is not None
    assert found.error.code == "malformed_stream"
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def ever(head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([head], itertools.repeat(piece))


ENDLESS = {
    "a refusal": ever(b"HTTP/1.1 503 Busy\r\n\r\n", b"no " * 20000),
    "answers that announce another": ever(b"", b"HTTP/1.1 100 \r\n\r\n" * 4000),
    "headers": ever(HEAD, b"X-More: 1\r\n" * 4000),
    "a header": ever(HEAD + b"X-Long: ", b"a" * 65536),
    "a reason": ever(b"HTTP/1.1 200 ", b"a" * 65536),
    "a chunk's head": ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 65536),
    "a chunk's size": ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "tiny chunks": ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n:\r\n" * 11000),
    "tiny pieces of an event": ever(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n", b"2\r\nab\r\n" * 11000
    ),
    "heartbeats": ever(HEAD + b"\r\n", b":\n\n" * 20000),
    "blank lines": ever(HEAD + b"\r\n", b"\n" * 65536),
    "an event": ever(HEAD + b"\r\ndata: ", b"a" * 65536),
    "lines of an event": ever(HEAD + b"\r\n", b"data: ab\n" * 7000),
    "empty data lines": ever(HEAD + b"\r\n", b"data:\n" * 11000),
    "a name of a field": ever(HEAD + b"\r\n", b"a" * 65536),
}


ENDED = ("malformed_stream", "answer_too_long", "event_too_large", "truncated", "provider_error")


@pytest.mark.parametrize("what", ENDLESS)
async def test_endless_stream_is_ended_in_bounded_memory(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(response_reader, "SILENT_BYTES", 2 * MB)
    with raw(ENDLESS[what]) as base_url:
        async with Strain() as strain:
            said, error = await read(connect(base_url))
    assert said == []
    assert error is not None
    assert error.code in ENDED, error.message
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK


@pytest.mark.parametrize("what", ENDLESS)
async def test_endless_model_list_is_ended_in_bounded_memory(connect: Connect, what: str) -> None:
    with raw(ENDLESS[what]) as base_url:
        async with Strain() as strain:
            found = await connect(base_url).status()
    assert found.error is not None
    assert found.error.code in (*ENDED, "unreachable")
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK
