"""Viewers that stop reading a job of 50 MB use little memory, and receive all of it when they read again."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from abuse.watched import caller, follow, frames, memory, page, submit, until, watched
from harness.jupyter import Jupyter
from harness.sockets import hang_up

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

DELTAS = [f"{n:06} " + "á" + "x" * 991 for n in range(50_000)]  # 50 MB in UTF-8
STALLED = 3  # viewers of each kind
SLACK_MB = 24.0  # what a job of 50 MB may add for all: rings, commits under way, and what the allocator keeps
FRAME = 256 * 1024  # bytes of events
ENVELOPE = 512  # bytes of a frame around its events


@pytest.fixture
def provider() -> Iterator[ThreadedProvider]:
    scripts = {"flood": answer(DELTAS, hold_after=1), "drip": answer([f"{n} " for n in range(3000)], pace=0.02)}
    scripts["small"] = answer(DELTAS[:2000])
    with ScriptedProvider(scripts).in_thread() as provider:
        yield provider


class Stalled:
    """A viewer on a raw connection with a small buffer that is not read until it is told to."""

    def __init__(self, server: Jupyter) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.settimeout(60)

    def close(self) -> None:
        self.socket.close()


class StalledPage(Stalled):
    """Follows a job on the WebSocket."""

    def __init__(self, server: Jupyter, job: str) -> None:
        super().__init__(server)
        key = base64.b64encode(bytes(16)).decode()
        self.socket.sendall(
            f"GET /api/bgstream/live HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: token {server.token}\r\n\r\n".encode()
        )
        self._bytes = self.socket.makefile("rb")
        assert b" 101 " in self._bytes.readline()
        while self._bytes.readline() != b"\r\n":
            pass
        frame = json.dumps({"type": "follow", "job": job}).encode()
        self.socket.sendall(bytes([0x81, 0x80 | len(frame)]) + bytes(4) + frame)  # masked with zeros

    def close(self) -> None:
        self._bytes.close()
        super().close()

    def batches(self) -> Iterator[tuple[int, list[dict[str, Any]], bool]]:
        """Bytes, events and whether the log ends, of each frame with events."""
        while True:
            _, length = self._bytes.read(2)
            if length >= 126:
                length = int.from_bytes(self._bytes.read(2 if length == 126 else 8))
            frame = json.loads(self._bytes.read(length))
            if frame["type"] == "events":
                yield length, frame["events"], frame["closed"]


class StalledFollower(Stalled):
    """Follows a job by server-sent events."""

    def __init__(self, server: Jupyter, job: str) -> None:
        super().__init__(server)
        request = f"GET /api/bgstream/jobs/{job}/events?live=sse HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        self.socket.sendall(f"{request}Authorization: token {server.token}\r\n\r\n".encode())

    def batches(self) -> Iterator[tuple[int, list[dict[str, Any]], bool]]:
        with http.client.HTTPResponse(self.socket) as response:
            response.begin()
            assert response.status == 200
            for line in response:
                if line.startswith(b"data: ["):
                    data = line.removeprefix(b"data: ")
                    events = json.loads(data)
                    yield len(data), events, events[-1]["type"] == "completed"


def read_all(viewer: StalledPage | StalledFollower) -> tuple[str, int]:
    """Read to the end; returns the text and the largest frame. Fails at a gap or a double."""
    seq, pieces, largest, closed = 0, [], 0, False
    for size, events, closed in viewer.batches():
        largest = max(largest, size)
        for event in events:
            assert event.get("first", event["seq"]) == seq + 1
            seq = event["seq"]
            pieces.append(event.get("text", ""))
        if closed:
            break
    assert closed
    return "".join(pieces), largest


async def test_viewers_that_stop_reading_cost_no_memory_and_catch_up(
    tmp_path: Path, provider: ThreadedProvider
) -> None:
    text = "".join(DELTAS)
    with watched(tmp_path, provider, max_answer_bytes=100_000_000) as server, ExitStack() as ended:
        async with caller(server) as client:
            warm = await submit(client, "small")
            await follow(client, warm)
            drip = await submit(client, "drip")
            flood = await submit(client, "flood")
            kinds = (StalledPage, StalledFollower)
            stalled = [ended.enter_context(closing(kind(server, flood))) for kind in kinds for _ in range(STALLED)]
            await until(lambda: len(provider.requests) == 3, "both are under way")
            gaps = asyncio.create_task(gaps_of(server, drip))
            before = memory(server)
            sampling = asyncio.create_task(most(server))
            reading = asyncio.create_task(read_along(server, flood))
            provider.release()
            seen, seen_at = await reading
            job = (await client.get("jobs", params={"ids": flood})).json()["jobs"][0]
            sampling.cancel()
            peak = await sampling
            gaps.cancel()
            found = sorted(await gaps)
            same = seen == text  # apart, since pytest would show how 50 MB differ
            assert (job["status"], same) == ("completed", True)
            behind = seen_at - job["ended_at"]
            took = job["ended_at"] - job["started_at"]
            read = await asyncio.gather(*(asyncio.to_thread(read_all, viewer) for viewer in stalled))
            after = memory(server)
    print(
        f"{len(text.encode()) / 1e6:.0f} MB in {took:.1f} s; {before:.0f} MB before, at most +{peak - before:.1f}, "
        f"+{after - before:.1f} once all had read it; a reading viewer had the end {behind * 1e3:.0f} ms after it; "
        f"another job's viewer: gap p50 {statistics.median(found) * 1e3:.0f} ms, "
        f"p99 {found[int(len(found) * 0.99)] * 1e3:.0f} ms, most {found[-1] * 1e3:.0f} ms; "
        f"largest frame {max(size for _, size in read)} bytes"
    )
    assert [said == text for said, _ in read] == [True] * len(read)
    assert all(size <= FRAME + ENVELOPE for _, size in read)
    assert peak - before < SLACK_MB
    assert after - before < SLACK_MB
    assert behind < 1.0
    assert found[int(len(found) * 0.99)] < 0.5  # a delta comes every 20 ms


async def read_along(server: Jupyter, job: str) -> tuple[str, float]:
    """A viewer that reads; returns the text and when it had the end."""
    socket = await page(server, job)
    pieces = []
    async for frame in frames(socket):
        if frame["type"] == "events":
            pieces += [event.get("text", "") for event in frame["events"]]
            if frame["closed"]:
                break
    now = time.time()
    await hang_up(socket)
    return "".join(pieces), now


async def gaps_of(server: Jupyter, job: str) -> list[float]:
    """Seconds between the frames of a job that drips, until cancelled."""
    socket = await page(server, job)
    times = []
    try:
        async for frame in frames(socket):
            if frame["type"] == "events":
                times.append(time.monotonic())
    except asyncio.CancelledError:
        await hang_up(socket)
    return [after - before for before, after in pairwise(times)]


async def most(server: Jupyter) -> float:
    """The most MB that the server had, until cancelled."""
    peak = 0.0
    try:
        while True:
            peak = max(peak, memory(server))
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return peak
