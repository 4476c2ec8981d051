"""HTTP response bodies in small pieces: decompressed, bounded, with turns for other tasks in between.

Requests ask for no compression. A proxy may compress all the same, and a paid answer must not be lost by that: one
layer of gzip or deflate is undone, anything else is refused. httpx would undo as many layers as the response names,
each at once and without a bound.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import cast

import httpx

UNCOMPRESSED = {"Accept-Encoding": "identity"}  # proxies also delay a compressed stream until a block is full
PIECE_BYTES = 8 * 1024
SMALL_PIECE_BYTES = 256  # that a smaller piece counts as: it takes as much work
TURN_SECONDS = 0.003  # after which other tasks run, although more data has arrived
ERROR_BODY_SECONDS = 10.0
ERROR_BODY_BYTES = 64 * 1024

_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_NAME_LENGTH = 100  # characters


class UnreadableBodyError(Exception):
    """A body that cannot be decoded, breaks off or is too large; ``code`` is one of PROTOCOL.md."""

    def __init__(self, message: str, code: str = "malformed_stream") -> None:
        super().__init__(message)
        self.code = code


async def iter_body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives, in pieces of at most PIECE_BYTES.

    Raises:
        UnreadableBodyError: another compression, or one that ends in the middle.
        httpx.HTTPError: the connection failed.

    """
    coding = _coding(response)
    decompressor = _Decompressor(coding) if coding is not None else None
    clock = asyncio.get_running_loop().time
    turn = waiting_since = clock()
    # Declared as an iterator, but it is a generator, which must be closed.
    raw = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    async with aclosing(raw):
        async for data in raw:
            now = clock()
            if now - waiting_since > TURN_SECONDS:  # other tasks ran during the wait
                turn = now
            for piece in _cut(data) if decompressor is None else decompressor.feed(data):
                yield piece
                if clock() - turn > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn = clock()
            waiting_since = clock()
    if decompressor is not None:
        decompressor.close()


async def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Return a body of at most ``max_bytes``; raise as ``iter_body`` does, also for a larger body."""
    body, counted = bytearray(), 0
    async with aclosing(iter_body(response)) as pieces:
        async for piece in pieces:
            body += piece
            counted += max(len(piece), SMALL_PIECE_BYTES)
            if counted > max_bytes:
                raise UnreadableBodyError(
                    f"The response has more than {max_bytes >> 20} MiB, or too many small pieces."
                )
    return bytes(body)


async def read_error_body(response: httpx.Response) -> bytes:
    """Return as much of an error's body as arrives in time and can be read; the status alone is enough."""
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS), aclosing(iter_body(response)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > ERROR_BODY_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError, UnreadableBodyError):
        pass
    return bytes(body[:ERROR_BODY_BYTES])


def _coding(response: httpx.Response) -> str | None:
    named: list[str] = response.headers.get("content-encoding", "").lower().split(",")
    codings = [name for each in named if (name := each.strip()) not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        raise UnreadableBodyError(
            f"The response is compressed ({', '.join(codings)[:_NAME_LENGTH]}) against the request. Turn compression"
            " off in the proxy or gateway in between; one layer of gzip or deflate can be read."
        )
    return codings[0]


def _cut(data: bytes) -> Iterator[bytes]:
    if len(data) <= PIECE_BYTES:
        yield data
        return
    for place in range(0, len(data), PIECE_BYTES):
        yield data[place : place + PIECE_BYTES]


class _Decompressor:
    """Undoes one layer of compression, in bounded memory for output of any size."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(_WINDOWS[coding])
        self._begun = False
        self._head = b""  # of deflate: the two bytes that distinguish its two forms

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun and self._coding == "deflate":
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
            if not _has_zlib_header(data):  # raw deflate, which some services send
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = self._begun or bool(data)
        while data:
            if self._inflate.eof:  # gzip has one member or several
                self._inflate = zlib.decompressobj(_WINDOWS[self._coding])
            try:
                piece = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise UnreadableBodyError(
                    f"The response claims to be compressed ({self._coding}), but is not: {error}"
                ) from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            if piece:
                yield piece

    def close(self) -> None:
        """Raise UnreadableBodyError (``truncated``) if the end is missing."""
        if self._head or (self._begun and not self._inflate.eof):
            raise UnreadableBodyError("The compressed data ended in the middle.", code="truncated")


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0
