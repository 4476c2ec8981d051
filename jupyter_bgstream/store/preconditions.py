"""Checks that all backends share, and the errors that they raise."""

from collections.abc import Mapping, Sequence

import msgspec

from ..core.batches import Batch
from ..core.errors import (
    ConflictError,
    FencedError,
    IllegalEventError,
    InvalidRequestError,
    NotFoundError,
    OutOfOrderError,
    QueueFullError,
)
from ..core.events import Event, Image
from ..core.job import Job
from ..core.state import ENDS, Status
from .port_values import Append


def check_files(events: Sequence[Event], files: Mapping[str, bytes]) -> list[Image]:
    """Return the images among events.

    Raises:
        IllegalEventError: An image has no file, or a file has no image.
    """
    images = [event for event in events if isinstance(event, Image)]
    if {image.id: image.bytes for image in images} != {name: len(data) for name, data in files.items()}:
        raise IllegalEventError("The event of an image and its file are stored together.")
    return images


def check_tail(append: Append, tail: int) -> None:
    """Raise OutOfOrderError unless a log has the tail that a writer expects."""
    if append.tail is not None and append.tail != tail:
        raise OutOfOrderError(
            f"The log of the job {append.job.id} ends with event {tail}, not {append.tail}: another writer changed it."
        )


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


def check_unused(batch: Batch, *, used: bool) -> None:
    """Raise ConflictError if jobs without a batch already have its id as a label."""
    if used:
        raise ConflictError(f"Jobs already use the batch id {batch.id!r}, which was never announced; choose a new id.")


def check_same_batch(existing: Batch, batch: Batch) -> None:
    """Raise ConflictError if a repeated announcement has another total."""
    if existing.spec.total != batch.spec.total:
        raise ConflictError(
            f"The batch {batch.id} was announced with {existing.spec.total} jobs, not {batch.spec.total}; choose a new"
            " id."
        )


def check_member(batch: Batch, known: Job, job: Job) -> None:
    """Raise ConflictError if an id belongs to a job outside the batch or with another request."""
    check_same_request(known, job)
    if known.spec.batch != batch.id:
        raise ConflictError(f"The id {job.id} is taken by a job that is not in the batch {batch.id}; choose a new id.")


def check_joins(batch: Batch, jobs: int) -> None:
    """Raise ConflictError if a batch has no room for more jobs."""
    if batch.submitted + jobs > batch.total:
        raise ConflictError(
            f"The batch {batch.id} takes {batch.total} jobs and has {batch.submitted}; {jobs} more do not fit. It takes"
            " no more once it was cancelled.",
            code="batch_full",
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
        raise claimed_again()


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


def claimed_again() -> FencedError:
    """Return the error for a writer whose job was claimed again."""
    return FencedError("This job was claimed again by another writer.")


def gone(job: Job) -> FencedError:
    """Return the error for a writer whose job was deleted."""
    return FencedError(f"The job {job.id} was deleted.")


def no_such_job(job_id: str) -> NotFoundError:
    """Return the error for a job that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no job {job_id[:64]!r}.")


def no_such_notice(notice_id: str) -> NotFoundError:
    """Return the error for a notice that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no notice {notice_id[:64]!r}.")


def no_such_image(image_id: str) -> NotFoundError:
    """Return the error for an image that the log of a job does not name."""
    return NotFoundError(f"This job has no image {image_id[:64]!r}.")


def image_is_there(image_id: str) -> IllegalEventError:
    """Return the error for a second image with the same id."""
    return IllegalEventError(f"This job already has an image {image_id}.")


def no_such_batch(batch_id: str) -> NotFoundError:
    """Return the error for a batch that does not exist or belongs to another owner."""
    return NotFoundError(f"There is no batch {batch_id[:64]!r}.")


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
            f"{after[:60]!r} is not a cursor of these answers: use the `next` of the previous page.", field="cursor"
        )
    return int(change), int(place)
