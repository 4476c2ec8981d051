"""A client of the socket, which reads and writes frames."""

from __future__ import annotations

import json

from harness.jupyter import Jupyter
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def connect(server: Jupyter, **headers: str) -> WebSocketClientConnection:
    url = server.api.replace("http:", "ws:") + "live"
    try:
        return await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}", **headers}))
    except HTTPClientError as error:
        raise AssertionError(f"{error}: {error.response and error.response.body!r}") from None


async def read(socket: WebSocketClientConnection) -> str:
    message = await socket.read_message()
    assert isinstance(message, str), "the server closed the socket"
    return message


async def until(socket: WebSocketClientConnection, type: str) -> str:
    while json.loads(message := await read(socket))["type"] != type:
        pass
    return message


async def leave(socket: WebSocketClientConnection) -> None:
    socket.close()
    while await socket.read_message() is not None:
        pass
