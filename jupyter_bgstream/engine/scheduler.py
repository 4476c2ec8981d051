"""Claims jobs when there is room and their time has come, runs them, and hands them on when the server stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from ..core.errors import BgStreamError, FencedError, NotFoundError
from ..core.events import Interrupted, Waiting
from ..core.job import Job
from ..store.base import Capacity, Store
from .clock import Clock
from .delays import Delays
from .runner import Runner

TROUBLE_SECONDS = 2.0  # until the next try to claim after one that failed
LONGEST_SLEEP = 30.0  # seconds; a laptop's sleep may be longer than ours, whose clock stands still meanwhile
CLAIM_SECONDS = 1.0  # that a claim may take after its patience for a locked store, when the server stops
STOPPED = "The Jupyter server was stopped while this job ran. The text so far is kept; retry for a whole answer."
HANDED_ON = "The Jupyter server was stopped; the next one tries this job again."
KEPT = "The Jupyter server was stopped; the provider goes on with the answer, and the next server reads it on."

log = logging.getLogger(__name__)


class Scheduler:
    """Runs this server's jobs of one owner (None: of every owner), as many at a time as there is room for."""

    def __init__(
        self,
        *,
        store: Store,
        runner: Runner,
        clock: Clock,
        server: str,
        owner: str | None,
        room: Capacity,
        max_attempts: int,
        abandon: Callable[[Job], None],  # what its provider would go on with for nobody
        waits: Delays,
    ) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._server = server
        self._owner = owner
        self._room = room
        self._max_attempts = max_attempts
        self._abandon = abandon
        self._waits = waits
        self._running: dict[asyncio.Task[None], Job] = {}
        self._checking: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._claiming: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """How many jobs run here now."""
        return len(self._running)

    def open(self) -> None:
        """Begin to claim and run jobs."""
        self._claiming = asyncio.create_task(self._claim_jobs())

    def wake(self) -> None:
        """Look for jobs to claim: one was submitted, or one has ended."""
        self._wake.set()

    def stop(self, ended: Job) -> None:
        """Close the provider's socket of a job that has ended; does nothing if it does not run here."""
        for task, job in self._running.items():
            if (job.owner, job.id, job.log) == (ended.owner, ended.id, ended.log):
                task.cancel()

    def check(self, owner: str, job_id: str) -> None:
        """Close the provider's socket of a job that somebody has ended or deleted.

        The news may be late, and its id by now that of a new job that runs here: so the store is asked.
        """
        self._waits.remove(owner, job_id)
        for task, job in self._running.items():
            if (job.owner, job.id) == (owner, job_id):
                checking = asyncio.create_task(self._check(task, job))
                self._checking.add(checking)
                checking.add_done_callback(self._checking.discard)

    async def _check(self, task: asyncio.Task[None], job: Job) -> None:
        try:
            now = await self._store.job(job.owner, job.id)
        except NotFoundError:
            task.cancel()
        except BgStreamError as error:  # its next append is refused
            log.warning("job %s may have ended elsewhere, but cannot be looked at: %s", job.id, error)
        else:
            if now.ended or (now.log, now.fence) != (job.log, job.fence):
                task.cancel()
            if now.status == "cancelled" and now.log == job.log:  # by a server that may not know the provider
                self._abandon(now)

    def drop_all(self) -> None:
        """Claim no more and close the providers' sockets: another machine has the store, and so all the jobs."""
        self._closing = True
        self._wake.set()
        for task in self._running:
            task.cancel()

    async def close(self, *, grace: float, patience: float) -> None:
        """Claim no more and give what runs ``grace`` seconds to end; then stop it, and leave it as its job says.

        ``patience`` is how long the store waits for a lock, in seconds.
        """
        self._closing = True
        self._wake.set()
        if self._claiming is not None:
            # Not cancelled at once: a claim under way may be committed, and then nobody would know of its jobs.
            await asyncio.wait([self._claiming], timeout=patience + CLAIM_SECONDS)
            self._claiming.cancel()
            await asyncio.gather(self._claiming, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        running = dict(self._running)
        for task in (*running, *self._checking):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*map(self._leave, running.values()))

    async def _claim_jobs(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                due = await self._claim()
            except Exception as error:
                # Jobs that are submitted later must be able to start, whatever the error was.
                expected = isinstance(error, BgStreamError)
                log.error("no job can be claimed now, trying again: %s", error, exc_info=None if expected else error)
                await self._clock.sleep(TROUBLE_SECONDS)
                continue
            await self._wait(due)

    async def _claim(self) -> float | None:
        # Returns when the next waiting job's time comes.
        now = await self._waits.correct()
        # Those that were stopped a moment ago may still be closing their sockets.
        limit = self._room.running - len(self._running)
        if limit > 0:
            jobs = await self._store.claim(server=self._server, owner=self._owner, room=self._room, limit=limit, at=now)
            for job in jobs:
                self._waits.remove(job.owner, job.id)
                task = asyncio.create_task(self._runner.run(job), name=f"bgstream job {job.id}")
                self._running[task] = job
                task.add_done_callback(self._done)
        return await self._store.next_due(server=self._server, owner=self._owner, after=now)

    async def _wait(self, due: float | None) -> None:
        if due is None:
            await self._wake.wait()
            return
        alarm = asyncio.create_task(self._ring(due))
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()
            with suppress(asyncio.CancelledError):
                await alarm

    async def _ring(self, due: float) -> None:
        await self._clock.sleep(min(max(0.0, due - self._clock.time()), LONGEST_SLEEP))
        self._wake.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job %s: its end could not be written", job.id, exc_info=error)

    async def _leave(self, job: Job) -> None:
        now = self._clock.time()
        try:
            # The job in hand is as it was claimed; what its provider goes on with is known since.
            kept = (await self._store.job(job.owner, job.id)).resume is not None
            if kept or (job.spec.on_restart == "retry" and job.attempt < self._max_attempts):
                event = Waiting(at=now, until=now, code="server_stopped", message=KEPT if kept else HANDED_ON)
                await self._store.adopt(job, server=self._server, event=event)
            else:
                # By its log as well: the id may by now be that of a new job, which lives.
                end = Interrupted(at=now, code="server_stopped", message=STOPPED)
                await self._store.end(job.owner, job.id, end, log=job.log, fence=job.fence)
        except (FencedError, NotFoundError):  # it has ended by itself, or was deleted
            return
        except BgStreamError as error:
            log.error("job %s cannot be left in good order: %s", job.id, error)
