"""The part of HTTP/1.1 that the scripted provider needs: one request, one chunked answer, then the end or the next.

It is written here because ordinary servers cannot cut a body, reset a connection or hang.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from .scripts import Script

# How the sending of an answer ended: complete, cut by the script, or closed by the client or the server.
Outcome = Literal["whole", "cut", "reset", "client left", "server closed"]


class Request:
    """One request for an answer, with the sent body and the end of its connection."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers  # names in lower case
        self.body = body
        self.began_at = time.monotonic()
        self.pieces: list[bytes] = []  # sent pieces of the body; the last may not have reached the client
        self.outcome: Outcome | None = None  # None while the answer is being sent
        self.closed_at: float | None = None  # time.monotonic() of the close
        self.closed_by_client = False  # whether the client closed before the script was done
        self._closed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @property
    def json(self) -> Any:
        """Decoded body."""
        return msgspec.json.decode(self.body)

    @property
    def model(self) -> str:
        """Requested model."""
        return str(self.json.get("model", ""))

    @property
    def prompt(self) -> str:
        """Text of the last message, an empty string without one. A unique prompt identifies the job."""
        messages = self.json.get("messages") or [{"content": ""}]
        return str(messages[-1]["content"])

    @property
    def sent(self) -> int:
        """Number of sent bytes of the body."""
        return sum(map(len, self.pieces))

    @property
    def text(self) -> str:
        """Text of the deltas that were sent completely. A reader has a prefix of it, or all."""
        whole = b"".join(self.pieces).split(b"\n\n")[:-1]
        return "".join(_content(event) for event in whole)

    @property
    def closed(self) -> asyncio.Future[float]:
        """Awaitable time of the close of the connection, by ``time.monotonic()``; see ``closed_by_client``."""
        return asyncio.shield(self._closed)  # a cancelled waiter must not cancel the others

    def close(self, outcome: Outcome) -> None:
        """Record that the connection has closed; called by the server."""
        self.outcome = outcome
        self.closed_by_client = outcome == "client left"
        self.closed_at = time.monotonic()
        self._closed.set_result(self.closed_at)


def _content(event: bytes) -> str:
    try:
        (choice,) = msgspec.json.decode(event.removeprefix(b"data: "))["choices"]
        return str(choice["delta"].get("content") or "")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""  # not a delta


async def read_request(reader: asyncio.StreamReader, initial: bytes = b"") -> Request:
    """Read one request, whose first byte may have been read; raise EOFError, ValueError or LimitOverrunError."""
    initial = initial or await reader.readexactly(1)
    if not initial.isalpha():  # such as a TLS handshake, whose client would wait for an answer
        raise ValueError("not HTTP")
    head = (initial + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def hung_up(reader: asyncio.StreamReader) -> bytes:
    """Wait until the client closes or resets, and return nothing; or the first byte of its next request."""
    with contextlib.suppress(OSError):
        return await reader.read(1)
    return b""


def head_of(script: Script, *, keep_alive: bool = False) -> bytes:
    """Return the status line and the headers of an answer."""
    try:
        phrase = HTTPStatus(script.status).phrase
    except ValueError:  # 529 is in use but not registered
        phrase = "Other"
    fields = {**script.headers, "Transfer-Encoding": "chunked", "Connection": "keep-alive" if keep_alive else "close"}
    lines = [f"HTTP/1.1 {script.status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST, by a linger time of zero seconds."""
    no_linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
    writer.transport.abort()
