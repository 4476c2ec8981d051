"""Claims queued jobs when there is room, runs them, and clears up after servers that died."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from ..core.errors import NotFound, Unavailable
from ..core.events import Attempt, Interrupted
from ..core.job import Job
from ..store.base import Store
from .clock import Clock
from .runner import Runner

RECOVERY_SECONDS = 2.0  # between looks for dead servers
DIED = "The server that ran this job died. The text so far is kept; run the cell again for a new answer."
STOPPED = "The Jupyter server was stopped while this job ran. The text so far is kept; run the cell again."

log = logging.getLogger(__name__)


class Scheduler:
    """Keeps at most ``max_running`` of this server's jobs running."""

    def __init__(self, *, store: Store, runner: Runner, clock: Clock, server: str, max_running: int) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._server = server
        self._max_running = max_running
        self._running: dict[tuple[str, str], tuple[Job, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()

    @property
    def running(self) -> int:
        """How many jobs run here now."""
        return len(self._running)

    def wake(self) -> None:
        """Look for jobs to claim: one was submitted, or one has ended."""
        self._wake.set()

    def stop(self, owner: str, job_id: str) -> None:
        """Close the provider's socket of a job that has ended; does nothing if it does not run here."""
        running = self._running.get((owner, job_id))
        if running is not None:
            running[1].cancel()

    def runs(self, owner: str, job_id: str) -> bool:
        """Whether the job runs here now."""
        return (owner, job_id) in self._running

    async def run(self) -> None:
        """Claim and start jobs until the task is cancelled."""
        while True:
            self._wake.clear()
            room = self._max_running - len(self._running)
            if room > 0:
                try:
                    await self._claim(room)
                except Unavailable as error:
                    log.error("no job can be claimed, trying again: %s", error)
                    await self._clock.sleep(RECOVERY_SECONDS)
                    continue
            await self._wake.wait()

    async def _claim(self, room: int) -> None:
        attempt = Attempt(at=self._clock.time())
        for job in await self._store.claim(server=self._server, limit=room, attempt=attempt):
            task = asyncio.create_task(self._runner.run(job), name=f"bgstream job {job.id}")
            key = (job.owner, job.id)
            self._running[key] = (job, task)
            task.add_done_callback(partial(self._done, key))

    def _done(self, key: tuple[str, str], _: asyncio.Task[None]) -> None:
        del self._running[key]
        self._wake.set()

    async def recover(self) -> None:
        """End the unfinished jobs of servers that died, now and every few seconds, until the task is cancelled."""
        while True:
            try:
                await self._interrupt_abandoned()
            except Unavailable as error:
                log.error("dead servers' jobs cannot be ended, trying again: %s", error)
            await self._clock.sleep(RECOVERY_SECONDS)

    async def _interrupt_abandoned(self) -> None:
        for job in await self._store.abandoned():
            end = Interrupted(at=self._clock.time(), code="server_died", message=DIED)
            try:
                await self._store.end(job.owner, job.id, end)
            except NotFound:  # deleted meanwhile
                continue

    async def close(self) -> None:
        """Stop every running job; the text so far is kept and the job ends as interrupted."""
        running = list(self._running.values())
        for _, task in running:
            task.cancel()
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)
        for job, _ in running:
            try:
                await self._runner.interrupt(job, STOPPED)
            except NotFound:
                continue
