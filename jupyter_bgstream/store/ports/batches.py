"""Port: batches of jobs."""

from collections.abc import Sequence
from typing import Protocol

from ...core.batches import Batch, BatchItem, Progress
from ...core.events import Cancelled
from ...core.job import Job
from ..port_values import JobRange


class BatchStore(Protocol):
    """Batches that were announced with the number of their jobs.

    Of a batch with a ``concurrency`` a server claims at most that many jobs at a time. A job that waits for its next
    attempt keeps its place: otherwise a provider that refuses jobs would be asked for all the others meanwhile. No
    server claims jobs of a paused batch. A batch leaves a notice when it is paused and when it ends.
    """

    async def submit_batch(self, batch: Batch, jobs: Sequence[Job], *, max_queued: int) -> Batch:
        """Announce a batch and submit some of its jobs: all of them or none. May be repeated.

        Raises:
            ConflictError: The batch was announced with another total, an id belongs to another request or batch,
                unannounced jobs already have this batch's id as a label, or there are more jobs than announced.
            QueueFullError: The owner would have more than ``max_queued`` unfinished jobs.
        """

    async def batch(self, owner: str, batch_id: str) -> Batch:
        """Return a batch.

        Raises:
            NotFoundError: There is no such batch.
        """

    async def progress(self, owner: str, batch_id: str) -> Progress:
        """Return how many jobs of a batch run, wait and have ended.

        Raises:
            NotFoundError: There is no such batch.
        """

    async def answers(
        self, owner: str, batch_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> tuple[list[BatchItem], str, bool]:
        """Return the items of a batch that have changed, in the order of their changes.

        Args:
            owner: The batch's owner.
            batch_id: The batch's id.
            after: The cursor of the previous page; None for all items.
            limit: At most so many items.
            max_bytes: Of texts, about; at least one item is returned if there is any.

        Returns:
            The items, the next cursor, and whether there are more.

        Raises:
            NotFoundError: There is no such batch.
            InvalidRequestError: ``after`` is not a cursor.
        """

    async def retry_batch(
        self,
        owner: str,
        batch_id: str,
        *,
        server: str,
        at: float,
        limit: int,
        max_queued: int,
        span: JobRange | None,
        submitted_by: str | None = None,
    ) -> JobRange | None:
        """Retry jobs of a batch that ended without a whole answer.

        Args:
            owner: The batch's owner.
            batch_id: The batch's id.
            server: The server that runs the new jobs.
            at: Now, in Unix seconds.
            limit: At most so many jobs in this call.
            max_queued: How many unfinished jobs the owner may have.
            span: What the previous call left over; None for all.
            submitted_by: Name of the person that retries; None if unknown.

        Returns:
            What is left over for the next call; None if nothing is.

        Raises:
            NotFoundError: There is no such batch.
            QueueFullError: The owner has ``max_queued`` unfinished jobs.
        """

    async def cancel_batch(self, owner: str, batch_id: str, event: Cancelled, *, limit: int) -> tuple[Batch, list[Job]]:
        """Close a batch to new jobs and cancel up to ``limit`` of its unfinished jobs. Writes no notice.

        Returns:
            The batch, and the jobs that this call cancelled: fewer than ``limit`` if none is left.

        Raises:
            NotFoundError: There is no such batch.
        """

    async def resume_batch(self, owner: str, batch_id: str) -> Batch:
        """Resume a batch if it is paused, and remove the notice of its pause.

        Raises:
            NotFoundError: There is no such batch.
        """
