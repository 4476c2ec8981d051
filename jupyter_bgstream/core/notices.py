"""The inbox: what ended and has not been seen."""

from __future__ import annotations

import msgspec

from .job import Job, Origin
from .machine import Status


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A job's end, born unread in the transaction that ends it."""

    id: str
    job: str  # the job's id
    owner: str
    status: Status  # the end
    title: str
    preview: str
    source: Origin
    created_at: float  # Unix seconds
    read_at: float | None = None  # Unix seconds


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
        source=job.spec.source,
        created_at=job.ended_at,
    )
