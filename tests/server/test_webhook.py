"""The webhook with a real receiver: which notices are sent, their content and their signature."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from engine.conftest import OWNER, ended, spec
from harness.jupyter import Jupyter, free_port, jupyter
from server.conftest import config_for, submit, wait
from server.receiver import PATIENCE, Receiver
from server.webhook_servers import SECRET, Servers, by_the_standard

from jupyter_bgstream.core.batches import BatchSpec
from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.core.notices import Mute
from jupyter_bgstream.testing.clock import START
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

TESTS = Path(__file__).parents[1]


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
