"""Port: threads, which are conversations by name."""

from typing import Protocol

from ...core.events import Cancelled
from ...core.job import Job
from ...core.schemas.threads import ThreadInfo
from ...core.threads import Fork


class ThreadStore(Protocol):
    """Threads. One exists as long as it has a job or a fork."""

    async def threads(self, owner: str, *, limit: int, after: str | None = None) -> tuple[list[ThreadInfo], str | None]:
        """Return a page of threads, the one with the newest job or fork first, and the cursor of the next page.

        Raises:
            InvalidRequestError: ``after`` is not a cursor.
        """

    async def thread(self, owner: str, name: str) -> ThreadInfo:
        """Return a thread.

        Raises:
            NotFoundError: There is no such thread.
        """

    async def last_turn(self, owner: str, name: str) -> Job | None:
        """Return the last turn of a thread, or the newest retry of it; None if the thread has no jobs."""

    async def fork_of(self, owner: str, name: str) -> Fork | None:
        """Return the conversation that a thread was forked with; None if it is not a fork."""

    async def fork(self, fork: Fork) -> None:
        """Store the conversation that a new thread begins with.

        Raises:
            ConflictError: There is a thread with this name.
        """

    async def rename_thread(self, owner: str, name: str, new: str) -> None:
        """Rename a thread in its jobs, notices, mutes and forks.

        Raises:
            NotFoundError: There is no such thread.
            ConflictError: There is a thread with the new name.
        """

    async def delete_thread(self, owner: str, name: str, event: Cancelled) -> list[Job]:
        """Cancel and delete all jobs of a thread, and its fork, in one transaction.

        Returns:
            The jobs that this call cancelled.

        Raises:
            NotFoundError: There is no such thread.
        """

    async def forget_forks(self, *, owner: str | None, before: float) -> int:
        """Delete forks that have no jobs and were not touched since ``before`` (Unix seconds); return how many."""
