"""Wait for jobs in the foreground: an interrupt detaches, a second one cancels the jobs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...core.errors import BgStreamError
from ...core.terminal_text import visible, visible_line
from ..errors import AnswerRestartedError, IncompleteAnswerError
from ..job_handle import Job
from ..job_table import short
from ..status_labels import status_label
from .errors import Detached

CANCEL_WINDOW = 3.0  # seconds in which a second interrupt cancels


def wait(jobs: Sequence[Job]) -> None:
    """Wait until all jobs have ended."""
    for job in jobs:
        job.wait()


def stream(jobs: Sequence[Job]) -> None:
    """Print the answers live, one after the other."""
    for job in jobs:
        if len(jobs) > 1:
            print(f"{visible_line(job.model)}:\n")  # noqa: T201
        _print(job)


@contextmanager
def detaching(jobs: Sequence[Job]) -> Iterator[None]:
    """Detach from the jobs at an interrupt; cancel them at a second one within CANCEL_WINDOW seconds.

    Raises:
        Detached: after an interrupt, unless all jobs have ended meanwhile.

    """
    try:
        yield
    except KeyboardInterrupt:
        _detach(jobs)


def _detach(jobs: Sequence[Job]) -> None:
    ids = [short(job.id) for job in jobs]
    names = " ".join(ids)
    jobs_continue = f"Job {names} continues" if len(jobs) == 1 else f"Jobs {', '.join(ids)} continue"
    try:
        print(f"\nDetaching. {jobs_continue}. Interrupt again within {CANCEL_WINDOW:g} s to cancel.", flush=True)  # noqa: T201
        if _wait_for_second_interrupt(jobs):
            return  # all jobs have ended
    except KeyboardInterrupt:
        raise Detached(_cancel(jobs)) from None
    raise Detached(
        f"Detached. {jobs_continue}. %bg attach {ids[0]} shows the answer, %bg wait {names} waits, "
        f"%bg cancel {names} cancels."
    ) from None


def _wait_for_second_interrupt(jobs: Sequence[Job]) -> bool:
    """Wait for CANCEL_WINDOW seconds; return True if all jobs have ended meanwhile."""
    until = time.monotonic() + CANCEL_WINDOW
    ended = True
    for job in jobs:
        try:
            job.wait(max(0.0, until - time.monotonic()))
        except (TimeoutError, BgStreamError):
            ended = False
    return ended


def _cancel(jobs: Sequence[Job]) -> str:
    ends = [f"Job {short(job.id)}: {status_label(job.cancel().status)}." for job in jobs]
    return " ".join(["Interrupted twice.", *ends])


def _print(job: Job) -> None:
    try:
        for delta in job:
            print(visible(delta), end="", flush=True)  # noqa: T201
        print("\n", flush=True)  # noqa: T201
    except AnswerRestartedError as error:
        print(f"\n\n[{error}]\n", flush=True)  # noqa: T201
        _print(job)
    except IncompleteAnswerError as error:
        print(f"\n\n[{error}]\n", flush=True)  # noqa: T201
