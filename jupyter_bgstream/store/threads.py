"""The store's port, as far as it is about threads; its promises are the tests in ``testing/thread_contract.py``."""

from __future__ import annotations

from typing import Protocol

from ..core.errors import ConflictError, NotFoundError
from ..core.events import Cancelled
from ..core.job import Job
from ..core.threads import Fork, Thread


class ThreadStore(Protocol):
    """Conversations, by their names. One is there as long as it has a job, or its fork is not forgotten."""

    async def threads(
        self, owner: str, *, limit: int, after: str | None = None
    ) -> tuple[list[Thread], str | None]: ...  # a page, the one with the newest job or fork first, and its next
    async def thread(self, owner: str, name: str) -> Thread: ...  # NotFoundError
    async def last_turn(self, owner: str, name: str) -> Job | None: ...  # its newest retry
    async def fork_of(self, owner: str, name: str) -> Fork | None: ...  # what a thread begins with
    async def fork(self, fork: Fork) -> None: ...  # Conflict if there is a thread of that name
    async def rename_thread(
        self, owner: str, name: str, new: str
    ) -> None: ...  # with its jobs, notices and mutes; NotFoundError, ConflictError
    async def delete_thread(
        self, owner: str, name: str, event: Cancelled
    ) -> list[Job]: ...  # all of it at once, and what this ended; NotFoundError
    async def forget_forks(
        self, *, owner: str | None, before: float
    ) -> int: ...  # that have no jobs, and were not touched since; None: everybody's


def thread_of(
    name: str,
    *,
    jobs: int,
    created_at: float | None,
    updated_at: float | None,
    unfinished: Job | None,
    last: Job | None,
    fork: Fork | None,
) -> Thread:
    """Return a thread as lists show it, from its jobs and its fork; raises NotFoundError if there is neither.

    ``jobs`` counts turns, the times are of all its jobs; ``unfinished`` is the oldest of them, ``last`` the last turn.
    """
    origin = None if fork is None else fork.origin
    if last is not None and created_at is not None and updated_at is not None:
        return Thread(
            name=name,
            jobs=jobs,
            status=(unfinished or last).status,
            model=last.spec.model,
            title=last.spec.title,
            created_at=created_at if fork is None else fork.created_at,
            updated_at=updated_at,
            forked_from=origin,
        )
    if fork is None:
        raise no_such_thread(name)
    return Thread(
        name=name,
        jobs=0,
        status="completed",
        model=fork.model,
        title=fork.title,
        created_at=fork.created_at,
        updated_at=fork.touched_at,
        forked_from=origin,
    )


def check_free(name: str, *, used: bool) -> None:
    """Raise ConflictError if a new name is already that of a thread."""
    if used:
        raise ConflictError(f"There is a thread {name!r} already; choose another name.")


def no_such_thread(name: str) -> NotFoundError:
    """Make the error for a thread that is not there, or not this owner's."""
    return NotFoundError(f"There is no thread {name[:200]!r}.")
