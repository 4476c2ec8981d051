"""Wait for jobs in the foreground: an interrupt ends the waiting, a second one the jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...core.errors import BgStreamError
from ...core.terminal_text import visible, visible_line
from ..errors import AnswerRestartedError, IncompleteAnswerError
from ..job_handle import Job
from ..job_table import short
from .errors import Detached

SECOND = 3.0  # seconds in which another interrupt cancels


def wait(jobs: Sequence[Job]) -> None:
    """Wait until all have ended in any way."""
    for job in jobs:
        job.wait()


def stream(jobs: Sequence[Job]) -> None:
    """Print the answers as they come, one after the other."""
    for job in jobs:
        if len(jobs) > 1:
            print(f"{visible_line(job.model)}:\n")  # noqa: T201
        _print(job)


@contextmanager
def detaching(jobs: Sequence[Job]) -> Iterator[None]:
    """Let an interrupt end what is done here, and leave the jobs alone; a second one within SECOND cancels them.

    Raises Detached after an interrupt, unless all have ended meanwhile.
    """
    try:
        yield
    except KeyboardInterrupt:
        _detach(jobs)


def _detach(jobs: Sequence[Job]) -> None:
    going = list(jobs)
    ids = [short(job.id) for job in going]
    names = " ".join(ids)
    what = f"the job {names} goes" if len(going) == 1 else f"the jobs {', '.join(ids)} go"
    try:
        print(f"\nDetaching: {what} on. Interrupt again within {SECOND:g} seconds to cancel.", flush=True)  # noqa: T201
        if _linger(going):
            return  # nothing goes on
    except KeyboardInterrupt:
        raise Detached(_cancelled(going)) from None
    raise Detached(
        f"Detached: {what} on; %bg attach {ids[0]} shows the answer, %bg wait {names} waits for it, "
        f"%bg cancel {names} stops it."
    ) from None


def _linger(jobs: Sequence[Job]) -> bool:
    """Wait a moment for what may be interrupted again, and return whether all have ended meanwhile."""
    until = time.monotonic() + SECOND
    ended = True
    for job in jobs:
        try:
            job.wait(max(0.0, until - time.monotonic()))
        except (TimeoutError, BgStreamError):
            ended = False
    return ended


def _cancelled(jobs: Sequence[Job]) -> str:
    ends = [f"the job {short(job.id)} is {job.cancel().status}" for job in jobs]
    return f"Interrupted twice: {', '.join(ends)}."


def _print(job: Job) -> None:
    try:
        for piece in job:
            print(visible(piece), end="", flush=True)  # noqa: T201
        print("\n", flush=True)  # noqa: T201
    except AnswerRestartedError as error:
        print(f"\n\n[{error}]\n", flush=True)  # noqa: T201
        _print(job)
    except IncompleteAnswerError as error:
        print(f"\n\n[{error}]\n", flush=True)  # noqa: T201
