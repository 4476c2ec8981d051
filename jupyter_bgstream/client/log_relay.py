"""Relay of jobs' logs to a page without a live socket, as entries in a fixed order.

An entry is a frame of the live socket (``events``, ``reset``, ``error``; PROTOCOL.md, "The WebSocket") or
``{"type": "jobs", "jobs"}``: descriptions of jobs, by which views follow retries.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from ..core.errors import BgStreamError, NotFoundError, UnavailableError
from ..core.events import Event
from ..core.schemas.jobs import JobInfo, LogPage
from ..core.state import Answer, runs
from .errors import ServerConnectionError
from .follower import Follower, Log

T = TypeVar("T")

Entry = dict[str, Any]

SPACING = 0.25  # minimum seconds between two reads of a job
_RECONNECT = 1.0  # seconds until a lost server is tried again
_MAX_RETRIES = 50  # length of a chain of retries that is followed


class Server(Log, Protocol):
    """Server that returns logs and descriptions of jobs."""

    async def job(self, job_id: str) -> JobInfo: ...


class Receiver(Protocol):
    """Takes entries, on the background loop; nothing more is read until its method returns."""

    async def add(self, entries: list[Entry]) -> None:
        """Append entries."""

    async def show(self, job_id: str, answer: Answer, cursor: str) -> None:
        """Show the state of the newest job."""

    async def set_online(self, *, online: bool) -> None:
        """Show whether the server answers."""


class LogRelay:
    """Reads one job, its newest retry, and further jobs on request."""

    def __init__(self, job_id: str, receiver: Receiver) -> None:
        self._newest = job_id  # job of the chain of retries that is known
        self._receiver = receiver
        self._changed = asyncio.Event()
        self._known: dict[str, JobInfo] = {}
        self._recorders: dict[str, _Recorder] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._online = True

    def check_retries(self) -> None:
        """Check soon whether the job has been retried."""
        self._changed.set()

    def follow(self, server: Server, job_id: str) -> None:
        """Read another job as well; a second call does nothing."""
        if job_id not in self._readers:
            self._readers[job_id] = asyncio.create_task(self._follow(server, job_id))

    async def run(self, server: Server) -> None:
        """Read until cancelled."""
        try:
            await self._run(server)
        finally:
            for task in self._readers.values():
                task.cancel()

    async def _run(self, server: Server) -> None:
        current: str | None = None
        while True:
            self._changed.clear()
            try:
                await self._find_newest(server)
            except NotFoundError as error:
                await self._add_error(self._newest, error)
            else:
                if self._newest != current:
                    current = self._newest
                    if current not in self._readers:
                        self._readers[current] = asyncio.create_task(self._read(server, current))
                    await self._readers[current]
                    continue  # it may have been retried meanwhile
            await self._changed.wait()

    async def _follow(self, server: Server, job_id: str) -> None:
        # A page can request a retry before this relay has found it. Traits are set before entries then, too.
        with contextlib.suppress(NotFoundError):
            await self._find_newest(server)
        await self._read(server, job_id)

    async def _find_newest(self, server: Server) -> None:
        """Find the newest job of the chain, and relay the changed descriptions."""
        known = self._known
        wanted: list[str | None] = [self._newest]
        for _ in range(_MAX_RETRIES):
            names = [name for name in wanted if name]
            if not names:
                break
            infos = [await self._retrying(partial(server.job, name)) for name in names]
            new = [info for info in infos if known.get(info.id) != info]
            known |= {info.id: info for info in infos}
            if new:
                jobs = [msgspec.structs.replace(info, preview="") for info in new]  # events have the text
                await self._receiver.add([{"type": "jobs", "jobs": msgspec.to_builtins(jobs)}])
            wanted = [name for info in infos for name in (info.retry_of, info.retried_by) if name not in known]
        newest = self._newest
        while (after := known[newest].retried_by) in known:
            newest = str(after)
        if newest != self._newest:
            self._newest = newest
            if recorder := self._recorders.get(newest):
                await self._receiver.show(newest, recorder.answer, recorder.cursor)

    async def _read(self, server: Server, job_id: str) -> None:
        recorder = self._recorders[job_id] = _Recorder(job_id)

        async def read() -> LogPage | None:
            return await recorder.read(server)

        try:
            while not recorder.answer.ended:
                await self._retrying(read)
                if entries := recorder.take():
                    # Traits first, so that the kernel knows what the page shows.
                    if job_id == self._newest:
                        await self._receiver.show(job_id, recorder.answer, recorder.cursor)
                    await self._receiver.add(entries)
                    if not recorder.answer.ended:
                        await asyncio.sleep(SPACING)
        except BgStreamError as error:
            await self._add_error(job_id, error)

    async def _add_error(self, job_id: str, error: BgStreamError) -> None:
        await self._receiver.add([{"type": "error", "job": job_id, "code": error.code, "message": error.message}])

    async def _retrying(self, request: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await request()
            except (ServerConnectionError, UnavailableError):
                await self._set_online(online=False)
                await asyncio.sleep(_RECONNECT)
            else:
                await self._set_online(online=True)
                return answer

    async def _set_online(self, *, online: bool) -> None:
        if self._online != online:
            self._online = online
            await self._receiver.set_online(online=online)


class _Recorder(Follower):
    """Follower that also records events until they are taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self._new: list[Event] = []
        self._log = self.generation
        self._is_reset = False

    async def read(self, log: Log) -> LogPage | None:
        """Read the next page, and wait for it."""
        return await self._read(log, wait=True)

    def take(self) -> list[Entry]:
        """Return the entries since the last call."""
        entries: list[Entry] = [{"type": "reset", "job": self.job_id}] if self._is_reset else []
        if self._new:
            entries.append(
                {
                    "type": "events",
                    "job": self.job_id,
                    "cursor": self.cursor,
                    "events": msgspec.to_builtins(list(runs(self._new))),
                    "closed": self.answer.ended,
                }
            )
        self._new, self._is_reset = [], False
        return entries

    def _take(self, page: LogPage) -> None:
        if self.generation != self._log:  # the job was deleted and submitted again with the same id
            self._log, self._new, self._is_reset = self.generation, [], True
        self._new += [event for event in page.events if event.seq > self.answer.seq]
        super()._take(page)
