"""State changes that all backends share. Pure; a backend stores the outcome."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from ..core.batches import Batch
from ..core.codec import encode, stamped
from ..core.cursor import new_log
from ..core.errors import BgStreamError, IllegalEventError
from ..core.events import Attempt, AttemptReason, End, Event, Queued, Waiting
from ..core.job import Job, advance
from ..core.notices import Mute, Notice, notice_of, notice_of_batch, notice_of_pause
from ..core.notices import mutes as is_muted
from . import preconditions
from .port_values import Append, Change

# Codes of waits after the end of a server; any other wait follows a failed attempt.
RECOVERING: frozenset[str] = frozenset({"server_died", "server_stopped", "no_provider"})
# Seconds; the longest delay of an attempt. A longer one means that a clock was set back, and the attempt is due.
FARTHEST = 2 * 3600.0

A = TypeVar("A")
T = TypeVar("T")


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a write on one job."""

    job: Job  # as it is afterwards
    events: tuple[bytes, ...]  # appended to its log, encoded and numbered
    change: Change
    batch: Batch | None = None  # its batch afterwards; None: unchanged
    pauses: bool = False  # whether the batch is paused or resumed
    notice: Notice | None = None  # of the job or of its batch


def submitted(job: Job, *, previous: str | None, thread: str | None) -> Transition:
    """Queue a new job behind the newest job of its thread."""
    return _step(msgspec.structs.replace(job, previous=previous, thread=thread), [Queued(at=job.created_at)])


def claimed(job: Job, *, at: float) -> Transition:
    """Begin an attempt under a new fence."""
    reason: AttemptReason = "first"
    if job.attempt:
        reason = "recovery" if job.error is not None and job.error.code in RECOVERING else "retry"
    # An attempt with a resume token continues under the new fence; any other one begins from the beginning.
    attempt = Attempt(at=at, reason=reason, resumed=job.resume is not None)
    return _step(msgspec.structs.replace(job, fence=job.fence + 1), [attempt])


def adopted(job: Job, *, server: str, event: Waiting | None) -> Transition:
    """Move a waiting or queued job to another server under a new fence.

    Raises:
        IllegalEventError: The job is running and there is no event.
    """
    if event is None and job.status == "running":
        raise IllegalEventError("A running job is adopted only with an event.")
    step = _step(msgspec.structs.replace(job, server=server, fence=job.fence + 1), [event] if event else [])
    # Its state has changed even without an event: another server has it.
    return msgspec.structs.replace(step, change=msgspec.structs.replace(step.change, kind="job"))


def outcome_of(operation: Callable[[A], T], argument: A) -> T | BgStreamError:
    """Return the result of one of several operations, or the error that refuses it."""
    try:
        return operation(argument)
    except BgStreamError as error:
        return error


def appended(job: Job, append: Append) -> Transition:
    """Append events to the log of a running job.

    Args:
        job: The job as it is stored.
        append: The events and what they change beside the log.

    Raises:
        OutOfOrderError: The log has another tail than the expected one.
        IllegalEventError: An event is not allowed now, or is an end, which only ``ended`` may write.
    """
    preconditions.check_tail(append, job.seq)
    if any(isinstance(event, End) for event in append.events):
        raise IllegalEventError("An end is not appended: it is written together with its notice.")
    step = _step(job, append.events)
    if append.preview is not None:
        step = msgspec.structs.replace(step, job=msgspec.structs.replace(step.job, preview=append.preview))
    if append.resume is not None:
        step = msgspec.structs.replace(step, job=msgspec.structs.replace(step.job, resume=append.resume or None))
    return step


def ended(job: Job, event: Event, *, fence: int | None, log: str | None, batch: Batch | None) -> Transition | None:
    """End a job, with its notice or that of its batch if the batch ends or is paused with it.

    Returns:
        None if the job has ended before.

    Raises:
        NotFoundError: The job has another log.
        FencedError: The fence is old.
        IllegalEventError: The event is not an end, or the job's state does not allow it.
    """
    if not isinstance(event, End):
        raise IllegalEventError(f"The event {type(event).__name__.lower()} does not end a job.")
    if log is not None:
        preconditions.check_log(job.id, log, job.log)
    if job.ended:
        return None
    if fence is not None and fence != job.fence:
        raise preconditions.claimed_again()
    step = _step(job, [event])
    notice_id = secrets.token_urlsafe(12)
    if batch is None:
        return msgspec.structs.replace(step, notice=notice_of(step.job, notice_id))
    before, batch = batch, batch.counted(step.job)
    notice = notice_of_pause(batch, notice_id) if before.paused is None else None
    return msgspec.structs.replace(
        step,
        batch=batch,
        pauses=(before.paused is None) != (batch.paused is None),
        notice=notice or notice_of_batch(batch, notice_id),
    )


def _step(job: Job, events: Sequence[Event]) -> Transition:
    after = advance(job, events)
    encoded = numbered(events, after=job.seq, attempt=job.attempt)
    change = Change(
        kind="events" if after.status == job.status else "job",
        owner=job.owner,
        subject=job.id,
        status=after.status,
        seq=after.seq,
        events=encoded,
    )
    return Transition(job=after, events=encoded, change=change)


def listed(job: Job) -> Job:
    """Return a job as lists show it: without the prompt, which may have megabytes."""
    spec = msgspec.structs.replace(job.spec, messages=(), params={})
    return msgspec.structs.replace(job, spec=spec, history=(), turns=())


def job_change(job: Job) -> Change:
    """Return the change of a job's state."""
    return Change(kind="job", owner=job.owner, subject=job.id, status=job.status, seq=job.seq)


def batch_change(batch: Batch) -> Change:
    """Return the change of a batch that was paused or resumed."""
    return Change(kind="batch", owner=batch.owner, subject=batch.id)


def notice_change(notice: Notice) -> Change:
    """Return the change of an inbox."""
    return Change(kind="notice", owner=notice.owner, subject=notice.job or "")


def as_seen_by(notice: Notice, *, read_at: float | None, mutes: Iterable[Mute]) -> Notice:
    """Return a notice as one viewer sees it."""
    return msgspec.structs.replace(notice, read_at=read_at, muted=any(is_muted(mute, notice) for mute in mutes))


def numbered(events: Sequence[Event], *, after: int, attempt: int) -> tuple[bytes, ...]:
    """Return encoded events with their numbers in the log.

    Args:
        events: Events without numbers.
        after: The number of the last event in the log.
        attempt: The current attempt.

    Raises:
        IllegalEventError: An event cannot be encoded.
    """
    encoded = []
    for seq, event in enumerate(events, after + 1):
        if isinstance(event, Attempt):
            attempt += not event.resumed
        try:
            body = encode(event)
        except ValueError as error:  # half of a surrogate pair
            raise IllegalEventError(f"The event {type(event).__name__.lower()} cannot be encoded: {error}.") from error
        encoded.append(stamped(body, seq=seq, attempt=attempt))
    return tuple(encoded)


def again(asked: Job, *, server: str, at: float, submitted_by: str | None) -> Job:
    """Return a new job that retries an ended one."""
    return Job(
        id=secrets.token_urlsafe(12),
        owner=asked.owner,
        log=new_log(),
        spec=asked.spec,
        status="new",
        server=server,
        created_at=at,
        retry_of=asked.id,
        root=asked.root or asked.id,
        submitted_by=submitted_by,
    )
