"""The webhook with a real receiver: content, delay, repetition and signature of deliveries."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import logging
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import standardwebhooks
from engine.conftest import OWNER, Puppet, ended, spec
from harness.jupyter import Jupyter, free_port, jupyter
from providers.raw import Strain, raw
from providers.test_bodies import MOST_BLOCK, MOST_MEMORY
from server.conftest import config_for, submit, wait
from server.receiver import PATIENCE, Receiver
from store.model import MemoryStore

from jupyter_bgstream.core.batches import BatchSpec
from jupyter_bgstream.core.errors import InvalidRequestError, ProviderError
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.core.notices import Mute
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.server import webhook
from jupyter_bgstream.server.webhook import Webhook, read_target
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import START, FakeClock
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ENVIRON = {"HOOK_SECRET": SECRET}
TESTS = Path(__file__).parents[1]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


class Servers:
    """Servers with a webhook, on one clock and, with a database, on one store."""

    def __init__(self, receiver: Receiver, stack: AsyncExitStack, *, database: Path | None, now: float) -> None:
        self.clock = FakeClock(now)
        self.puppet = Puppet()
        self.services: list[Engine] = []
        self.calling: list[asyncio.Task[None]] = []
        self._receiver = receiver
        self._stack = stack
        self._database = database
        self._sleepers = 0

    async def add(self, *, preview: bool = False) -> Engine:
        name = f"server-{len(self.services)}"
        store = SQLiteStore(self._database, server=name) if self._database else MemoryStore(server=name)
        engine = Engine(
            store=store, providers=self.puppet, server=name, clock=self.clock, limits=LimitsInfo(stop_grace=0.0)
        )
        await engine.open()
        self._stack.push_async_callback(engine.close)
        target = read_target(self._receiver.url, secret_env="HOOK_SECRET", preview=preview, environ=ENVIRON)
        calling = asyncio.create_task(Webhook(target, engine=engine, owner=OWNER, clock=self.clock).run())
        self._stack.push_async_callback(self._cancel, calling)
        self.calling.append(calling)
        self.services.append(engine)
        self._sleepers += 2  # the look for dead servers' jobs, and the webhook
        return engine

    async def _cancel(self, calling: asyncio.Task[None]) -> None:
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)

    async def passes(self, seconds: int, *, sleepers: int | None = None) -> None:
        """Let time pass, and all that happens meanwhile."""
        for _ in range(seconds):
            await self.clock.sleeping(self._sleepers if sleepers is None else sleepers)
            self.clock.advance(1)
        await self.clock.sleeping(self._sleepers if sleepers is None else sleepers)

    async def said(self, text: str = "Paris.", **fields: object) -> str:
        """Run a job to its end; returns its id."""
        job, _ = await self.services[0].jobs.submit(OWNER, spec("What is the capital?", **fields))
        (await self.puppet.call()).say(text).finish()
        await ended(self.services[0], job.id)
        return job.id


@pytest.fixture(params=["memory", "sqlite"])
async def servers(request: pytest.FixtureRequest, receiver: Receiver, tmp_path: Path) -> AsyncIterator[Servers]:
    database = tmp_path / "jobs.sqlite" if request.param == "sqlite" else None
    async with AsyncExitStack() as stack:
        yield Servers(receiver, stack, database=database, now=START)


def by_the_standard(headers: dict[str, str], body: bytes) -> str:
    """The signature as the specification words it."""
    content = headers["webhook-id"] + "." + headers["webhook-timestamp"] + "." + body.decode()
    return "v1," + base64.b64encode(hmac.new(KEY, content.encode(), hashlib.sha256).digest()).decode()


@pytest.mark.parametrize("jump", [-3600.0, -30 * 86_400.0])
async def test_clock_set_back_does_not_delay_notice(servers: Servers, receiver: Receiver, jump: float) -> None:
    await servers.add()
    await servers.said()
    await servers.passes(10)
    servers.clock.jump(jump)
    await servers.passes(26)
    assert len(receiver.requests) == 1
    await servers.passes(60)
    assert len(receiver.requests) == 1


async def test_clock_set_forward_drops_no_notice(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    await servers.said()
    servers.clock.jump(400 * 86_400.0)
    await servers.passes(36)
    assert len(receiver.requests) == 1
    receiver.replies = [(500, {})] * 99
    await servers.said()
    await servers.passes(100)
    assert len(receiver.requests) >= 4


async def test_failing_receiver_gets_fewer_requests_although_clock_was_set_back(
    servers: Servers, receiver: Receiver
) -> None:
    await servers.add()
    await servers.said()
    receiver.replies = [(500, {})] * 99
    servers.clock.jump(-3600.0)
    await servers.passes(400)
    assert 3 <= len(receiver.requests) <= 10


async def test_unread_notice_is_sent_signed_after_thirty_seconds(servers: Servers, receiver: Receiver) -> None:
    await servers.add()
    job = await servers.said(source=JobSource(notebook="reports/may.ipynb"))
    await servers.passes(29)
    assert receiver.requests == []
    await servers.passes(6)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook/path-secret?key=query-secret")
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "type": "job.completed",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "data": {
            "job": job,
            "batch": None,
            "status": "completed",
            "model": "puppet/one",
            "error_code": None,
            "counts": None,
            "notebook": "reports/may.ipynb",
        },
    }
    (notice,) = await servers.services[0].inbox.notices(OWNER, "")
    assert request.headers["webhook-id"] == notice.id
    assert START + 30 <= int(request.headers["webhook-timestamp"]) <= START + 35
    assert request.headers["webhook-signature"] == by_the_standard(dict(request.headers), request.body)
    assert b"capital" not in request.body
    assert b"Paris" not in request.body
    await servers.passes(200)
    assert len(receiver.requests) == 1
    assert notice.read_at is None  # being told elsewhere is not reading


async def test_title_and_preview_are_sent_only_on_request(servers: Servers, receiver: Receiver) -> None:
    await servers.add(preview=True)
    await servers.said()
    await servers.passes(35)
    data = receiver.said[0]["data"]
    assert (data["title"], data["preview"]) == ("What is the capital?", "Paris.")


async def test_failed_job_sends_code_without_message(servers: Servers, receiver: Receiver) -> None:
    engine = await servers.add()
    job, _ = await engine.jobs.submit(OWNER, spec("Tell me my secret."))
    (await servers.puppet.call()).fail(ProviderError("It says: 'Tell me my secret' is bad.", code="bad_request"))
    await ended(engine, job.id)
    await servers.passes(35)
    assert (receiver.said[0]["type"], receiver.said[0]["data"]["error_code"]) == ("job.failed", "bad_request")
    assert b"secret" not in receiver.requests[0].body


async def test_read_dismissed_muted_cancelled_or_deleted_job_is_not_sent(servers: Servers, receiver: Receiver) -> None:
    engine = await servers.add()
    read = await servers.said()
    dismissed = await servers.said()
    deleted = await servers.said()
    await servers.said(source=JobSource(notebook="quiet.ipynb"))
    await servers.said(thread="quiet")
    cancelled, _ = await engine.jobs.submit(OWNER, spec())
    await servers.puppet.call()
    await servers.passes(20)
    notices = {notice.job: notice.id for notice in await engine.inbox.notices(OWNER, "")}
    await engine.inbox.read(OWNER, "ada", [notices[read]])
    await engine.inbox.dismiss(OWNER, "bob", notices[dismissed])
    await engine.jobs.delete(OWNER, deleted)
    await engine.inbox.mute(OWNER, "", Mute(kind="notebook", name="quiet.ipynb"), on=True)
    await engine.inbox.mute(OWNER, "", Mute(kind="thread", name="quiet"), on=True)
    await engine.jobs.cancel(OWNER, cancelled.id)
    told = await servers.said()
    await servers.passes(100)
    assert [said["data"]["job"] for said in receiver.said] == [told]


async def test_batch_is_sent_once_with_its_counts(servers: Servers, receiver: Receiver) -> None:
    engine = await servers.add()
    members = [(f"member-{number}", spec(f"Row {number}")) for number in range(2)]
    await engine.batches.submit(OWNER, BatchSpec(id="the-batch", total=2, title="Table"), members)
    (await servers.puppet.call()).say("x").finish()
    (await servers.puppet.call()).fail(ProviderError("No.", code="bad_request"))
    for job_id, _ in members:
        await ended(engine, job_id)
    await servers.passes(100)
    (said,) = receiver.said
    assert said["type"] == "batch.failed"
    assert (said["data"]["batch"], said["data"]["job"], said["data"]["model"]) == ("the-batch", None, None)
    assert said["data"]["counts"] == {"completed": 1, "failed": 1, "cancelled": 0, "interrupted": 0}


async def test_paused_batch_sends_code_without_message(servers: Servers, receiver: Receiver) -> None:
    engine = await servers.add()
    members = [(f"member-{number}", spec(f"Row {number}")) for number in range(9)]
    await engine.batches.submit(OWNER, BatchSpec(id="the-batch", total=9, title="Table", concurrency=1), members)
    for job_id, _ in members[:5]:
        (await servers.puppet.call()).fail(ProviderError("It says: 'my secret' is bad.", code="unauthorized"))
        await ended(engine, job_id)
    await servers.passes(100)
    (said,) = receiver.said
    assert (said["type"], said["data"]["error_code"]) == ("batch.paused", "unauthorized")
    assert said["data"]["counts"]["failed"] == 5
    assert b"secret" not in receiver.requests[0].body
    await engine.batches.resume(OWNER, "the-batch")
    for job_id, _ in members[5:]:
        (await servers.puppet.call()).say("x").finish()
        await ended(engine, job_id)
    await servers.passes(100)
    assert [each["type"] for each in receiver.said] == ["batch.paused", "batch.failed"]


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


async def test_two_servers_send_each_notice_once(receiver: Receiver, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        servers = Servers(receiver, stack, database=tmp_path / "jobs.sqlite", now=START)
        for _ in range(2):
            await servers.add()
        jobs = {await servers.said() for _ in range(6)}
        await servers.passes(100)
    assert len(receiver.requests) == len(jobs) == len(set(receiver.ids))


async def test_notice_of_killed_server_is_sent_again_with_same_id(receiver: Receiver, tmp_path: Path) -> None:
    receiver.replies = [None]
    path = os.pathsep.join([str(TESTS), *sys.path])
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("calling.py")),
        str(tmp_path / "jobs.sqlite"),
        receiver.url,
        env=os.environ | {"PYTHONPATH": path},
    )
    await receiver.request()
    child.kill()
    await child.wait()
    async with AsyncExitStack() as stack:
        servers = Servers(receiver, stack, database=tmp_path / "jobs.sqlite", now=START + 31)
        await servers.add()
        await servers.passes(55)
        assert len(receiver.requests) == 1  # the dead server's turn
        await servers.passes(20)
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/x",
        "ftp://localhost/x",
        "hooks.example.org",
        "https://",
        "https://user:word@hooks.example.org/",
        "https://hooks.example.org/#x",
        "https://hooks.example.org:99999999/",
        "http://localhost.example.org/",
    ],
)
def test_invalid_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^BgStreamApp.webhook_url .*\.$") as refused:
        read_target(url, secret_env="HOOK_SECRET", preview=False, environ=ENVIRON)
    assert url not in refused.value.message


@pytest.mark.parametrize("url", ["https://hooks.example.org/x?y=z", "http://localhost:1/", "http://[::1]:8000/x"])
def test_valid_url_is_accepted(url: str) -> None:
    target = read_target(url, secret_env="HOOK_SECRET", preview=False, environ=ENVIRON)
    assert target.keys == (KEY,)
    assert "y=z" not in repr(target)


@pytest.mark.parametrize("secret", ["", "whsec_", SECRET[6:], "whsec_!!!", "whsec_" + "QUJD" * 7 + " x", "whsec_QUJD"])
def test_invalid_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(InvalidRequestError, match="Set HOOK_SECRET in") as refused:
        read_target("https://a.example/", secret_env="HOOK_SECRET", preview=False, environ={"HOOK_SECRET": secret})
    assert not secret[6:] or secret[6:] not in refused.value.message


def test_secret_in_place_of_its_variable_name_is_not_shown() -> None:
    with pytest.raises(InvalidRequestError, match="the \\*name\\*") as refused:
        read_target("https://a.example/", secret_env=SECRET, preview=False, environ={})
    assert SECRET not in refused.value.message


def test_two_secrets_both_sign() -> None:
    other = bytes(32)
    both = f"{SECRET} whsec_{base64.b64encode(other).decode()}"
    target = read_target("https://a.example/", secret_env="S", preview=False, environ={"S": both})
    now = int(time.time())
    headers = {"webhook-id": "abc", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = webhook.signature(target.keys, "abc", now, b'{"a":1}')
    for key in (KEY, other):
        assert standardwebhooks.Webhook(key).verify(b'{"a":1}', headers) == {"a": 1}


async def test_real_server_sends_to_documented_receiver(provider: ThreadedProvider, tmp_path: Path) -> None:
    docs = (TESTS.parent / "docs/how-to/webhook.md").read_text()
    code = re.findall(r"```python\n(import os.*?)```", docs, re.DOTALL)[0]
    port = free_port()
    env = {"BGSTREAM_WEBHOOK_SECRET": SECRET}
    listening = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=os.environ | env | {"PORT": str(port)}, stdout=subprocess.PIPE
    )
    assert listening.stdout is not None
    provider.scripts["told"] = answer("x")
    config = config_for(provider)
    config["BgStreamApp"]["webhook_url"] = f"http://127.0.0.1:{port}/"
    try:
        with jupyter(tmp_path, config=config, **env) as server:
            job = await asyncio.to_thread(submit, server, "told", source={"notebook": "a.ipynb"})
            await asyncio.to_thread(wait, server, job)
            await asyncio.to_thread(let_pass, server)
            async with asyncio.timeout(PATIENCE):
                assert await listening.stdout.readline() == b"job.completed a.ipynb\n"
            assert not [line for line in server.log if "Traceback" in line]
    finally:
        listening.kill()
        await listening.wait()


def let_pass(server: Jupyter) -> None:
    """Bring a notice's time forward, so that the test need not wait for half a minute."""
    with sqlite3.connect(server.data / "bgstream" / "jobs.sqlite", timeout=PATIENCE) as database:
        assert database.execute("UPDATE notices SET call_at = 1").rowcount == 1
    database.close()


