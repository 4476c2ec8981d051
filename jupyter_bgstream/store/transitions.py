"""Pure state changes and checks that all backends share; a backend stores the outcome."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from ..core.batches import Batch
from ..core.codec import encode, stamped
from ..core.cursor import new_log
from ..core.errors import (
    BgStreamError,
    ConflictError,
    FencedError,
    IllegalEventError,
    InvalidRequestError,
    NotFoundError,
    OutOfOrderError,
    QueueFullError,
)
from ..core.events import Attempt, AttemptReason, End, Event, Image, Queued, Waiting
from ..core.job import Job, advance
from ..core.notices import CALL_AFTER, Mute, Notice, notice_of, notice_of_group, notice_of_pause
from ..core.notices import mutes as is_muted
from ..core.state import ENDS, Status
from .base import Append, Capacity, Change

# Codes of waits after the end of a server; any other wait follows a failed attempt.
RECOVERING: frozenset[str] = frozenset({"server_died", "server_stopped", "no_provider"})


# Seconds; the longest delay of an attempt. A longer one means that a clock was set back, and the attempt is due.
FARTHEST = 2 * 3600.0

A = TypeVar("A")
T = TypeVar("T")


def is_call_due(call_at: float, created_at: float, *, at: float) -> bool:
    """Return whether a notice is due for the webhook.

    A notice is also due if a clock was set back: if it was never sent and is from the future, or was put off for longer
    than any delay.
    """
    first = abs(call_at - CALL_AFTER - created_at) < 0.001
    return call_at <= at or call_at > at + FARTHEST or (first and created_at > at)


UNANSWERED: tuple[Status, ...] = ("failed", "cancelled", "interrupted")  # statuses without a whole answer


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a write on one job."""

    job: Job  # as it is afterwards
    events: tuple[bytes, ...]  # appended to its log, encoded and numbered
    change: Change
    group: Batch | None = None  # its batch afterwards; None: unchanged
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


@dataclass
class BatchSlot:
    """A batch with a limit of running jobs, and how many of its places are taken on this server."""

    limit: int
    running: int
    waiting: int  # for their next attempt

    def free(self, *, waits: bool) -> bool:
        """Return whether one more job may run; a waiting job already has its place."""
        return self.running + (0 if waits else self.waiting) < self.limit

    def take(self, *, waits: bool) -> None:
        """Count one more running job."""
        self.running += 1
        self.waiting -= waits


class ReadyJob(NamedTuple):
    """The properties of a ready job that a claim considers."""

    owner: str
    batch: bool
    group: str  # "" for a job without an announced batch
    waits: bool  # whether it waits for another attempt, which is due


class RunningCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The running jobs at the moment of a claim."""

    here: int  # jobs of the server that claims
    batch: int  # of them with the priority batch
    owners: dict[str, int]  # on all servers
    lanes: Mapping[tuple[str, str], BatchSlot] = {}  # by owner and batch; of batches that have a limit or are paused


def chosen(
    ready: Iterable[T], kind: Callable[[T], ReadyJob], *, load: RunningCounts, room: Capacity, limit: int
) -> list[T]:
    """Return the ready jobs that may run.

    Args:
        ready: The ready jobs in order: interactive ones first, then the oldest.
        kind: Returns the properties of one of them.
        load: The running jobs.
        room: How many jobs may run at a time.
        limit: At most so many jobs.
    """
    found: list[T] = []
    here, batch, owners = load.here, load.batch, dict(load.owners)
    for item in ready:
        owner, is_batch, group, waits = kind(item)
        if len(found) >= limit or here >= room.running or (is_batch and batch >= room.batch):
            break  # only batch jobs follow
        lane = load.lanes.get((owner, group))
        if owners.get(owner, 0) < room.owner and (lane is None or lane.free(waits=waits)):
            if lane is not None:
                lane.take(waits=waits)
            found.append(item)
            here, batch, owners[owner] = here + 1, batch + is_batch, owners.get(owner, 0) + 1
    return found


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
    check_tail(append, job.seq)
    if any(isinstance(event, End) for event in append.events):
        raise IllegalEventError("An end is not appended: it is written together with its notice.")
    step = _step(job, append.events)
    if append.preview is not None:
        step = msgspec.structs.replace(step, job=msgspec.structs.replace(step.job, preview=append.preview))
    if append.resume is not None:
        step = msgspec.structs.replace(step, job=msgspec.structs.replace(step.job, resume=append.resume or None))
    return step


def check_tail(append: Append, tail: int) -> None:
    """Raise OutOfOrderError unless a log has the tail that a writer expects."""
    if append.tail is not None and append.tail != tail:
        raise OutOfOrderError(
            f"The log of the job {append.job.id} ends with event {tail}, not {append.tail}: another writer changed it."
        )


def ended(job: Job, event: Event, *, fence: int | None, log: str | None, group: Batch | None) -> Transition | None:
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
        check_log(job.id, log, job.log)
    if job.ended:
        return None
    if fence is not None and fence != job.fence:
        raise _claimed_again()
    step = _step(job, [event])
    notice_id = secrets.token_urlsafe(12)
    if group is None:
        return msgspec.structs.replace(step, notice=notice_of(step.job, notice_id))
    before, group = group, group.counted(step.job)
    notice = notice_of_pause(group, notice_id) if before.paused is None else None
    return msgspec.structs.replace(
        step,
        group=group,
        pauses=(before.paused is None) != (group.paused is None),
        notice=notice or notice_of_group(group, notice_id),
    )


def _step(job: Job, events: Sequence[Event]) -> Transition:
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
    return Transition(job=after, events=encoded, change=change)


def listed(job: Job) -> Job:
    """Return a job as lists show it: without the prompt, which may have megabytes."""
    spec = msgspec.structs.replace(job.spec, messages=(), params={})
    return msgspec.structs.replace(job, spec=spec, history=(), turns=())


def state_of(job: Job) -> Change:
    """Return the change of a job's state."""
    return Change(kind="job", owner=job.owner, job=job.id, status=job.status, seq=job.seq)


def state_of_group(group: Batch) -> Change:
    """Return the change of a batch that was paused or resumed."""
    return Change(kind="group", owner=group.owner, job=group.id)


def told(notice: Notice) -> Change:
    """Return the change of an inbox."""
    return Change(kind="notice", owner=notice.owner, job=notice.job or "")


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


def check_files(events: Sequence[Event], files: Mapping[str, bytes]) -> list[Image]:
    """Return the images among events.

    Raises:
        IllegalEventError: An image has no file, or a file has no image.
    """
    images = [event for event in events if isinstance(event, Image)]
    if {image.id: image.bytes for image in images} != {name: len(data) for name, data in files.items()}:
        raise IllegalEventError("The event of an image and its file are stored together.")
    return images


def check_same_request(existing: Job, job: Job) -> None:
    """Raise ConflictError if an id is repeated with another request; a renamed thread may have either name."""
    asked = job.spec
    if asked.thread == existing.thread:
        asked = msgspec.structs.replace(asked, thread=existing.spec.thread)
    if not existing.spec.same_request(asked):
        raise ConflictError(f"The id {job.id} belongs to a job with another request. Choose a new id.")


def check_room(unfinished: int, max_queued: int) -> None:
    """Raise QueueFullError if an owner has ``max_queued`` unfinished jobs."""
    if unfinished >= max_queued:
        raise QueueFullError(f"{unfinished} jobs are unfinished, which is the limit. Wait until some have ended.")


def check_retriable(job: Job) -> None:
    """Raise ConflictError unless a job has ended."""
    if not job.ended:
        raise ConflictError(
            f"The job {job.id} is {job.status}; only one that has ended can be retried.", code="not_ended"
        )


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


def check_unused(group: Batch, *, used: bool) -> None:
    """Raise ConflictError if jobs without a batch already have its id as a label."""
    if used:
        raise ConflictError(f"There are jobs with the group {group.id!r} that was never announced; choose a new id.")


