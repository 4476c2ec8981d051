"""A webhook's receiver: a real HTTP server that answers as it was told to, and hangs if it was told nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

from jupyter_bgstream.testing.http_connection import Request, hung_up, read_request

PATIENCE = 60.0  # seconds


class Receiver:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.replies: list[tuple[int, dict[str, str]] | None] = []  # for the next ones; None: silence
        self.most = 0  # requests at a time
        self._open = 0
        self._more = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook/path-secret?key=query-secret"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]

    @property
    def said(self) -> list[Any]:
        return [request.json for request in self.requests]

    async def request(self, number: int = 1) -> Request:
        """Wait for the so-many-th request."""
        async with asyncio.timeout(PATIENCE):
            while len(self.requests) < number:
                self._more.clear()
                await self._more.wait()
        return self.requests[number - 1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            request = await read_request(reader)
            self._open += 1
            self.most = max(self.most, self._open)
            self.requests.append(request)
            self._more.set()
            reply = self.replies.pop(0) if self.replies else (204, {})
            if reply is None:
                await hung_up(reader)
            else:
                status, headers = reply
                lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
                await asyncio.sleep(0)
                writer.write("\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode())
                await writer.drain()
        self._open -= 1
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
