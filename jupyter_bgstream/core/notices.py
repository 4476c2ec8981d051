"""The inbox: notices of what has ended, and mutes."""

from typing import Literal

import msgspec

from .batch_pause import Paused
from .batches import Batch, EndCounts
from .job import Job, JobSource
from .state import Status

CALL_AFTER = 30.0  # seconds in which a viewer may read a notice before it is sent to the webhook


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice of the end of a job, or of the end or pause of a batch.

    It is created, unread, in the transaction of that end or pause.
    """

    id: str
    job: str | None = None  # the job's id
    batch: str | None = msgspec.field(name="group", default=None)  # or the batch's id; the stored name is older
    owner: str
    status: Status  # of the ended job, or of the batch
    title: str
    preview: str = ""
    counts: EndCounts | None = None  # of a batch
    paused: Paused | None = None  # for the pause of a batch
    thread: str | None = None
    source: JobSource
    created_at: float  # Unix seconds
    read_at: float | None = None  # Unix seconds
    muted: bool = False  # shown in the inbox, but without a toast or webhook call


class Mute(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A notebook or thread that a viewer has muted."""

    kind: Literal["notebook", "thread"]
    name: str  # the notebook's path below the server's root, or the thread's name


def notice_of(job: Job, notice_id: str) -> Notice | None:
    """Return the notice of an ended job; None for a cancelled one: a user has cancelled it."""
    if job.status == "cancelled" or job.ended_at is None:
        return None
    return Notice(
        id=notice_id,
        job=job.id,
        owner=job.owner,
        status=job.status,
        title=job.spec.title,
        preview=job.preview,
        thread=job.thread,
        source=job.spec.source,
        created_at=job.ended_at,
    )


def notice_of_batch(batch: Batch, notice_id: str) -> Notice | None:
    """Return the notice of an ended batch; None if all of its jobs were cancelled."""
    if batch.ended_at is None or batch.counts.cancelled == batch.total:
        return None
    return _of_batch(batch, notice_id, at=batch.ended_at)


def notice_of_pause(batch: Batch, notice_id: str) -> Notice | None:
    """Return the notice of a paused batch; None if it is not paused."""
    return None if batch.paused is None else _of_batch(batch, notice_id, at=batch.paused.at)


def _of_batch(batch: Batch, notice_id: str, *, at: float) -> Notice:
    return Notice(
        id=notice_id,
        batch=batch.id,
        owner=batch.owner,
        status=batch.status,
        title=batch.spec.title,
        counts=batch.counts,
        paused=batch.paused,
        source=batch.spec.source,
        created_at=at,
    )


def mutes(mute: Mute, notice: Notice) -> bool:
    """Return whether a mute applies to a notice."""
    return mute.name == (notice.source.notebook if mute.kind == "notebook" else notice.thread)
