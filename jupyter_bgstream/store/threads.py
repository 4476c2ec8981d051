"""Threads as lists show them, and errors about them; shared by all backends."""

from ..core.errors import ConflictError, NotFoundError
from ..core.job import Job
from ..core.schemas.threads import ThreadInfo
from ..core.threads import Fork


def thread_of(
    name: str,
    *,
    jobs: int,
    created_at: float | None,
    updated_at: float | None,
    unfinished: Job | None,
    last: Job | None,
    fork: Fork | None,
) -> ThreadInfo:
    """Return a thread as lists show it, from its jobs and its fork.

    Args:
        name: Its name.
        jobs: The number of its turns.
        created_at: When its first job was submitted, in Unix seconds.
        updated_at: The last submit, start or end of any of its jobs, in Unix seconds.
        unfinished: Its oldest unfinished job.
        last: Its last turn.
        fork: What it was forked with.

    Raises:
        NotFoundError: It has neither a job nor a fork.
    """
    origin = None if fork is None else fork.origin
    if last is not None and created_at is not None and updated_at is not None:
        return ThreadInfo(
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
    return ThreadInfo(
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
    """Raise ConflictError if a thread already has a new name."""
    if used:
        raise ConflictError(f"There is a thread {name!r} already. Choose another name.")


def no_such_thread(name: str) -> NotFoundError:
    """Return the error for a thread that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no thread {name[:200]!r}.")