def test_unreadable_certificate_authorities_do_not_prevent_start_and_stop(
    provider: ThreadedProvider, tmp_path: Path
) -> None:
    config = config_for(provider)
    config["BgStreamApp"] |= {"webhook_url": "https://hooks.invalid/", "stop_grace": 0.0}
    env = {"BGSTREAM_WEBHOOK_SECRET": SECRET, "SSL_CERT_FILE": str(tmp_path / "missing.pem")}
    with jupyter(tmp_path, config=config, **env) as server:
        with server.client() as client:
            models = client.get("models")
        server.stop()
    locks = (server.data / "bgstream").rglob("*.lock")
    assert [lock.read_text() for lock in locks] == ["closed\n"]  # the store was closed
    assert models.status_code == httpx.codes.OK
    assert "SSL_CERT_FILE" in models.text
    assert [line for line in server.log if "The webhook is off." in line and "SSL_CERT_FILE" in line]


def test_invalid_url_is_logged_and_server_still_works(provider: ThreadedProvider, tmp_path: Path) -> None:
    config = config_for(provider)
    config["BgStreamApp"]["webhook_url"] = "http://hooks.example.org/path-secret"
    with jupyter(tmp_path, config=config) as server, server.client() as client:
        assert client.get("status").status_code == httpx.codes.OK
    said = [line for line in server.log if "The webhook is off." in line]
    assert len(said) == 1
    assert "must be an https URL" in said[0]
    assert "path-secret" not in "".join(server.log)
