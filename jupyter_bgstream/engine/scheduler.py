"""Claims queued jobs when there is room, runs them, and clears up after servers that died."""

from __future__ import annotations

import asyncio
import logging

from ..core.errors import BgStreamError, NotFound
from ..core.events import Attempt, Interrupted
from ..core.job import Job
from ..store.base import Store
from .clock import Clock
from .runner import Runner

RECOVERY_SECONDS = 2.0  # between looks for dead servers, and after trouble
CLOSING_SECONDS = 3.0  # a claim under way may take when the server stops
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
        self._running: dict[asyncio.Task[None], Job] = {}
        self._wake = asyncio.Event()
        self._closing = False
        self._loops: list[asyncio.Task[None]] = []

    @property
    def running(self) -> int:
        """How many jobs run here now."""
        return len(self._running)

    def open(self) -> None:
        """Begin to claim and run jobs, and to look for dead servers."""
        self._loops = [asyncio.create_task(self._claim_jobs()), asyncio.create_task(self._recover_jobs())]

    def wake(self) -> None:
        """Look for jobs to claim: one was submitted, or one has ended."""
        self._wake.set()

    def stop(self, owner: str, job_id: str) -> None:
        """Close the provider's socket of a job that has ended; does nothing if it does not run here."""
        for task, job in self._running.items():
            if (job.owner, job.id) == (owner, job_id):
                task.cancel()

    async def close(self) -> None:
        """Stop every running job; the text so far is kept and the job ends as interrupted."""
        self._closing = True
        self._wake.set()
        claiming, recovering = self._loops
        recovering.cancel()
        # Not cancelled at once: a claim under way may be committed, and then nobody would know of its jobs.
        await asyncio.wait([claiming], timeout=CLOSING_SECONDS)
        claiming.cancel()
        await asyncio.gather(claiming, recovering, return_exceptions=True)
        running = dict(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*(self._interrupt(job, "server_stopped", STOPPED) for job in running.values()))

    async def _claim_jobs(self) -> None:
        while not self._closing:
            self._wake.clear()
            room = self._max_running - len(self._running)
            try:
                if room > 0:
                    await self._claim(room)
            except Exception:
                # Whatever it was, jobs that are submitted later must be able to start.
                log.exception("no job can be claimed now, trying again")
                await self._clock.sleep(RECOVERY_SECONDS)
                continue
            await self._wake.wait()

    async def _claim(self, room: int) -> None:
        attempt = Attempt(at=self._clock.time())
        for job in await self._store.claim(server=self._server, limit=room, attempt=attempt):
            task = asyncio.create_task(self._runner.run(job), name=f"bgstream job {job.id}")
            self._running[task] = job
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job %s: its end could not be written", job.id, exc_info=error)

    async def _recover_jobs(self) -> None:
        while True:
            try:
                for job in await self._store.abandoned():
                    await self._interrupt(job, "server_died", DIED)
            except Exception:
                log.exception("dead servers' jobs cannot be ended now, trying again")
            await self._clock.sleep(RECOVERY_SECONDS)

    async def _interrupt(self, job: Job, code: str, message: str) -> None:
        end = Interrupted(at=self._clock.time(), code=code, message=message)
        try:
            # By its log as well: the id may by now be that of a new job, which lives.
            await self._store.end(job.owner, job.id, end, log=job.log)
        except NotFound:  # deleted meanwhile
            return
        except BgStreamError as error:
            log.error("job %s cannot be ended as interrupted: %s", job.id, error)
