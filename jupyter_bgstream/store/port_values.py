"""Values that the store takes and returns."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from ..core.events import Event, MediaType
from ..core.job import Job
from ..core.state import ENDS, Status

NO_FILES: Mapping[str, bytes] = MappingProxyType({})
IMAGE_CHUNK = 256 * 1024  # bytes of an image file that are read or written at a time

JobRange = tuple[int, int]  # of ``jobs.n``: exclusive start, inclusive end


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of a commit, by this server or by another one on the same store."""

    # job: its state; events: only its log grew; batch: it was paused or resumed, and its notice created or deleted
    kind: Literal["job", "events", "notice", "deleted", "batch"]
    owner: str
    subject: str  # id of the job; for kind batch, that of the batch; "" for a notice without a job
    status: Status | None = None  # of the job; for kinds job and events
    seq: int = 0  # tail of the log
    events: tuple[bytes, ...] = ()  # appended by this commit; empty if another server made it or the reader is behind

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDS


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """Events for the log of one running job."""

    job: Job  # as it was claimed: its log and its fence must still be the stored ones
    events: Sequence[Event]  # without numbers; the store numbers them
    tail: int | None = None  # number of the last event that the log must have now; None: any
    preview: str | None = None  # first characters of the answer; None leaves the stored ones
    resume: str | None = None  # token by which the provider continues; None leaves the stored one, "" removes it
    files: Mapping[str, bytes] = NO_FILES  # the file of each Image among the events, by its id


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, newest first. ``None`` means any."""

    status: str | None = None
    thread: str | None = None
    notebook: str | None = None
    batch: str | None = None
    submitted_by: str | None = None
    tag: str | None = None
    ids: tuple[str, ...] | None = None
    limit: int = 50
    after: str | None = None  # the `next` of the previous page


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs may run at a time. A claim counts the running ones and takes more in one transaction."""

    running: int  # jobs of this server
    bulk: int  # of them with the priority bulk; the rest is reserved for interactive jobs
    owner: int  # jobs of one owner, on all servers of this store


class ExpiredJob(msgspec.Struct, frozen=True, kw_only=True):
    """An ended job that may be deleted for its age or to free space."""

    owner: str
    id: str
    log: str
    ended_at: float  # Unix seconds
    announced_at: float | None  # Unix seconds; when its deletion was first announced; only for unread jobs
    bytes: int  # that it takes in the store


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the log of a job; its file is read with ``image_chunk``."""

    owner: str
    job: str
    log: str
    id: str
    media_type: MediaType
    bytes: int  # of the file
