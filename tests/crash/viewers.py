"""Those who watch while servers die: a WebSocket, readers of the log over HTTP, and polls of the REST answer."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import msgspec
from harness.jupyter import Jupyter
from harness.sockets import hang_up
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

AS_STORED = b'{"seq":'

RawEvents = list[msgspec.Raw]


class Frame(msgspec.Struct):
    """What the socket brings."""

    type: str
    job: str | None = None
    cursor: str = ""
    events: RawEvents = []
    closed: bool = False
    code: str = ""


class Numbered(msgspec.Struct):
    """The part of an event that says where it stands."""

    seq: int
    type: str
    first: int = 0
    channel: str = ""
    text: str = ""


class Sightings:
    """All that any viewer ever saw."""

    def __init__(self, tick: Callable[[str], None]) -> None:
        self.events: dict[str, dict[int, bytes]] = defaultdict(dict)  # job, seq: bytes
        self.runs: list[tuple[str, Numbered]] = []
        self.encoded_again: list[tuple[str, int, bytes]] = []  # job, seq
        self.answers: list[dict[str, Any]] = []
        self.count = 0
        self.resumed = 0  # reads that began at a cursor of an earlier life
        self._tick = tick

    def saw(self, job: str, after: int, events: RawEvents) -> int:
        """Note events that came after number ``after``; returns the last number. A gap or a change is an error."""
        for raw in events:
            event = msgspec.json.decode(raw, type=Numbered)
            assert (event.first or event.seq) == after + 1, f"{job}: event {event.first or event.seq} after {after}"
            after = event.seq
            self.count += 1
            if event.first:
                self.runs.append((job, event))
            elif not bytes(raw).startswith(AS_STORED):  # in one frame with runs: the same values, encoded again
                self.encoded_again.append((job, event.seq, bytes(raw)))
            else:
                known = self.events[job].setdefault(event.seq, bytes(raw))
                assert known == bytes(raw), f"{job}: event {event.seq} was {known!r} and is {bytes(raw)!r}"
            self._tick("seen")
        return after


class Place:
    """How far one viewer has come in one log."""

    def __init__(self) -> None:
        self.seq = 0
        self.cursor: str | None = None
        self.closed = False


class Viewer:
    """Watches jobs on one server at a time; goes on at its own cursors on the next."""

    def __init__(self, sightings: Sightings, chance: random.Random) -> None:
        self.places: dict[str, Place] = defaultdict(Place)
        self.wrong: list[str] = []
        self.stopping = False  # the server was asked to stop and may say so
        self._sightings = sightings
        self._chance = chance
        self._socket: WebSocketClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def watch(self, server: Jupyter, jobs: list[str]) -> None:
        """Begin to watch these jobs on a server."""
        headers = {"Authorization": f"token {server.token}"}
        self._client = httpx.AsyncClient(
            base_url=server.api, headers=headers, trust_env=False, verify=False, timeout=60
        )
        try:
            request = HTTPRequest(server.api.replace("http", "ws", 1) + "live", headers=headers)
            self._socket = await websocket_connect(request)
        except Exception:  # it was killed meanwhile
            return
        self._sightings.resumed += sum(place.seq > 0 and not place.closed for place in self.places.values())
        for job in jobs:
            self.follow(job)
        self._tasks = [asyncio.create_task(work) for work in (self._read(self._socket), self._poll(self._client))]

    def follow(self, job: str) -> None:
        """Follow a job over the socket, from where this viewer stands in its log."""
        place = self.places[job]
        if self._socket is not None and not place.closed and self._socket.protocol is not None:
            frame = {"type": "follow", "job": job, "cursor": place.cursor}
            with suppress(WebSocketClosedError):  # its server has just died
                self._socket.write_message(msgspec.json.encode(frame)).add_done_callback(lambda done: done.exception())

    def follow_by_http(self, job: str) -> None:
        """Read a log over HTTP beside the socket, from the beginning."""
        assert self._client is not None
        self._tasks.append(asyncio.create_task(self._read_log(self._client, job)))

    async def leave(self) -> None:
        """Read what the dead server had still sent, then stop."""
        open_still = False
        if self._socket is not None and self._tasks:
            _, unfinished = await asyncio.wait([self._tasks[0]], timeout=5)
            open_still = bool(unfinished)
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, AssertionError):
                self.wrong.append(str(outcome))
            elif isinstance(outcome, Exception) and not isinstance(outcome, httpx.HTTPError):
                raise outcome
        if self._socket is not None:
            if open_still:
                await hang_up(self._socket)
            else:
                self._socket.close()
        self._tasks, self._socket = [], None
        if self._client is not None:
            await self._client.aclose()

    async def _read(self, socket: WebSocketClientConnection) -> None:
        while (message := await socket.read_message()) is not None:
            frame = msgspec.json.decode(message, type=Frame)
            assert frame.type not in ("error", "reset"), f"a cursor no longer resumes: {message!r}"
            if frame.type == "events":
                assert frame.job is not None
                place = self.places[frame.job]
                place.seq = self._sightings.saw(frame.job, place.seq, frame.events)
                place.cursor, place.closed = frame.cursor, frame.closed

    async def _poll(self, client: httpx.AsyncClient) -> None:
        while True:
            if self.places:
                answer = await client.get(f"jobs/{self._chance.choice(list(self.places))}")
                if answer.status_code == 503 and self.stopping:
                    return
                assert answer.status_code == 200, answer.text
                self._sightings.answers.append(answer.json())
            await asyncio.sleep(0.05)

    async def _read_log(self, client: httpx.AsyncClient, job: str) -> None:
        seq, params = 0, {"offset": "-1", "live": "long-poll"}
        while True:
            answer = await client.get(f"jobs/{job}/events", params=params)
            if answer.status_code == 503 and self.stopping:
                return
            assert answer.status_code in (200, 204), answer.text
            if answer.content:
                seq = self._sightings.saw(job, seq, msgspec.json.decode(answer.content, type=RawEvents))
            params["offset"] = answer.headers["Stream-Next-Offset"]
            if "Stream-Closed" in answer.headers:
                return
