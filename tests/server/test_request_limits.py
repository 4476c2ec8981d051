"""Bodies, queries and frames that are too large or malformed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for, submit, wait
from server.websocket_client import connect, leave, read, until
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from jupyter_bgstream.core.request_checks import MAX_BODY
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    # Jupyter's own guard is off, as it is by default: ours has to do.
    config = config_for(provider) | {"ServerApp": {"allow_unauthenticated_access": True}}
    with jupyter(tmp_path_factory.mktemp("home"), config=config) as server:
        yield server


@pytest.fixture(scope="module")
def ended_job(server: Jupyter, provider: ThreadedProvider) -> str:
    provider.scripts["done"] = answer("Done.")
    job = submit(server, "done")
    wait(server, job)
    return job


def ask(server: Jupyter, verb: str, path: str, *, authenticated: bool = True, **kwargs: Any) -> httpx.Response:
    """Send a request on a connection of its own."""
    headers = {"Authorization": f"token {server.token}"} if authenticated else {}
    return httpx.request(verb, server.api + path, headers=headers, trust_env=False, verify=False, timeout=60, **kwargs)


def test_too_large_body_is_refused_and_not_kept_in_memory(server: Jupyter) -> None:
    def pieces() -> Iterator[bytes]:  # a length is not said beforehand
        for _ in range(MAX_BODY // 2**20 + 1):
            yield b" " * 2**20

    for body in (b" " * (MAX_BODY + 1), pieces()):
        answer = ask(server, "POST", "jobs", content=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "32 MiB" in answer.json()["message"]
    assert ask(server, "POST", "jobs", content=b" " * (MAX_BODY - 2) + b"{}").json()["code"] == "invalid"
    before = peak_memory(server)
    # Strangers and owners alike: nothing of 200 MB is kept, only read away.
    assert ask(server, "POST", "jobs", authenticated=False, content=b" " * 200_000_000).status_code == 403
    assert ask(server, "POST", "jobs", content=b" " * 200_000_000).status_code == 413
    assert peak_memory(server) - before < 50_000_000


def test_body_above_limit_of_jupyter_is_413_with_error_body(tmp_path: Path) -> None:
    # tornado drops such a connection with a bare 400; ours is out before.
    config = {"ServerApp": {"max_body_size": 10_000_000}}
    with (
        jupyter(tmp_path, config=config) as server,
        contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection,
    ):
        connection.putrequest("POST", "/api/bgstream/jobs")
        connection.putheader("Authorization", f"token {server.token}")
        connection.putheader("Content-Length", "10000001")
        connection.endheaders()
        answer = connection.getresponse()
        refusal = json.loads(answer.read())
        assert (answer.status, refusal["code"]) == (413, "too_large")
        assert "9.54 MiB" in refusal["message"]


def peak_memory(server: Jupyter) -> int:
    status = Path(f"/proc/{server.pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc here")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert match is not None
    return int(match[1]) * 1024


QUERIES = [
    "jobs?limit=-1", "jobs?limit=1e3", "jobs?limit=%D9%A1", "jobs?limit=", "jobs?limit=99999999999999999999",
    "jobs?cursor=%00", "jobs?cursor=1%3Bdrop", "jobs?status=", "jobs?x=1", "jobs?%00=1", "jobs?thread=%ff",
    "costs?by=", "costs?by=hour", "costs?since=", "costs?since=-1", "costs?until=1_0", "costs?until=nan", "costs?x=1",
    "costs?since=" + "9" * 5000, "notices?unread=", "notices?unread=TRUE",
    "jobs/{job}/events?offset=", "jobs/{job}/events?offset=%00",
    "jobs/{job}/events?live=", "jobs/{job}/events?offset=0_0_0", "jobs/{job}/events?offset=" + "9" * 5000,
    "jobs/{job}/events?live=sse&offset=nonsense", "jobs/{job}/events?offset=%D9%A1",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_malformed_query_is_400_with_short_message(server: Jupyter, ended_job: str, query: str) -> None:
    answer = ask(server, "GET", query.format(job=ended_job))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert len(answer.json()["message"]) < 1000


ODD_FRAMES = {
    "no JSON": "{",
    "no object": "[]",
    "a number": "1",
    "nothing": "",
    "no type": "{}",
    "an unknown type": '{"type": "cancel", "job": "x"}',
    "a wrong type of a field": '{"type": "follow", "job": {"a": 1}}',
    "an unknown field": '{"type": "follow", "job": "x", "token": "y"}',
    "deep": '{"type": "follow", "job": ' + "[" * 30_000 + "]" * 30_000 + "}",
    "half a character": '{"type": "follow", "job": "\\ud800"}',
    "binary": b"\x00\xff\xfe",
    "a long id": json.dumps({"type": "follow", "job": "x" * 60_000}),
    "an id with a zero": json.dumps({"type": "follow", "job": "a\0b"}),
    "an id that is SQL": json.dumps({"type": "follow", "job": "' OR 1=1 --"}),
}


async def test_malformed_frames_are_answered_and_socket_stays_open(server: Jupyter) -> None:
    socket = await connect(server)
    for name, frame in ODD_FRAMES.items():
        await socket.write_message(frame, binary=isinstance(frame, bytes))
        error = json.loads(await until(socket, "error"))
        assert error["code"] in ("invalid", "not_found"), name
        assert len(error["message"]) < 1000, name
    await leave(socket)


async def test_frame_of_ten_megabytes_closes_only_its_socket(server: Jupyter) -> None:
    socket, other = await connect(server), await connect(server)
    with contextlib.suppress(WebSocketClosedError, StreamClosedError):
        await socket.write_message("x" * 10_000_000)
    while await socket.read_message() is not None:
        pass
    assert socket.close_code in (1009, None)  # None: it was cut off while we were still sending
    socket.close()
    await other.write_message("{")
    await until(other, "error")
    await leave(other)


async def test_ten_thousand_failed_follows_do_not_block_valid_one(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["many"] = answer("one two", hold_after=1)
    job = submit(server, "many")
    socket = await connect(server)

    async def ask() -> None:
        for n in range(10_000):
            await socket.write_message(json.dumps({"type": "follow", "job": f"no-such-job-{n}"}))
        await socket.write_message(json.dumps({"type": "follow", "job": job}))

    asking = asyncio.create_task(ask())  # beside the reading: who is not read is not read from either
    answers = 0
    while (frame := json.loads(await read(socket)))["type"] != "events":
        answers += frame["type"] == "error"
    assert (answers, frame["job"]) == (10_000, job)
    await asking
    await leave(socket)
    provider.release()
    assert wait(server, job)["status"] == "completed"
    assert not any("Traceback" in line for line in server.log)
