"""Tells providers that nobody wants an answer any more, aside from what users wait for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from ..core.errors import ProviderError
from ..core.job import Job
from ..providers.base import Providers

AT_A_TIME = 8  # requests; a group that is cancelled may have thousands
REMEMBERED = 1000  # jobs: several ways lead here within moments of a cancel

log = logging.getLogger(__name__)


class UpstreamCanceller:
    """One server's errands to providers that would go on with an answer for nobody."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: deque[tuple[str, str, int]] = deque(maxlen=REMEMBERED)

    def abandon(self, job: Job) -> None:
        """Begin to tell the provider of a job, if that would go on; returns at once. A second time does nothing."""
        which = (job.id, job.log, job.fence)
        if job.resume is None or which in self._told:
            return
        self._told.append(which)
        task = asyncio.create_task(self._tell(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, *, patience: float) -> None:
        """Wait ``patience`` seconds at most for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self, job: Job) -> None:
        try:
            provider = self._providers.resolve(job.spec.model)
        except ProviderError:  # it is not configured here; the server that ran the job tells it
            return
        async with self._room:
            try:
                await provider.cancel_response(job)
            except Exception:
                log.exception("job %s: its provider could not be told that nobody wants its answer", job.id)
