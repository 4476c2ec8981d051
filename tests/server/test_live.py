"""The WebSocket, spoken to by tornado's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for, submit
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_bgstream.core.codec import PROTOCOL_VERSION, decode_event
from jupyter_bgstream.core.events import Event
from jupyter_bgstream.core.state import Answer, fold
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

LONG = [f"{n} " for n in range(30_000)]


class Page:
    """One page's socket: what it was sent, and the answer of each job it follows."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []
        self.answers: dict[str, Answer] = {}
        self.cursors: dict[str, str] = {}

    async def leave(self) -> None:
        self.socket.close()
        while await self.socket.read_message() is not None:
            pass

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.write_message(json.dumps({"type": type, **fields}))

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            message = await self.socket.read_message()
        assert message is not None, "the server closed the socket"
        frame: dict[str, Any] = json.loads(message)
        self.frames.append(frame | {"bytes": len(message)})
        if frame["type"] == "events":
            events: list[Event] = [decode_event(json.dumps(event).encode()) for event in frame["events"]]
            self.answers[frame["job"]] = fold(events, self.answers.get(frame["job"], Answer()))
            self.cursors[frame["job"]] = frame["cursor"]
        return frame

    async def until(self, type: str, **fields: Any) -> dict[str, Any]:
        while True:
            frame = await self.read()
            if frame["type"] == type and fields.items() <= frame.items():
                return frame


@pytest.fixture
async def page(server: Jupyter) -> AsyncIterator[Page]:
    page = Page(await connect(server))
    yield page
    await page.leave()


async def connect(server: Jupyter) -> WebSocketClientConnection:
    url = server.api.replace("http:", "ws:") + "live"
    return await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}"}))


async def ask(server: Jupyter, verb: str, path: str, **kwargs: Any) -> Any:
    async with httpx.AsyncClient(
        base_url=server.api, headers={"Authorization": f"token {server.token}"}, trust_env=False, verify=False
    ) as client:
        return (await client.request(verb, path, **kwargs)).json()


async def test_page_receives_hello_events_and_end(server: Jupyter, provider: ThreadedProvider, page: Page) -> None:
    hello = await page.read()
    assert (hello["type"], hello["protocol"]) == ("hello", PROTOCOL_VERSION)
    provider.scripts["live"] = answer("one two three", hold_after=2)
    job = await asyncio.to_thread(submit, server, "live")
    await page.send("follow", job=job, cursor=None)
    while page.answers.get(job, Answer()).text != "one two ":
        await page.read()
    provider.release()
    end = await page.until("events", closed=True)
    assert (page.answers[job].text, page.answers[job].status, end["job"]) == ("one two three", "completed", job)


async def test_reconnected_view_continues_at_its_cursor(
    server: Jupyter, provider: ThreadedProvider, page: Page
) -> None:
    provider.scripts["again"] = answer("one two three four", hold_after=2)
    job = await asyncio.to_thread(submit, server, "again")
    await page.send("follow", job=job)
    while page.answers.get(job, Answer()).text != "one two ":
        await page.read()
    await page.leave()
    provider.release()
    page.socket = await connect(server)
    await page.send("follow", job=job, cursor=page.cursors[job])
    await page.until("events", closed=True)
    assert page.answers[job].text == "one two three four"


async def test_catch_up_uses_few_bounded_frames(server: Jupyter, provider: ThreadedProvider, page: Page) -> None:
    provider.scripts["long"] = answer(LONG)
    job = await asyncio.to_thread(submit, server, "long")
    await page.send("follow", job=job)
    await page.until("events", closed=True)
    assert page.answers[job].text == "".join(LONG)
    late = Page(await connect(server))
    await late.send("follow", job=job)
    await late.until("events", closed=True)
    await late.leave()
    frames = [frame for frame in late.frames if frame["type"] == "events"]
    assert late.answers[job] == page.answers[job]
    assert max(frame["bytes"] for frame in frames) < 300_000
    assert sum(len(frame["events"]) for frame in frames) < 100  # 30,000 deltas, joined into runs


