"""WebSockets of tests."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tornado.websocket import WebSocketClientConnection


async def hang_up(socket: WebSocketClientConnection) -> None:
    """Close an open socket and wait until it is closed: tornado does so behind our back, in a loop that may end first.

    Not for one whose end was read already: that comes once.
    """
    socket.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            while await socket.read_message() is not None:
                pass