def check_same_group(existing: Batch, group: Batch) -> None:
    """Raise ConflictError if a repeated announcement has another total."""
    if existing.spec.total != group.spec.total:
        raise ConflictError(
            f"The group {group.id} was announced with {existing.spec.total} jobs, not {group.spec.total}; choose a new"
            " id."
        )


def check_member(group: Batch, known: Job, job: Job) -> None:
    """Raise ConflictError if an id belongs to a job outside the batch or with another request."""
    check_same_request(known, job)
    if known.spec.group != group.id:
        raise ConflictError(f"The id {job.id} is taken by a job that is not in the group {group.id}; choose a new id.")


def check_joins(group: Batch, jobs: int) -> None:
    """Raise ConflictError if a batch has no room for more jobs."""
    if group.submitted + jobs > group.total:
        raise ConflictError(
            f"The group {group.id} takes {group.total} jobs and has {group.submitted}; {jobs} more do not fit. It takes"
            " no more once it was cancelled.",
            code="group_full",
        )


def check_held(held: Job, *, log: str, fence: int, status: Status) -> None:
    """Raise FencedError unless a writer may still write to its job.

    Args:
        held: The job as the writer claimed it.
        log: The log that the id has now.
        fence: The fence that the job has now.
        status: The status that the job has now.
    """
    if held.log != log:
        raise gone(held)
    if status in ENDS:
        raise FencedError(f"This job has ended ({status}).")
    if held.fence != fence:
        raise _claimed_again()


def _claimed_again() -> FencedError:
    return FencedError("This job was claimed again by another writer.")


def check_log(job_id: str, asked: str, log: str) -> None:
    """Raise NotFoundError if the id now belongs to a job with another log."""
    if asked != log:
        raise no_such_job(job_id)


def check_deletable(job: Job, *, log: str | None) -> None:
    """Check that a job may be deleted.

    Raises:
        ConflictError: It has not ended.
        NotFoundError: It has another log.
    """
    if log is not None:
        check_log(job.id, log, job.log)
    if not job.ended:
        raise ConflictError(f"The job {job.id} is {job.status}; cancel it before deleting it.")


def gone(job: Job) -> FencedError:
    """Return the error for a writer whose job was deleted."""
    return FencedError(f"The job {job.id} was deleted.")


def no_such_job(job_id: str) -> NotFoundError:
    """Return the error for a job that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no job {job_id[:64]!r}.")


def no_such_notice(notice_id: str) -> NotFoundError:
    """Return the error for a notice that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no notice {notice_id[:64]!r}.")


def page_start(after: str | None) -> int | None:
    """Return the place in a list at which a page begins; None for the first page.

    Raises:
        InvalidRequestError: The text is not the ``next`` of a page.
    """
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise InvalidRequestError(
            f"{after[:60]!r} is not a place in this list: use the `next` of the previous page.", field="cursor"
        )
    return int(after)


def places_start(after: str | None) -> tuple[int, int]:
    """Return the change and the place at which a page of a batch's items begins.

    Raises:
        InvalidRequestError: The text is not the ``next`` of a page.
    """
    if after is None:
        return 0, 0
    change, _, place = after.partition("_")
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (change, place)):
        raise InvalidRequestError(
            f"{after[:60]!r} is not a place in these answers: use the `next` of the previous page.", field="after"
        )
    return int(change), int(place)


def no_such_image(image_id: str) -> NotFoundError:
    """Return the error for an image that the log of a job does not name."""
    return NotFoundError(f"This job has no image {image_id[:64]!r}.")


def image_is_there(image_id: str) -> IllegalEventError:
    """Return the error for a second image with the same id."""
    return IllegalEventError(f"This job already has an image {image_id}.")


def no_such_group(group_id: str) -> NotFoundError:
    """Return the error for a batch that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no group {group_id[:64]!r}.")
