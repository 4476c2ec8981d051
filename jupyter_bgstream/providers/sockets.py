"""The sockets of a request: none is left open, and what comes before an answer's head is bounded."""

from __future__ import annotations

from typing import Any, Self

import httpcore
from httpcore import AsyncNetworkStream

HEAD_BYTES = 128 * 1024  # before the body; the headers alone may have 100 KiB, which is h11's limit
PIECE_BYTES = 4 * 1024  # read at a time: it may be hundreds of heads that announce another, parsed without a pause


class Sockets:
    """Watches one request at a time through httpcore's trace extension, ``trace``.

    Closes what a cancelled connect leaves open: httpcore loses sight of the socket when it is cancelled in the middle
    of the TLS handshake; the extension shows it in time.
    """

    def __init__(self) -> None:
        self._opened: list[AsyncNetworkStream] = []
        self._heads: list[_Head] = []

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take note of a new socket, and of the end of an answer's head."""
        if event.endswith("connect_tcp.complete"):
            self._opened.append(info["return_value"])
            self._heads.append(_Head(info["return_value"]))
        elif event.endswith("start_tls.complete"):
            self._heads.append(_Head(info["return_value"]))
        elif event.endswith("receive_response_headers.complete"):
            for head in self._heads:
                head.came()
            self._heads.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for stream in self._opened:
            await stream.aclose()  # a second time does nothing


class _Head:
    # Any number of heads with a status of 1xx may precede an answer, and httpcore reads them all.
    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream
        self._read = stream.read
        self._left = HEAD_BYTES
        stream.read = self._bounded  # type: ignore[method-assign]  # httpx takes no streams of our own

    def came(self) -> None:
        self._stream.read = self._read  # type: ignore[method-assign]

    async def _bounded(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as httpcore has it
        data = await self._read(min(max_bytes, PIECE_BYTES), timeout)
        self._left -= len(data)
        if self._left < 0:
            raise httpcore.RemoteProtocolError(f"more than {HEAD_BYTES >> 10} KiB before the answer's body")
        return data
