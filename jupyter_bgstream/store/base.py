"""The store's port. Its promises are the tests in ``testing/store_contract.py``; every backend passes them all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

import msgspec

from ..core.batches import Batch, BatchItem, Progress
from ..core.costs import By, CostRow
from ..core.events import Cancelled, Event, MediaType, Waiting
from ..core.job import Job, Turn
from ..core.messages import Message
from ..core.notices import Mute, Notice
from ..core.state import ENDS, Status
from .threads import ThreadStore


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something was committed, here or by another server on the same store."""

    # job: its state; events: only its log grew; group: it was paused, or goes on, and so has or loses a notice
    kind: Literal["job", "events", "notice", "deleted", "group"]
    owner: str
    job: str  # "" where a notice is of no single job; of kind group, the group's id
    status: Status | None = None  # the job's state; for kinds job and events
    seq: int = 0  # the log's tail
    events: tuple[bytes, ...] = ()  # what this commit appended, if it was made here and the reader keeps up

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDS


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, newest first. ``None`` means any."""

    status: str | None = None
    thread: str | None = None
    notebook: str | None = None
    group: str | None = None
    submitted_by: str | None = None
    tag: str | None = None
    ids: tuple[str, ...] | None = None
    limit: int = 50
    after: str | None = None  # the `next` of the page before


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """How much may run at a time; a claim counts what runs and takes the rest in one transaction."""

    running: int  # jobs of this server
    batch: int  # of them with the priority batch: what is left is for people who wait
    owner: int  # jobs of one owner, on all servers of this store


Span = tuple[int, int]  # of a group's jobs, in the order of arrival: after the one, up to the other


class ExpiredJob(msgspec.Struct, frozen=True, kw_only=True):
    """An ended job that may be deleted for its age or for room."""

    owner: str
    id: str
    log: str
    ended_at: float  # Unix seconds
    announced_at: float | None  # Unix seconds; when it was first said that it will be deleted unread
    bytes: int  # that it takes in the store


NO_FILES: Mapping[str, bytes] = MappingProxyType({})
IMAGE_CHUNK = 256 * 1024  # bytes of a picture's file that are read or written at a time


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in the log of a job; its file is read with ``image_chunk``."""

    owner: str
    job: str
    log: str
    id: str
    media_type: MediaType
    bytes: int  # of the file


