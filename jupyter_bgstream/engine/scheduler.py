"""Claims jobs while there is capacity and their time has come, runs them, and hands them over when the server stops."""

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import suppress

import msgspec

from ..core.errors import BgStreamError, FencedError, NotFoundError
from ..core.events import Interrupted, Waiting
from ..core.job import Job
from ..core.schemas.server_info import LimitsInfo
from ..store.port_values import Capacity
from .context import EngineContext, EnginePart
from .runner import OpenResponse, Runner

CLAIM_RETRY_SECONDS = 2.0  # after a claim that failed
MAX_SLEEP = 30.0  # seconds; asyncio's clock stands still while a laptop sleeps, so a longer sleep may be far too long
CLAIM_SECONDS = 1.0  # that a claim may take beyond the patience for a locked store, when the server stops
INTERRUPTED = (
    "The Jupyter server was stopped while this job ran. The text so far is saved; retry for a complete answer."
)
RETRIED = "The Jupyter server was stopped; the next server starts a new attempt."
RESUMED = "The Jupyter server was stopped; the provider continues the response, and the next server resumes it."

log = logging.getLogger(__name__)


def capacity_of(limits: LimitsInfo) -> Capacity:
    """Return the capacity for claims. At least one bulk job may run, so that every batch makes progress."""
    return Capacity(
        running=limits.max_running,
        bulk=max(1, limits.max_running - limits.reserved_interactive),
        owner=limits.max_running_per_owner or sys.maxsize,  # for all servers, so not max_running of this one
    )


class Scheduler(EnginePart):
    """Runs this server's jobs of one owner (None: of every owner), as many at a time as the capacity allows."""

    def __init__(self, context: EngineContext, runner: Runner) -> None:
        super().__init__(context)
        self._runner = runner
        self._capacity = capacity_of(context.limits)
        self._listeners: list[Callable[[Job], None]] = []
        self._running: dict[asyncio.Task[None], Job] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._claiming: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Number of jobs that run here now."""
        return len(self._running)

    def listen(self, listener: Callable[[Job], None]) -> None:
        """Call ``listener`` with each job whose attempt ended and whose response the provider would continue.

        ``job.resume`` is the token of that response. A job may be reported more than once.
        """
        self._listeners.append(listener)

    def open(self) -> None:
        """Start to claim and run jobs."""
        self._claiming = asyncio.create_task(self._claim_jobs())

    def wake(self) -> None:
        """Look for jobs to claim, since one was submitted or one has ended."""
        self._wake.set()

    def stop(self, ended: Job) -> None:
        """Close the provider's socket of a job that was cancelled here, if it runs here."""
        for task, job in self._running.items():
            if (job.owner, job.id, job.log) == (ended.owner, ended.id, ended.log):
                task.cancel()
        self._report_end(ended)

    def check(self, owner: str, job_id: str) -> None:
        """Close the provider's socket of a job that was ended or deleted, perhaps by another server.

        The change may arrive late, when a new job with this id runs here. So the store is read first.
        """
        self._delays.remove(owner, job_id)
        for task, job in self._running.items():
            if (job.owner, job.id) == (owner, job_id):
                check = asyncio.create_task(self._check(job, task))
                self._checks.add(check)
                check.add_done_callback(self._checks.discard)

    def drop_all(self) -> None:
        """Stop claiming and close the providers' sockets: another machine has the store, and so all jobs."""
        self._closing = True
        self._wake.set()
        for task in self._running:
            task.cancel()

    async def close(self, *, grace: float, patience: float) -> None:
        """Stop claiming, give running jobs ``grace`` seconds to end, then stop them and hand them over.

        Args:
            grace: seconds.
            patience: seconds for which the store waits for a lock.

        """
        self._closing = True
        self._wake.set()
        if self._claiming is not None:
            # Not cancelled at once: a claim may have been committed, and its jobs would be lost.
            await asyncio.wait([self._claiming], timeout=patience + CLAIM_SECONDS)
            self._claiming.cancel()
            await asyncio.gather(self._claiming, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        running = dict(self._running)
        for task in (*running, *self._checks):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*map(self._hand_over, running.values()))

    async def _claim_jobs(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                due = await self._claim()
            except Exception as error:
                # Jobs that are submitted later must be able to start after any error.
                expected = isinstance(error, BgStreamError)
                log.error("no job can be claimed now, retrying: %s", error, exc_info=None if expected else error)
                await self._clock.sleep(CLAIM_RETRY_SECONDS)
                continue
            await self._wait(due)

    async def _claim(self) -> float | None:
        # Returns when the next waiting job is due, in Unix seconds.
        now = await self._delays.correct()
        # Jobs that were stopped a moment ago may still be closing their sockets, so they count.
        limit = self._capacity.running - len(self._running)
        if limit > 0:
            jobs = await self._store.claim(
                server=self._server, owner=self._owner, room=self._capacity, limit=limit, at=now
            )
            for job in jobs:
                self._delays.remove(job.owner, job.id)
                task = asyncio.create_task(self._run(job), name=f"bgstream job {job.id}")
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
        await self._clock.sleep(min(max(0.0, due - self._clock.time()), MAX_SLEEP))
        self._wake.set()

    async def _run(self, job: Job) -> None:
        response = OpenResponse()
        try:
            end_written = await self._runner.run(job, response)
        finally:
            self._report_end(msgspec.structs.replace(job, resume=response.token))
        if not end_written:
            await self._check(job)

    async def _check(self, job: Job, task: asyncio.Task[None] | None = None) -> None:
        # Stops the task of a job that was ended, deleted or adopted elsewhere.
        try:
            now = await self._store.job(job.owner, job.id)
        except NotFoundError:
            superseded = True
        except BgStreamError as error:  # its next append is refused
            log.warning("job %s may have ended elsewhere, but cannot be read: %s", job.id, error)
            return
        else:
            superseded = now.ended or (now.log, now.fence) != (job.log, job.fence)
            if now.status == "cancelled" and now.log == job.log:  # perhaps by a server without this provider
                self._report_end(now)
        if superseded and task is not None:
            task.cancel()

    def _report_end(self, job: Job) -> None:
        if job.resume is not None:
            for listener in self._listeners:
                listener(job)

    def _done(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job %s: its end could not be written", job.id, exc_info=error)

    async def _hand_over(self, job: Job) -> None:
        now = self._clock.time()
        try:
            # `job` is as it was claimed; a resume token may have been stored since.
            resumable = (await self._store.job(job.owner, job.id)).resume is not None
            if resumable or (job.spec.on_restart == "retry" and job.attempt < self._limits.max_attempts):
                message = RESUMED if resumable else RETRIED
                event = Waiting(at=now, until=now, code="server_stopped", message=message)
                await self._store.adopt(job, server=self._server, event=event)
            else:
                # With the log as well: the id may by now be that of a new job.
                end = Interrupted(at=now, code="server_stopped", message=INTERRUPTED)
                await self._store.end(job.owner, job.id, end, log=job.log, fence=job.fence)
        except (FencedError, NotFoundError):  # it has ended, or was deleted
            return
        except BgStreamError as error:
            log.error("job %s cannot be handed over: %s", job.id, error)
