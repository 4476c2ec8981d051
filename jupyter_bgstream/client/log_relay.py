"""Jobs' logs for a page that has no socket: what a kernel reads, as entries of an order that never changes.

An entry is a frame of the live socket (``events``, ``reset``, ``error``; PROTOCOL.md, "One WebSocket per page") or
``{"type": "jobs", "jobs"}``: what the server says of jobs, for the views to follow retries by.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from ..core.errors import BgStreamError, NotFoundError, UnavailableError
from ..core.events import Event
from ..core.schemas import JobInfo, LogPage
from ..core.state import Answer, runs
from .errors import ServerConnectionError
from .follower import Follower, Log

T = TypeVar("T")

Entry = dict[str, Any]

SPACING = 0.25  # seconds between two readings of a job, at least
_AWAY = 1.0  # seconds until a server that stays away is looked for again
_CHAIN = 50  # retries of retries that are followed


class Server(Log, Protocol):
    """What a feed asks."""

    async def job(self, job_id: str) -> JobInfo: ...


class Viewer(Protocol):
    """Who is told, on the background loop. Nothing is read for it before it has returned."""

    async def add(self, entries: list[Entry]) -> None:
        """Take entries, in order."""

    async def show(self, job_id: str, answer: Answer, cursor: str) -> None:
        """Take what is known of the newest job."""

    async def trouble(self, *, online: bool) -> None:
        """Hear that the server is away, or back."""


class LogRelay:
    """Reads one job and, once it was asked again, the newest; and others when they are asked for."""

    def __init__(self, job_id: str, viewer: Viewer) -> None:
        self._newest = job_id  # of the chain of retries, as far as known
        self._viewer = viewer
        self._news = asyncio.Event()
        self._known: dict[str, JobInfo] = {}
        self._recorders: dict[str, _Recorder] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._online = True

    def look_again(self) -> None:
        """Hear that the job may have been asked again."""
        self._news.set()

    def follow(self, server: Server, job_id: str) -> None:
        """Read another job as well, once."""
        if job_id not in self._asked:
            self._asked[job_id] = asyncio.create_task(self._follow(server, job_id))

    async def run(self, server: Server) -> None:
        """Read for ever; cancelling ends it."""
        try:
            await self._run(server)
        finally:
            for task in self._asked.values():
                task.cancel()

    async def _run(self, server: Server) -> None:
        reading: str | None = None
        while True:
            self._news.clear()
            try:
                await self._look(server)
            except NotFoundError as error:
                await self._gone(self._newest, error)
            else:
                if self._newest != reading:
                    reading = self._newest
                    if reading not in self._asked:
                        self._asked[reading] = asyncio.create_task(self._read(server, reading))
                    await self._asked[reading]
                    continue  # it may have been asked again in the meantime
            await self._news.wait()

    async def _follow(self, server: Server, job_id: str) -> None:
        # A page can ask for a retry before this feed has looked for it. The traits come first then, too.
        with contextlib.suppress(NotFoundError):
            await self._look(server)
        await self._read(server, job_id)

    async def _look(self, server: Server) -> None:
        """Find the newest job of the chain, and pass on what has changed in the chain."""
        known = self._known
        wanted: list[str | None] = [self._newest]
        for _ in range(_CHAIN):
            names = [name for name in wanted if name]
            if not names:
                break
            infos = [await self._insist(partial(server.job, name)) for name in names]
            new = [info for info in infos if known.get(info.id) != info]
            known |= {info.id: info for info in infos}
            if new:
                jobs = [msgspec.structs.replace(info, preview="") for info in new]  # events have the text
                await self._viewer.add([{"type": "jobs", "jobs": msgspec.to_builtins(jobs)}])
            wanted = [name for info in infos for name in (info.retry_of, info.retried_by) if name not in known]
        newest = self._newest
        while (after := known[newest].retried_by) in known:
            newest = str(after)
        if newest != self._newest:
            self._newest = newest
            if recorder := self._recorders.get(newest):
                await self._viewer.show(newest, recorder.answer, recorder.cursor)

    async def _read(self, server: Server, job_id: str) -> None:
        recorder = self._recorders[job_id] = _Recorder(job_id)

        async def read() -> LogPage | None:
            return await recorder.read(server)

        try:
            while not recorder.answer.ended:
                await self._insist(read)
                if entries := recorder.take():
                    # The traits first: what the page shows is known in the kernel.
                    if job_id == self._newest:
                        await self._viewer.show(job_id, recorder.answer, recorder.cursor)
                    await self._viewer.add(entries)
                    if not recorder.answer.ended:
                        await asyncio.sleep(SPACING)
        except BgStreamError as error:
            await self._gone(job_id, error)

    async def _gone(self, job_id: str, error: BgStreamError) -> None:
        await self._viewer.add([{"type": "error", "job": job_id, "code": error.code, "message": error.message}])

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await ask()
            except (ServerConnectionError, UnavailableError):
                await self._say(online=False)
                await asyncio.sleep(_AWAY)
            else:
                await self._say(online=True)
                return answer

    async def _say(self, *, online: bool) -> None:
        if self._online != online:
            self._online = online
            await self._viewer.trouble(online=online)


class _Recorder(Follower):
    """A follower that also keeps the events themselves, until they are taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self._fresh: list[Event] = []
        self._of_log = self.logs
        self._is_another = False

    async def read(self, log: Log) -> LogPage | None:
        """Read on, and wait for something to read."""
        return await self._read(log, wait=True)

    def take(self) -> list[Entry]:
        """Return what was read since the last call."""
        entries: list[Entry] = [{"type": "reset", "job": self.job_id}] if self._is_another else []
        if self._fresh:
            entries.append(
                {
                    "type": "events",
                    "job": self.job_id,
                    "cursor": self.cursor,
                    "events": msgspec.to_builtins(list(runs(self._fresh))),
                    "closed": self.answer.ended,
                }
            )
        self._fresh, self._is_another = [], False
        return entries

    def _take(self, page: LogPage) -> None:
        if self.logs != self._of_log:  # deleted, and submitted again under its id
            self._of_log, self._fresh, self._is_another = self.logs, [], True
        self._fresh += [event for event in page.events if event.seq > self.answer.seq]
        super()._take(page)