async def test_status_hints_are_few_and_include_end_and_deletion(
    server: Jupyter, provider: ThreadedProvider, page: Page
) -> None:
    await page.until("hello")
    provider.scripts["hints"] = answer(LONG[:100], pace=0.002)
    job = await asyncio.to_thread(submit, server, "hints")
    await page.until("job", job=job, status="completed")
    await page.until("notice")
    hints = [frame for frame in page.frames if frame.get("job") == job]
    assert {tuple(hint) for hint in hints} == {("type", "job", "status", "bytes")}
    statuses = [hint["status"] for hint in hints]
    # One for each status at most, and none for deltas. A newer hint replaces an unsent one.
    assert statuses == sorted(set(statuses), key=["queued", "running", "completed"].index)
    assert statuses[-1] == "completed"
    await ask(server, "GET", f"jobs/{job}")
    async with httpx.AsyncClient(
        headers={"Authorization": f"token {server.token}"}, trust_env=False, verify=False
    ) as client:
        assert (await client.delete(f"{server.api}jobs/{job}")).status_code == 204
    await page.until("job", job=job, status="deleted")


async def test_seen_marks_notice_as_read_only_at_end(server: Jupyter, provider: ThreadedProvider, page: Page) -> None:
    provider.scripts["seen"] = answer("one two", hold_after=1)
    job = await asyncio.to_thread(submit, server, "seen")
    await page.send("follow", job=job)
    while page.answers.get(job, Answer()).text != "one ":
        await page.read()
    await page.send("seen", job=job, cursor=page.cursors[job])
    provider.release()
    await page.until("events", closed=True)
    assert await unread(server, job)
    await page.send("seen", job=job, cursor=page.cursors[job])
    while await unread(server, job):
        await page.until("notice")


async def unread(server: Jupyter, job: str) -> bool:
    notices = (await ask(server, "GET", "notices?unread=true"))["notices"]
    return job in [notice["job"] for notice in notices]


async def test_invalid_frame_is_answered_and_socket_stays_open(
    server: Jupyter, provider: ThreadedProvider, page: Page
) -> None:
    await page.send("follow", job="no-such-job")
    assert (await page.until("error"))["code"] == "not_found"
    await page.socket.write_message("{")
    assert (await page.until("error"))["code"] == "invalid"
    await page.send("dance")
    assert (await page.until("error"))["code"] == "invalid"
    provider.scripts["fine"] = answer("x")
    job = await asyncio.to_thread(submit, server, "fine")
    await page.send("follow", job=job, cursor="deadbeef_0001_000000000001")
    assert (await page.until("reset"))["job"] == job
    await page.send("follow", job=job, cursor="nonsense")
    assert (await page.until("error", job=job))["code"] == "invalid"
    await page.send("follow", job=job)
    await page.until("events", closed=True)


async def test_page_that_stops_reading_blocks_no_other_page(
    server: Jupyter, provider: ThreadedProvider, page: Page
) -> None:
    provider.scripts["slow-reader"] = answer(LONG)
    stuck = Page(await connect(server))
    job = await asyncio.to_thread(submit, server, "slow-reader")
    await stuck.send("follow", job=job)  # and reads nothing
    await page.send("follow", job=job)
    await page.until("events", closed=True)
    assert page.answers[job].text == "".join(LONG)
    await stuck.until("events", closed=True)
    assert stuck.answers[job].text == "".join(LONG)
    await stuck.leave()


async def test_stopping_server_sends_end_before_socket_closes(provider: ThreadedProvider, tmp_path: Path) -> None:
    provider.scripts["stopping"] = answer("one two", hold_after=1)
    with jupyter(tmp_path, config=config_for(provider)) as server:
        job = await asyncio.to_thread(submit, server, "stopping")
        page = Page(await connect(server))
        await page.send("follow", job=job)
        while page.answers.get(job, Answer()).text != "one ":
            await page.read()
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await page.until("events", closed=True)
        assert page.answers[job].status == "interrupted"
        await page.leave()
        await stopping
        assert not any("Traceback" in line for line in server.log)
        assert not [frame for frame in page.frames if frame["type"] == "error"]
