"""A key appears in no message and no log, even if a service echoes it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from providers.conftest import Connect
from providers.speaking import read, sse

from jupyter_bgstream.testing import (
    Request,
    ScriptedProvider,
    refusal,
    replay,
)

HTML = {"Content-Type": "text/html; charset=utf-8"}

CANARY = 'sk-"canary"+/1234567890'


def echoes(request: Request) -> dict[str, str]:
    return {"message": f"No {request.headers['authorization']} and {request.headers['x-token']}"}


LEAKS: dict[str, Any] = {
    "json": lambda request: refusal(401, {"error": echoes(request)}),
    "plain": lambda request: refusal(403, echoes(request)["message"]),
    "html": lambda request: refusal(200, f"<p>{echoes(request)['message']}", HTML),
    "raw json": lambda request: refusal(400, json.dumps({"odd": echoes(request)})),
    "not a stream": lambda request: refusal(200, {"odd": echoes(request)}),
    "in the stream": lambda request: replay(sse({"error": echoes(request)})),
    "no chunk": lambda request: replay(sse(json.dumps(echoes(request)) + "}")),
    "redirect": lambda _: refusal(307, "", {"Location": "https://x.example/sk-%22canary%22%2B%2F1234567890?k=1"}),
    "retry": lambda request: refusal(429, "", {"Retry-After": request.headers["authorization"]}),
    "many": lambda request: refusal(400, echoes(request)["message"] * 5000),
    "long": lambda request: replay(sse({"error": " " * 65_518 + echoes(request)["message"]})),
}


@pytest.mark.parametrize("leak", LEAKS)
async def test_key_appears_in_no_message_and_no_log_line(
    provider: ScriptedProvider, connect: Connect, caplog: pytest.LogCaptureFixture, leak: str
) -> None:
    caplog.set_level(logging.INFO)
    provider.scripts["one"] = LEAKS[leak]
    service = connect(key=CANARY, headers={"X-Token": "team-canary-42"})
    _, error = await read(service)
    assert error is not None
    seen = f"{error.message} {error!r} {error.__cause__!r} {service!r} {caplog.text}"
    for secret in ("canary", "sk-", "team"):
        assert secret not in seen
    assert "What is a log?" not in caplog.text
