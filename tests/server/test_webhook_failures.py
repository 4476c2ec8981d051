"""The webhook with a receiver that fails, hangs or responds oddly: repetition, delays and log."""

from __future__ import annotations

import asyncio
import itertools
import logging
from itertools import pairwise

import pytest
from engine.conftest import OWNER
from harness.jupyter import free_port
from providers.raw import Strain, raw
from providers.test_bodies import MOST_BLOCK, MOST_MEMORY
from server.receiver import PATIENCE, Receiver
from server.webhook_servers import SECRET, Servers, by_the_standard

from jupyter_bgstream.server import webhook


async def test_failing_receiver_gets_fewer_requests_although_clock_was_set_back(
    servers: Servers, receiver: Receiver
) -> None:
    await servers.add()
    await servers.said()
    receiver.replies = [(500, {})] * 99
    servers.clock.jump(-3600.0)
    await servers.passes(400)
    assert 3 <= len(receiver.requests) <= 10


async def test_failed_delivery_is_repeated_with_longer_delays_and_same_id(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    redirect = (302, {"Location": receiver.url})
    receiver.replies = [(500, {}), redirect, (404, {}), (500, {}), (200, {})]
    await servers.said()
    await servers.passes(600)
    assert len(receiver.requests) == 5
    assert len(set(receiver.ids)) == 1
    times = [int(request.headers["webhook-timestamp"]) for request in receiver.requests]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 5
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 60
    for request in receiver.requests:
        assert request.headers["webhook-signature"] == by_the_standard(dict(request.headers), request.body)


async def test_redirects_and_cookies_of_receiver_are_ignored(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await servers.add()
    places = ("javascript:alert(1)", "https:x", "http://[::1", "http://169.254.169.254/latest")
    echo = {"Set-Cookie": "name=path-secret", "X-Echo": "query-secret"}
    receiver.replies = [(302, {"Location": place} | echo) for place in places]
    await servers.said()
    await servers.passes(600)
    assert len(receiver.requests) == len(places) + 1
    assert [request.headers.get("cookie") for request in receiver.requests] == [None] * len(receiver.requests)
    assert "responded 302" in caplog.text
    assert "cannot go on" not in caplog.text
    for secret in ("path-secret", "query-secret"):
        assert secret not in caplog.text


async def test_notice_is_dropped_after_one_day(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    engine = await servers.add()
    receiver.replies = [(500, {})] * 1000
    await servers.said()
    for _ in range(26 * 6):
        await servers.passes(0)
        servers.clock.advance(600)
    await servers.passes(0)
    tried = len(receiver.requests)
    assert 15 < tried < 40
    assert "is dropped" in caplog.text
    receiver.replies.clear()
    servers.clock.advance(3600)
    await servers.passes(10)
    assert len(receiver.requests) == tried
    assert len(await engine.inbox.notices(OWNER, "")) == 1  # the inbox still has it


async def test_retry_after_applies_to_all_notices(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    receiver.replies = [(429, {"Retry-After": "300"})]
    await servers.said()
    await servers.passes(35)
    await servers.said()
    await servers.passes(290)
    assert len(receiver.requests) == 1
    await servers.passes(120)
    assert len(receiver.requests) == 3
    assert len(set(receiver.ids)) == 2


async def test_retry_after_accepts_date(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    receiver.replies = [(503, {"Retry-After": "Tue, 14 Nov 2023 22:18:20 GMT"})]  # START + 300
    await servers.said()
    await servers.passes(290)
    assert len(receiver.requests) == 1
    await servers.passes(30)
    assert len(receiver.requests) == 2


async def test_gone_response_switches_webhook_off_with_log(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    await servers.add()
    receiver.replies = [(410, {})]
    await servers.said()
    await servers.passes(29)
    servers.clock.advance(6)
    async with asyncio.timeout(PATIENCE):
        await servers.calling[0]
    await servers.said()
    await servers.passes(100, sleepers=1)
    assert len(receiver.requests) == 1
    assert "the webhook is off until" in caplog.text


async def test_hanging_receiver_blocks_nothing(
    servers: Servers, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "REQUEST_SECONDS", 0.2)
    await servers.add()
    receiver.replies = [None, (204, {})]
    await servers.said()
    await servers.passes(60)
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1


async def test_number_of_concurrent_deliveries_is_limited(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    jobs = {await servers.said() for _ in range(21)}
    await servers.passes(40)
    assert {said["data"]["job"] for said in receiver.said} == jobs
    assert len(receiver.requests) == len(jobs)
    assert receiver.most <= webhook.MAX_CONCURRENT


async def test_unreachable_receiver_is_logged_once(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    port, url = free_port(), receiver.url
    receiver.url = f"http://127.0.0.1:{port}/"
    await servers.add()
    await servers.said()
    await servers.passes(50)
    assert caplog.text.count("does not respond (ConnectError)") == 1  # once, not at every try
    assert receiver.requests == []
    receiver.url = url


ANSWERS = {
    "informational responses": (b"", b"HTTP/1.1 100 \r\n\r\n" * 4000, "does not respond (RemoteProtocolError)"),
    "reason phrase": (b"HTTP/1.1 200 ", b"a" * 65536, "does not respond (RemoteProtocolError)"),
    "compressed body": (b"HTTP/1.1 500 No\r\nContent-Encoding: gzip, gzip\r\n\r\n", b"\0" * 65536, "responded 500"),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_endless_response_is_not_read(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    first, piece, problem = ANSWERS[what]
    own = receiver.url
    with raw(lambda: itertools.chain([first], itertools.repeat(piece))) as receiver.url:
        async with Strain() as strain:
            await servers.add()
            await servers.said()
            await servers.passes(40)
    assert caplog.text.count(problem) == 1
    assert strain.grown < MOST_MEMORY
    assert strain.longest < MOST_BLOCK
    receiver.url = own


async def test_no_compression_is_requested(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    await servers.said()
    await servers.passes(40)
    assert [request.headers["accept-encoding"] for request in receiver.requests] == ["identity"]


async def test_log_contains_no_secret_path_or_answer(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await servers.add(preview=True)
    receiver.replies = [(500, {}), (302, {"Location": "/elsewhere"})]
    await servers.said()
    await servers.passes(120)
    assert len(receiver.requests) == 3
    assert "responded 500" in caplog.text
    for secret in ("path-secret", "query-secret", SECRET.removeprefix("whsec_"), "capital", "Paris"):
        assert secret not in caplog.text


async def test_unreadable_certificate_authorities_are_reported_as_such(
    servers: Servers, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "missing.pem")
    receiver.url, url = "https://hooks.invalid/path-secret", receiver.url
    await servers.add()
    async with asyncio.timeout(PATIENCE):
        await servers.calling[0]
    assert "The webhook is off. " in caplog.text
    assert "SSL_CERT_FILE" in caplog.text
    assert "proxy" not in caplog.text
    receiver.url = url
