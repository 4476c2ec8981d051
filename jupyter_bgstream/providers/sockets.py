"""Sockets of a request: all are closed, and the data before a response's body is bounded."""

from typing import Any, Self

import httpcore
from httpcore import AsyncNetworkStream

HEAD_BYTES = 128 * 1024  # before the body; the headers alone may have 100 KiB, h11's limit
PIECE_BYTES = (
    4 * 1024
)  # read at a time: it may hold hundreds of interim responses (1xx), which are parsed without a pause


class Sockets:
    """Tracks the sockets of one request through httpcore's trace extension, ``trace``.

    Closes sockets that a cancelled connect leaves open: httpcore loses the socket when it is cancelled during the TLS
    handshake; the extension reports it in time.
    """

    def __init__(self) -> None:
        self._opened: list[AsyncNetworkStream] = []
        self._heads: list[_Head] = []

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Record a new socket, and the end of a response's headers."""
        if event.endswith("connect_tcp.complete"):
            self._opened.append(info["return_value"])
            self._heads.append(_Head(info["return_value"]))
        elif event.endswith("start_tls.complete"):
            self._heads.append(_Head(info["return_value"]))
        elif event.endswith("receive_response_headers.complete"):
            for head in self._heads:
                head.end()
            self._heads.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for stream in self._opened:
            await stream.aclose()  # closing twice does nothing


class _Head:
    # Any number of interim responses (1xx) may precede a response, and httpcore reads them all.
    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream
        self._read = stream.read
        self._left = HEAD_BYTES
        stream.read = self._bounded  # type: ignore[method-assign]  # httpx accepts no stream classes of others

    def end(self) -> None:
        self._stream.read = self._read  # type: ignore[method-assign]

    async def _bounded(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        data = await self._read(min(max_bytes, PIECE_BYTES), timeout)
        self._left -= len(data)
        if self._left < 0:
            raise httpcore.RemoteProtocolError(f"more than {HEAD_BYTES >> 10} KiB before the answer's body")
        return data
