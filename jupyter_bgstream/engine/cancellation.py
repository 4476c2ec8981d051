"""Cancellation at the provider: stops responses that a provider would continue after their jobs have ended."""

import asyncio
import logging
from collections import deque

from ..core.errors import ProviderError
from ..core.job import Job
from ..providers.port import Providers

MAX_REQUESTS = 8  # at a time; a cancelled batch may have thousands
REMEMBERED = 1000  # jobs: one cancel is reported several times within moments

log = logging.getLogger(__name__)


class UpstreamCanceller:
    """Cancels the responses of ended attempts in the background; no user waits for it."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancelled: deque[tuple[str, str, int]] = deque(maxlen=REMEMBERED)

    def cancel(self, job: Job) -> None:
        """Start to cancel the response for which ``job.resume`` is the token; a second call does nothing."""
        key = (job.id, job.log, job.fence)
        if key in self._cancelled:
            return
        self._cancelled.append(key)
        task = asyncio.create_task(self._cancel(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, *, patience: float) -> None:
        """Wait at most ``patience`` seconds for running requests, then cancel them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cancel(self, job: Job) -> None:
        try:
            provider = self._providers.resolve(job.spec.model)
        except ProviderError:  # not configured here; the server that ran the job cancels the response
            return
        async with self._slots:
            try:
                await provider.cancel_response(job)
            except Exception:
                log.exception("job %s: its response could not be cancelled at the provider", job.id)
