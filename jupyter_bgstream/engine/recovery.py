"""Looks after the jobs of servers that died: each goes on here, waits for who can run it, or ends as interrupted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..core.errors import BgStreamError, FencedError, NotFoundError, ProviderError
from ..core.events import Interrupted, Waiting
from ..core.job import Job
from ..core.state import ErrorInfo
from ..providers.base import Providers
from ..store.base import Store
from .clock import Clock
from .delays import Delays

LOOK_SECONDS = 2.0  # between looks for dead servers
PAGE = 500  # jobs of one look

DIED = "The server that ran this job died. The text so far is kept; retry for a whole answer."
TRIED = "The server that ran this job died at its try number {attempt}, the last. The text so far is kept."
GOES_ON = "The server that ran this job died; it is tried again."
KEPT = "The server that ran this job died; its provider goes on with the answer, and it is read from where it was."

log = logging.getLogger(__name__)


class Recovery:
    """One server's care for the jobs that its owner has on dead ones. Only an OS lock tells who is dead, never a clock.

    ``owner``: None means every owner; jobs of others are left to their own servers, untouched.
    """

    def __init__(
        self,
        *,
        store: Store,
        providers: Providers,
        clock: Clock,
        server: str,
        owner: str | None,
        max_attempts: int,
        waits: Delays,
        adopted: Callable[[], None],
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._server = server
        self._owner = owner
        self._max_attempts = max_attempts
        self._waits = waits
        self._adopted = adopted

    async def run(self) -> None:
        """Look for dead servers' jobs for ever."""
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("dead servers' jobs cannot be looked after now, trying again")
            await self._clock.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        while jobs := await self._store.abandoned(owner=self._owner, limit=PAGE):
            moved = await asyncio.gather(*map(self._care, jobs))
            if True in moved:
                self._adopted()
            if False in moved or len(jobs) < PAGE:  # those that wait for another server come last
                return

    async def _care(self, job: Job) -> bool | None:
        # True: it is ours now. None: it has ended, or somebody else has it. False: it is left for a later look.
        try:
            fault = self._inability(job)
            kept = job.resume is not None and fault is None
            if job.status == "running" and not kept and (words := self._last_words(job)) is not None:
                end = Interrupted(at=self._clock.time(), code="server_died", message=words)
                await self._store.end(job.owner, job.id, end, fence=job.fence, log=job.log)
                return None
            if fault is not None:
                await self._say(job, fault)
                return False
            words, began = KEPT if kept else GOES_ON, self._clock.monotonic()
            event = self._waiting("server_died", words) if job.status == "running" else None
            adopted = await self._store.adopt(job, server=self._server, event=event)
            if event is None:
                self._waits.adopt(adopted)
            else:
                self._waits.add(adopted, event, since=began)
            return True
        except (FencedError, NotFoundError):  # cancelled, deleted, or another server was faster
            return None
        except BgStreamError as error:
            log.error("job %s of a dead server cannot be looked after now: %s", job.id, error)
            return False

    def _last_words(self, job: Job) -> str | None:
        if job.spec.on_restart == "interrupt":
            return DIED
        return TRIED.format(attempt=job.attempt) if job.attempt >= self._max_attempts else None

    def _inability(self, job: Job) -> ErrorInfo | None:
        # Keys and endpoints differ from server to server.
        try:
            return self._providers.resolve(job.spec.model).config_error()
        except ProviderError as error:
            return ErrorInfo(code=error.code, message=error.message)

    async def _say(self, job: Job, fault: ErrorInfo) -> None:
        if job.status == "waiting" and job.error is not None and job.error.code == "no_provider":
            return  # it was said before
        words = f"The server this job was given to has died, and no other can run it. {fault.message}"
        event = self._waiting("no_provider", words, not_before=job.not_before)
        await self._store.adopt(job, server=job.server, event=event)

    def _waiting(self, code: str, message: str, *, not_before: float | None = None) -> Waiting:
        # A provider's own wish to be left alone outlives the server it was said to.
        now = self._clock.time()
        return Waiting(at=now, until=max(now, not_before or now), code=code, message=message)
