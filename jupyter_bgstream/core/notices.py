"""The inbox: what ended and has not been seen."""

from __future__ import annotations

from typing import Literal

import msgspec

from .batches import Batch, EndCounts
from .job import Job, JobSource
from .pauses import Paused
from .state import Status

CALL_AFTER = 30.0  # seconds in which somebody may see it before it goes out to a webhook


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a job, or the end or the pause of a group of jobs, born unread in the transaction of that end."""

    id: str
    job: str | None = None  # the job's id
    group: str | None = None  # or the group's
    owner: str
    status: Status  # the end; of a pause, the group's
    title: str
    preview: str = ""
    counts: EndCounts | None = None  # of a group
    paused: Paused | None = None  # of a group, if it tells of that
    thread: str | None = None
    source: JobSource
    created_at: float  # Unix seconds
    read_at: float | None = None  # Unix seconds
    muted: bool = False  # shown in the inbox, but nobody is called for it


class Mute(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a viewer does not want to be called for."""

    kind: Literal["notebook", "thread"]
    name: str  # the notebook's path below the server's root, or the thread's name


def notice_of(job: Job, notice_id: str) -> Notice | None:
    """Return the notice an ended job leaves; none for a cancelled one, since whoever stopped it knows."""
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


def notice_of_group(group: Batch, notice_id: str) -> Notice | None:
    """Return the notice an ended group leaves; none if every job of it was cancelled."""
    if group.ended_at is None or group.counts.cancelled == group.total:
        return None
    return _of_group(group, notice_id, at=group.ended_at)


def notice_of_pause(group: Batch, notice_id: str) -> Notice | None:
    """Return the notice a group leaves that is paused; none if it is not."""
    return None if group.paused is None else _of_group(group, notice_id, at=group.paused.at)


def _of_group(group: Batch, notice_id: str, *, at: float) -> Notice:
    return Notice(
        id=notice_id,
        group=group.id,
        owner=group.owner,
        status=group.status,
        title=group.spec.title,
        counts=group.counts,
        paused=group.paused,
        source=group.spec.source,
        created_at=at,
    )


def mutes(mute: Mute, notice: Notice) -> bool:
    """Whether a mute is about this notice."""
    return mute.name == (notice.source.notebook if mute.kind == "notebook" else notice.thread)