class Store(ThreadStore, Protocol):
    """Where jobs, their logs and their notices live.

    A write is one transaction, durable when it returns; it raises UnavailableError if the store cannot be written, and
    then nothing has changed. A job of another owner is NotFoundError. Whoever comes second to an end changes nothing.
    Notices belong to the owner; what is read or dismissed belongs to a viewer ("" where nobody has a name of their
    own).

    An id may be deleted and submitted again: then it is another job, with another log. Whatever takes a Job means the
    one with its log: for a new job of the same id, a read is NotFoundError and a write is FencedError. ``previous`` is
    a job that is there and was submitted earlier: when that is deleted, those behind it inherit its own ``previous``.

    Where ``owner`` may be None, that means every owner. A server that runs and deletes jobs with one user's keys and
    settings names that user; only a worker for all users names none.

    A job with ``retry_of`` asks that ended job again, in its place in its thread, however that is called by now, and
    group; it has one successor. Jobs
    of an announced group leave no notices of their own: the group leaves one when all that were announced have ended.
    Of a group with a ``concurrency`` a server claims at most so many at a time, and a job that waits for its next try
    there holds its place: else a provider that refuses them would be asked for all the others meanwhile. Of a paused
    group none is claimed, on any server; it leaves a notice when it is paused.
    """

    kind: str  # such as sqlite
    path: Path | None  # of the file, once it is open; None if there is none
    patience: float  # seconds a write waits for a locked store; whoever lowers it lowers it for waiting writes as well

    @property
    def warnings(self) -> tuple[str, ...]: ...  # sentences for whoever looks after the server, each with what to do
    async def open(self) -> None: ...  # raises UnavailableError if it cannot be had; never falls back
    async def close(self) -> None: ...  # finishes what waits, if it can within some 2 s
    async def taken_over(self) -> None: ...  # returns once another machine has the store: it is of no more use here
    async def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]: ...  # new? ConflictError, QueueFullError
    async def claim(
        self, *, server: str, owner: str | None, room: Capacity, limit: int, at: float
    ) -> list[Job]: ...  # interactive first, then the oldest; threads in order
    async def next_due(
        self, *, server: str, owner: str | None, after: float
    ) -> float | None: ...  # when a waiting job's time comes
    async def adopt(
        self, job: Job, *, server: str, event: Waiting | None = None
    ) -> Job: ...  # put off under a new server and a new fence; FencedError
    async def freeze(
        self, job: Job, history: tuple[Message, ...], turns: tuple[Turn, ...] = ()
    ) -> Job: ...  # the conversation before it; FencedError
    async def append(
        self,
        job: Job,
        events: Sequence[Event],
        *,
        preview: str | None = None,
        resume: str | None = None,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> int: ...  # tail; None leaves both as they are, and "" forgets how to resume; one file an Image; FencedError
    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]: ...  # as it is now, whether this ended it; NotFoundError, also of another log; FencedError
    async def job(self, owner: str, job_id: str) -> Job: ...  # NotFoundError
    async def jobs(
        self, owner: str, which: JobFilter
    ) -> tuple[list[Job], str | None]: ...  # a page, without what was asked, and its next
    async def has_work(
        self, *, server: str, owner: str
    ) -> bool: ...  # whether jobs are queued or wait there that are not of a paused group
    async def counts(self, owner: str) -> dict[str, int]: ...
    async def costs(
        self, owner: str, by: By, *, since: float | None = None, until: float | None = None
    ) -> list[
        CostRow
    ]: ...  # of jobs submitted in that time, to the quarter of an hour, deleted ones too; see ledger.py
    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]: ...  # ≥ 1 if any; NotFoundError
    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage: ...  # of any attempt; NotFoundError
    async def image_chunk(
        self, image: StoredImage, chunk: int
    ) -> bytes: ...  # from 0; IMAGE_CHUNK bytes, the last one fewer; NotFoundError, also for another log
    async def delete(
        self, owner: str, job_id: str, *, log: str | None = None
    ) -> None: ...  # an ended job, its log, pictures and notice; NotFoundError, also for another log
    async def abandoned(
        self, *, owner: str | None, limit: int
    ) -> list[Job]: ...  # unfinished jobs of dead servers; `no_provider` last
    async def submit_group(
        self, group: Batch, jobs: Sequence[Job], *, max_queued: int
    ) -> Batch: ...  # all or nothing, repeatable; Conflict, QueueFullError
    async def group(self, owner: str, group_id: str) -> Batch: ...  # NotFoundError
    async def progress(self, owner: str, group_id: str) -> Progress: ...  # NotFoundError
    async def answers(
        self, owner: str, group_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> tuple[list[BatchItem], str, bool]: ...  # items changed since, in order; the next cursor; more? NotFoundError
    async def retry_group(
        self,
        owner: str,
        group_id: str,
        *,
        server: str,
        at: float,
        limit: int,
        max_queued: int,
        span: Span | None,
        submitted_by: str | None = None,  # of the new jobs
    ) -> (
        Span | None
    ): ...  # asks again what ended without a whole answer; what is left of it. NotFoundError, QueueFullError
    async def cancel_group(
        self, owner: str, group_id: str, event: Cancelled, *, limit: int
    ) -> tuple[Batch, list[Job]]: ...  # closed, and jobs this ended: none are left if fewer than limit; no notice
    async def resume_group(self, owner: str, group_id: str) -> Batch: ...  # it goes on, if it was paused; NotFoundError
    async def notices(self, owner: str, viewer: str) -> list[Notice]: ...  # newest first
    async def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None: ...  # None: all
    async def seen(
        self, owner: str, viewer: str, job_id: str, *, seq: int, at: float
    ) -> None: ...  # reads it if seq is the end
    async def dismiss(
        self, owner: str, viewer: str, notice_id: str, *, at: float
    ) -> None: ...  # and reads it; NotFoundError
    async def mutes(self, owner: str, viewer: str) -> list[Mute]: ...  # sorted
    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None: ...
    async def due_calls(
        self, owner: str, *, since: float, at: float, again: float, limit: int
    ) -> list[Notice]: ...  # nobody has read or muted them; they are due again at `again`
    async def called(
        self, owner: str, notice_id: str, *, again: float | None = None
    ) -> None: ...  # due again then, or never
    async def old(
        self, *, owner: str | None, before: float, unread: bool, limit: int
    ) -> list[
        ExpiredJob
    ]: ...  # ended and read before that, or never read; the oldest first; no thread by halves, none before its retry
    async def announce(self, jobs: Sequence[ExpiredJob], *, at: float) -> None: ...  # a second time changes nothing
    async def size(self, *, owner: str | None) -> int: ...  # bytes in use; an owner's own if there are others
    async def tidy(self) -> bool: ...  # a small step: joins rows, gives space back; whether there may be more to do
    def changes(self) -> AsyncIterator[Sequence[Change]]: ...  # every commit from here on, in order
