"""Recovers jobs of dead servers: adopts them, makes them wait as ``no_provider``, or ends them as ``interrupted``."""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto

from ..core.errors import BgStreamError, FencedError, NotFoundError, ProviderError
from ..core.events import Interrupted, Waiting
from ..core.job import Job
from ..core.state import ErrorInfo
from .context import EngineContext, EnginePart

POLL_SECONDS = 2.0  # between polls for jobs of dead servers
PAGE = 500  # jobs read at a time

INTERRUPTED = "The server that ran this job died. The text so far is saved; retry for a complete answer."
LAST_ATTEMPT = "The server that ran this job died during attempt {attempt}, the last one. The text so far is saved."
RETRIED = "The server that ran this job died; a new attempt starts."
RESUMED = "The server that ran this job died; the provider continues the response, and this server resumes it."

log = logging.getLogger(__name__)


class Outcome(Enum):
    """Result of a poll for one job of a dead server."""

    ADOPTED = auto()  # this server runs it
    SETTLED = auto()  # it has ended, or another server has it
    LEFT = auto()  # for a later poll


class Recovery(EnginePart):
    """Recovers the jobs of one owner (None: of every owner) on dead servers; those of other owners stay untouched.

    A server is dead if its OS lock is free; timeouts do not matter.
    """

    def __init__(self, context: EngineContext, *, on_adopted: Callable[[], None]) -> None:
        super().__init__(context)
        self._on_adopted = on_adopted  # called when this server has new jobs to claim

    async def run(self) -> None:
        """Recover jobs of dead servers until cancelled."""
        while True:
            try:
                await self._poll()
            except Exception:
                log.exception("jobs of dead servers cannot be recovered now, retrying")
            await self._clock.sleep(POLL_SECONDS)

    async def _poll(self) -> None:
        while jobs := await self._store.abandoned_jobs(owner=self._owner, limit=PAGE):
            outcomes = await asyncio.gather(*map(self._recover, jobs))
            if Outcome.ADOPTED in outcomes:
                self._on_adopted()
            # Jobs that wait for another server come last: no job after one of them can be recovered here.
            if Outcome.LEFT in outcomes or len(jobs) < PAGE:
                return

    async def _recover(self, job: Job) -> Outcome:
        try:
            problem = self._config_error(job)
            resumable = job.resume is not None and problem is None
            if job.status == "running" and not resumable and (message := self._end_message(job)) is not None:
                end = Interrupted(at=self._clock.time(), code="server_died", message=message)
                await self._store.end(job.owner, job.id, end, fence=job.fence, log=job.log)
                return Outcome.SETTLED
            if problem is not None:
                await self._wait_for_provider(job, problem)
                return Outcome.LEFT
            message, started = RESUMED if resumable else RETRIED, self._clock.monotonic()
            event = self._waiting("server_died", message) if job.status == "running" else None
            adopted = await self._store.adopt(job, server=self._server, event=event)
            if event is None:
                self._delays.adopt(adopted)
            else:
                self._delays.add(adopted, event, since=started)
            return Outcome.ADOPTED
        except (FencedError, NotFoundError):  # cancelled, deleted, or another server was faster
            return Outcome.SETTLED
        except BgStreamError as error:
            log.error("job %s of a dead server cannot be recovered now: %s", job.id, error)
            return Outcome.LEFT

    def _end_message(self, job: Job) -> str | None:
        if job.spec.on_restart == "interrupt":
            return INTERRUPTED
        return LAST_ATTEMPT.format(attempt=job.attempt) if job.attempt >= self._limits.max_attempts else None

    def _config_error(self, job: Job) -> ErrorInfo | None:
        # Keys and endpoints differ from server to server.
        try:
            return self._providers.resolve(job.spec.model).config_error()
        except ProviderError as error:
            return ErrorInfo(code=error.code, message=error.message)

    async def _wait_for_provider(self, job: Job, problem: ErrorInfo) -> None:
        if job.status == "waiting" and job.error is not None and job.error.code == "no_provider":
            return  # it already waits
        message = f"The server of this job died, and no other server can run it. {problem.message}"
        event = self._waiting("no_provider", message, not_before=job.not_before)
        await self._store.adopt(job, server=job.server, event=event)

    def _waiting(self, code: str, message: str, *, not_before: float | None = None) -> Waiting:
        # A delay that the provider requested holds after the death of the server that received it.
        now = self._clock.time()
        return Waiting(at=now, until=max(now, not_before or now), code=code, message=message)
