"""Port: jobs, from submission to deletion."""

from typing import Protocol

from ...core.events import Event, Waiting
from ...core.job import Job, Turn
from ...core.messages import Message
from ..port_values import Capacity, JobFilter


class JobStore(Protocol):
    """Jobs and their states.

    ``previous`` of a job is an existing job of its thread that was submitted earlier. When that one is deleted, the
    jobs behind it inherit its own ``previous``.

    A job with ``retry_of`` asks that ended job again. It takes that job's place in its batch and in its thread, under
    the thread's present name. A job has at most one retry.
    """

    async def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        """Store a new job as queued, or return the one that the same request has made before.

        Args:
            job: The job, with the status ``new``.
            max_queued: How many unfinished jobs the owner may have.

        Returns:
            The stored job, and whether it is new.

        Raises:
            ConflictError: The id belongs to a different request, the job to be retried has not ended, or the batch
                is full.
            NotFoundError: The job to be retried does not exist.
            QueueFullError: The owner has ``max_queued`` unfinished jobs.
        """

    async def claim(self, *, server: str, owner: str | None, room: Capacity, limit: int, at: float) -> list[Job]:
        """Begin an attempt of the jobs that are ready and have room.

        Interactive jobs come first, then the oldest; a job waits for the unfinished jobs before it in its thread. Each
        claim raises the job's fence.

        Args:
            server: The server whose jobs are claimed.
            owner: Whose jobs are claimed; None for all owners.
            room: How many jobs may run at a time.
            limit: At most so many jobs.
            at: Now, in Unix seconds.
        """

    async def next_due(self, *, server: str, owner: str | None, after: float) -> float | None:
        """Return when the next waiting job is due after ``after``, in Unix seconds; None if no job waits."""

    async def has_work(self, *, server: str, owner: str) -> bool:
        """Return whether jobs are queued or waiting on a server, those of paused batches excepted."""

    async def adopt(self, job: Job, *, server: str, event: Waiting | None = None) -> Job:
        """Move a job to another server under a new fence.

        Args:
            job: The job as its present holder has it.
            server: The server that gets it.
            event: Why and until when it waits; None leaves a queued job queued.

        Raises:
            FencedError: The job has ended, was deleted or was claimed by another server.
            IllegalEventError: The job is running and there is no event.
        """

    async def set_history(self, job: Job, history: tuple[Message, ...], turns: tuple[Turn, ...] = ()) -> Job:
        """Store the conversation that precedes a job.

        Raises:
            FencedError: The job has ended, was deleted or was claimed by another server.
        """

    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        """End a job and write its notice in the same transaction. Ending an ended job is a no-op: the first end wins.

        A job of an announced batch leaves no notice; the batch leaves one when all announced jobs have ended.

        Args:
            owner: The job's owner.
            job_id: The job's id.
            event: Its end.
            fence: The fence that the job must have; None: any.
            log: The log that the job must have; None: any.

        Returns:
            The job as it is now, and whether this call ended it.

        Raises:
            NotFoundError: There is no such job, or it has another log.
            FencedError: The job was claimed again.
            IllegalEventError: The event is not an end, or the job's state does not allow it.
        """

    async def job(self, owner: str, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFoundError: There is no such job.
        """

    async def jobs(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        """Return a page of jobs without their prompts, newest first, and the cursor of the next page.

        Raises:
            InvalidRequestError: ``which.after`` is not a cursor.
        """

    async def counts(self, owner: str) -> dict[str, int]:
        """Return the number of jobs by status."""

    async def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        """Delete an ended job with its log, images and notice. Its costs stay in the sums.

        Raises:
            NotFoundError: There is no such job, or it has another log.
            ConflictError: The job has not ended.
        """

    async def abandoned_jobs(self, *, owner: str | None, limit: int) -> list[Job]:
        """Return unfinished jobs of dead servers, oldest first; those that wait for a provider come last."""
