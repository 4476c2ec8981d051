"""The body of an HTTP answer, a small piece at a time: decoded, bounded, and with room for others in between.

Services are asked for no compression. What stands between may compress all the same, and an answer that was paid for
shall not be lost by that: one layer of gzip or deflate is undone, anything else is refused. httpx would undo as many
layers as the answer names, each at once and without a bound.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import cast

import httpx

UNCOMPRESSED = {"Accept-Encoding": "identity"}  # proxies also hold a compressed stream back until a block is full
PIECE_BYTES = 8 * 1024
TURN_SECONDS = 0.003  # after which others have a turn, although more has come already
REFUSAL_SECONDS = 10.0  # for the body of a refusal
REFUSAL_BYTES = 64 * 1024

_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_NAME_LENGTH = 100  # characters


class UnreadableBodyError(Exception):
    """A body that cannot be decoded, breaks off or is too large; ``code`` as in PROTOCOL.md."""

    def __init__(self, words: str, code: str = "malformed_stream") -> None:
        super().__init__(words)
        self.code = code


async def pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes; none of its pieces has more than PIECE_BYTES.

    Raises Unreadable for what is compressed in another way or ends in the middle, and httpx.HTTPError.
    """
    coding = _coding(response)
    inflating = _Inflating(coding) if coding is not None else None
    clock = asyncio.get_running_loop().time
    turn = asked = clock()
    # Declared as an iterator, in fact a generator, which must be closed.
    raw = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
    async with aclosing(raw):
        async for data in raw:
            now = clock()
            if now - asked > TURN_SECONDS:  # it was waited for, so others have had theirs
                turn = now
            for piece in _cut(data) if inflating is None else inflating.feed(data):
                yield piece
                if clock() - turn > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn = clock()
            asked = clock()
    if inflating is not None:
        inflating.close()


async def whole(response: httpx.Response, most: int) -> bytes:
    """Return a body of at most so many bytes; raises as ``pieces`` does, also for one that has more."""
    body = bytearray()
    async with aclosing(pieces(response)) as found:
        async for piece in found:
            body += piece
            if len(body) > most:
                raise UnreadableBodyError(f"An answer of more than {most >> 20} MiB.")
    return bytes(body)


async def beginning(response: httpx.Response) -> bytes:
    """Return as much of a refusal's body as comes in good time and can be read; its status says enough without."""
    body = bytearray()
    try:
        async with asyncio.timeout(REFUSAL_SECONDS), aclosing(pieces(response)) as found:
            async for piece in found:
                body += piece
                if len(body) > REFUSAL_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError, UnreadableBodyError):
        pass
    return bytes(body[:REFUSAL_BYTES])


def _coding(response: httpx.Response) -> str | None:
    named: list[str] = response.headers.get("content-encoding", "").lower().split(",")
    codings = [name for each in named if (name := each.strip()) not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        raise UnreadableBodyError(
            f"It is compressed ({', '.join(codings)[:_NAME_LENGTH]}), which was not asked for. Turn that off in what"
            " stands between, such as a proxy; one layer of gzip or deflate can be read."
        )
    return codings[0]


def _cut(data: bytes) -> Iterator[bytes]:
    if len(data) <= PIECE_BYTES:
        yield data
        return
    for place in range(0, len(data), PIECE_BYTES):
        yield data[place : place + PIECE_BYTES]


class _Inflating:
    """Undoes one layer. Memory does not depend on how much comes of a piece."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate = zlib.decompressobj(_WINDOWS[coding])
        self._begun = False
        self._head = b""  # of deflate: the two bytes that tell its two forms apart

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun and self._coding == "deflate":
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
            if not _has_zlib_header(data):  # as some services understand the word
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = self._begun or bool(data)
        while data:
            if self._inflate.eof:  # gzip is one member or several, one behind the other
                self._inflate = zlib.decompressobj(_WINDOWS[self._coding])
            try:
                piece = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise UnreadableBodyError(
                    f"It says that it is compressed ({self._coding}), and is not: {error}"
                ) from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            if piece:
                yield piece

    def close(self) -> None:
        """Raise Unreadable (``truncated``) if more was to come."""
        if self._head or (self._begun and not self._inflate.eof):
            raise UnreadableBodyError("Its compression ended in the middle.", code="truncated")


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0
