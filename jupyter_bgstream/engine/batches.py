"""Batches: submit, read, retry, resume and cancel many jobs at once."""

from collections.abc import Sequence

import msgspec

from ..core.batches import Batch, BatchItem, BatchSpec, Progress
from ..core.events import Cancelled
from ..core.job import JobSpec
from .context import EngineContext, EnginePart
from .jobs import JobFactory
from .scheduler import Scheduler

JOBS_PER_TRANSACTION = 500  # that are cancelled or retried
PAGE_BYTES = 4 * 1024 * 1024  # of texts in one page of answers


class Batches(EnginePart):
    """The batches of all owners; a batch of another owner is a NotFoundError."""

    def __init__(self, context: EngineContext, *, scheduler: Scheduler, factory: JobFactory) -> None:
        super().__init__(context)
        self._scheduler = scheduler
        self._factory = factory

    async def submit(
        self, owner: str, spec: BatchSpec, jobs: Sequence[tuple[str, JobSpec]], *, submitted_by: str | None = None
    ) -> Batch:
        """Announce a batch and store some of its jobs, all or none; a repeated call changes nothing.

        Raises as ``Jobs.submit`` does.
        """
        self._factory.check_open()
        batch = Batch(spec=spec, owner=owner, total=spec.total, created_at=self._clock.time())
        members = [
            self._factory.make(owner, msgspec.structs.replace(job, batch=spec.id), job_id, submitted_by=submitted_by)
            for job_id, job in jobs
        ]
        stored = await self._store.submit_batch(batch, members, max_queued=self._limits.max_queued)
        self._scheduler.wake()
        return stored

    async def get(self, owner: str, batch_id: str) -> Batch:
        """Return a batch."""
        return await self._store.batch(owner, batch_id)

    async def progress(self, owner: str, batch_id: str) -> Progress:
        """Return how many of a batch's jobs have ended, and how."""
        return await self._store.progress(owner, batch_id)

    async def answers(
        self, owner: str, batch_id: str, *, after: str | None, limit: int
    ) -> tuple[list[BatchItem], str, bool]:
        """Return a batch's items that changed after a cursor, the next cursor, and whether there are more now."""
        return await self._store.answers(owner, batch_id, after=after, limit=limit, max_bytes=PAGE_BYTES)

    async def retry(self, owner: str, batch_id: str, *, submitted_by: str | None = None) -> None:
        """Submit again what ended in a batch without a complete answer.

        Raises:
            NotFoundError: there is no such batch.
            QueueFullError: the owner has too many unfinished jobs.
            UnavailableError: the server shuts down, or the store cannot be written.

        """
        self._factory.check_open()
        span = None
        at = self._clock.time()
        while True:
            # Jobs that fail again meanwhile are behind the span: they wait for the next retry.
            span = await self._store.retry_batch(
                owner,
                batch_id,
                server=self._server,
                at=at,
                limit=JOBS_PER_TRANSACTION,
                max_queued=self._limits.max_queued,
                span=span,
                submitted_by=submitted_by,
            )
            self._scheduler.wake()
            if span is None:
                return

    async def resume(self, owner: str, batch_id: str) -> None:
        """Let a paused batch continue; another one stays as it is. Raises NotFoundError."""
        self._factory.check_open()
        await self._store.resume_batch(owner, batch_id)
        self._scheduler.wake()

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """Cancel the unfinished jobs of a batch and accept no more jobs for it."""
        while True:
            event = Cancelled(at=self._clock.time())
            batch, jobs = await self._store.cancel_batch(owner, batch_id, event, limit=JOBS_PER_TRANSACTION)
            for job in jobs:
                self._scheduler.stop(job)
            if len(jobs) < JOBS_PER_TRANSACTION:
                return batch
