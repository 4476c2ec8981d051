"""Whether a failed request can be retried, and after how long."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

import msgspec
import pytest
from providers.conftest import Connect
from providers.speaking import ERRORS, free_port, read

from jupyter_bgstream.providers.errors import message_in
from jupyter_bgstream.testing import Script, ScriptedProvider, event, refusal

GOOGLE = {"code": 429, "message": "Check your plan and billing details.", "status": "RESOURCE_EXHAUSTED"}
GOOGLE_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
BUSY = {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}

Case = tuple[int, dict[str, str], Any, bool, float | None]  # status, headers, body; transient, seconds to wait

REFUSALS: list[Case] = [
    (408, {}, "", True, None),
    (409, {}, "", True, None),
    (429, {}, BUSY, True, None),
    (500, {}, "", True, None),
    (529, {}, {"error": {"type": "overloaded_error"}}, True, None),
    (400, {}, "", False, None),
    (401, {}, "", False, None),
    (402, {}, "", False, None),
    (403, {}, "", False, None),
    (404, {}, {"error": {"code": "model_not_found"}}, False, None),
    (302, {"Location": "/"}, "", False, None),
    (429, {}, {"error": {"message": "No.", "code": "insufficient_quota"}}, False, None),
    (429, {"Retry-After": "9"}, {"error": {"message": "No.", "code": "insufficient_quota"}}, False, 9.0),
    (429, {}, "Please check your plan and billing details.", False, None),
    (429, {"Retry-After": "9"}, "Please check your plan and billing details.", True, 9.0),
    (429, {}, [{"error": GOOGLE}], False, None),
    (429, {}, [{"error": GOOGLE | {"details": [1, GOOGLE_INFO]}}], True, 34.5),
    (503, {"Retry-After": "1.5"}, "", True, 1.5),
    (503, {"Retry-After": "-3"}, "", True, 0.0),
    (503, {"Retry-After": "9", "Retry-After-Ms": "250"}, "", True, 0.25),
    (503, {"Retry-After": "9", "Retry-After-Ms": "soon"}, "", True, 9.0),
    (500, {"X-Should-Retry": "false", "Retry-After": "9"}, "", False, 9.0),
    (400, {"X-Should-Retry": "true"}, "", True, None),
    (400, {"X-Should-Retry": "perhaps"}, "", False, None),
    *[
        (503, {"Retry-After": odd}, "", True, None)
        for odd in ("", "soon", "nan", "inf", "1e9", "1_0", "0x10", "Fri, 99 Foo 2026", "9" * 400)
    ],
    (503, {"Retry-After": "Fri, 01 Jan 1999 00:00:00 GMT"}, "", True, 0.0),
    (503, {"Retry-After": "Fri, 01 Jan 1999 00:00:00 -0000"}, "", True, 0.0),
]

IN_STREAM: list[tuple[Any, str, bool]] = [
    ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, "provider_error", True),
    ({"error": {"type": "server_error", "message": "Sorry"}}, "provider_error", True),
    ({"error": {"message": "Slow", "code": 429}}, "rate_limited", True),
    ({"error": {"message": "Slow", "type": "rate_limit_error"}}, "rate_limited", True),
    ({"error": {"message": "Busy", "code": 503}}, "provider_error", True),
    ({"error": "The engine is overloaded, try again"}, "provider_error", True),
    ({"error": "out of memory"}, "provider_error", False),
    ({"error": {"message": "Pay", "code": "insufficient_quota"}}, "rate_limited", False),
    ({"error": {"message": "x", "code": "context_length_exceeded"}}, "context_too_long", False),
    ({"error": {"message": "overloaded", "code": "invalid_api_key"}}, "unauthorized", False),
]


@pytest.mark.parametrize("case", REFUSALS)
async def test_error_response_maps_to_transience_and_delay(
    provider: ScriptedProvider, connect: Connect, case: Case
) -> None:
    status, headers, body, transient, wait = case
    data = body if isinstance(body, str) else msgspec.json.encode(body)
    provider.scripts["one"] = refusal(status, data, headers)
    _, error = await read(connect())
    assert error is not None
    assert (error.transient, error.retry_after) == (transient, wait)


async def test_retry_after_date_becomes_seconds(provider: ScriptedProvider, connect: Connect) -> None:
    provider.scripts["one"] = refusal(503, "", {"Retry-After": formatdate(time.time() + 3600, usegmt=True)})
    _, error = await read(connect())
    assert error is not None
    assert error.retry_after is not None
    assert 3500 < error.retry_after < 3601


@pytest.mark.parametrize(("payload", "code", "transient"), IN_STREAM)
async def test_error_in_stream_maps_to_code_and_transience(
    provider: ScriptedProvider, connect: Connect, payload: Any, code: str, transient: bool
) -> None:
    for script in (
        refusal(200, payload),
        Script(headers={"Content-Type": "text/event-stream"}, steps=refusal(200, event(payload)).steps),
    ):
        provider.scripts["one"] = script
        _, error = await read(connect())
        assert error is not None
        assert (error.code, error.transient) == (code, transient)


@pytest.mark.parametrize("url", ["http://nobody.invalid/v1", "http://127.0.0.1:{port}/v1"])
async def test_unreachable_host_is_transient(connect: Connect, url: str) -> None:
    _, error = await read(connect(url.format(port=free_port())))
    assert error is not None
    assert (error.code, error.transient) == ("unreachable", True)


@pytest.mark.parametrize(("status", "transient"), [(407, False), (502, True)])
async def test_status_of_proxy_decides_transience(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, status: int, transient: bool
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        _, error = await read(connect("https://models.invalid/v1"))
    assert error is not None
    assert (error.code, error.transient) == ("unreachable", transient)


def test_deeply_nested_error_has_message() -> None:
    deep: Any = {"message": "far down"}
    listed: Any = []
    for _ in range(20_000):
        deep, listed = {"error": deep}, [listed]
    for payload in (deep, listed, {"error": {"message": deep}}, {"error": {"odd": listed}}):
        assert "too deeply" in message_in(payload)
        assert "too deeply" in ERRORS.payload_error(payload).message
