"""What every backend decides alike: who is refused, and what a job becomes. Pure; a backend stores the outcome."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec

from ..core.errors import Conflict, Fenced, IllegalEvent, Invalid, NotFound, QueueFull
from ..core.events import Attempt, End, Event, Queued
from ..core.job import Job, advance
from ..core.machine import ENDS, Status
from ..core.notices import Notice, notice_of
from ..core.wire import encode, stamped
from .base import Change


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a write does to one job."""

    job: Job  # as it is afterwards
    events: tuple[bytes, ...]  # what joins its log, encoded and numbered
    change: Change
    notice: Notice | None = None  # born with it


def submitted(job: Job, *, previous: str | None) -> Step:
    """Store a new job as queued, behind the newest one of its thread."""
    return _step(msgspec.structs.replace(job, previous=previous), [Queued(at=job.created_at)])


def claimed(job: Job, attempt: Attempt) -> Step:
    """Begin an attempt; whoever held the job before may no longer write."""
    return _step(msgspec.structs.replace(job, fence=job.fence + 1), [attempt])


def appended(job: Job, events: Sequence[Event], *, preview: str | None) -> Step:
    """Let a running job's log grow; raises IllegalEvent, also for an end, which only ``ended`` may write."""
    if any(isinstance(event, End) for event in events):
        raise IllegalEvent("An end is not appended: it is written together with its notice.")
    step = _step(job, events)
    if preview is not None:
        step = msgspec.structs.replace(step, job=msgspec.structs.replace(step.job, preview=preview))
    return step


def ended(job: Job, event: Event, *, fence: int | None, log: str | None) -> Step | None:
    """End a job and write its notice; None if it has ended before.

    Raises NotFound for another log, Fenced for an old fence, IllegalEvent.
    """
    if not isinstance(event, End):
        raise IllegalEvent(f"The event {type(event).__name__.lower()} does not end a job.")
    if log is not None:
        check_log(job.id, log, job.log)
    if job.ended:
        return None
    if fence is not None and fence != job.fence:
        raise _claimed_again()
    step = _step(job, [event])
    return msgspec.structs.replace(step, notice=notice_of(step.job, secrets.token_urlsafe(12)))


def _step(job: Job, events: Sequence[Event]) -> Step:
    after = advance(job, events)
    encoded = numbered(events, after=job.seq, attempt=job.attempt)
    change = Change(
        kind="events" if after.status == job.status else "job",
        owner=job.owner,
        job=job.id,
        status=after.status,
        seq=after.seq,
        events=encoded,
    )
    return Step(job=after, events=encoded, change=change)


def numbered(events: Sequence[Event], *, after: int, attempt: int) -> tuple[bytes, ...]:
    """Encode events and give them their places in the log, behind number ``after`` of this ``attempt``."""
    encoded = []
    for seq, event in enumerate(events, after + 1):
        if isinstance(event, Attempt):
            attempt += 1
        encoded.append(stamped(encode(event), seq=seq, attempt=attempt))
    return tuple(encoded)


def check_same_request(existing: Job, job: Job) -> None:
    """Raise Conflict if a repeated id asks for something else."""
    if not existing.spec.same_request(job.spec):
        raise Conflict(f"The id {job.id} is taken by a job that asks for something else; choose a new id.")


def check_room(unfinished: int, max_queued: int) -> None:
    """Raise QueueFull if an owner has as many unfinished jobs as there may be."""
    if unfinished >= max_queued:
        raise QueueFull(f"{unfinished} jobs are unfinished and no more are taken; wait until some have ended.")


def check_held(held: Job, *, log: str, fence: int, status: Status) -> None:
    """Raise Fenced unless the holder of ``held`` may still write to what its id stands for now."""
    if held.log != log:
        raise gone(held)
    if status in ENDS:
        raise Fenced(f"This job has ended ({status}).")
    if held.fence != fence:
        raise _claimed_again()


def _claimed_again() -> Fenced:
    return Fenced("This job was claimed again by another writer.")


def check_log(job_id: str, asked: str, log: str) -> None:
    """Raise NotFound unless the id still stands for the job with the log that was asked for."""
    if asked != log:
        raise no_such_job(job_id)


def check_deletable(job: Job) -> None:
    """Raise Conflict unless the job has ended."""
    if not job.ended:
        raise Conflict(f"The job {job.id} is {job.status}; cancel it before deleting it.")


def gone(job: Job) -> Fenced:
    """Make the error for a writer whose job was deleted."""
    return Fenced(f"The job {job.id} was deleted.")


def no_such_job(job_id: str) -> NotFound:
    """Make the error for a job that is not there, or not this owner's."""
    return NotFound(f"There is no job {job_id[:64]!r}.")


def no_such_notice(notice_id: str) -> NotFound:
    """Make the error for a notice that is not there, or not this owner's."""
    return NotFound(f"There is no notice {notice_id[:64]!r}.")


def page_start(after: str | None) -> int | None:
    """Return the place in the list that a page's ``next`` stands for; raises Invalid for any other text."""
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise Invalid(f"{after[:60]!r} is no place in this list: use the `next` of the page before.", field="cursor")
    return int(after)
