"""The store for one process that keeps nothing: tests, and servers that were asked to forget."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from ..core.errors import NotFound, Unavailable
from ..core.events import Attempt, Event
from ..core.job import Job, Message
from ..core.notices import Notice
from . import rules
from .base import Change, JobFilter
from .feed import Feed


@dataclass
class _Kept:
    """A job and its log."""

    place: int  # in the list of all jobs, growing
    job: Job
    log: list[bytes]


@dataclass
class _Told:
    """A notice, and what each viewer did with it."""

    notice: Notice
    read: dict[str, float] = field(default_factory=dict)  # viewer: Unix seconds
    dismissed: set[str] = field(default_factory=set)  # viewers


@dataclass
class _Contents:
    """All that an open store holds; dicts keep the order of arrival."""

    jobs: dict[tuple[str, str], _Kept] = field(default_factory=dict)
    notices: dict[tuple[str, str], _Told] = field(default_factory=dict)
    places: int = 0


class MemoryStore:
    """Keeps everything in dicts until it is closed.

    A method runs from its first line to its last without awaiting, and so is a transaction. There is one process, so
    nobody is dead; with ``server`` given, jobs of any other server count as abandoned.
    """

    kind = "memory"

    def __init__(self, *, server: str | None = None) -> None:
        self._server = server
        self._contents: _Contents | None = None
        self.patience = 30.0  # never needed: nobody else writes
        self._feed = Feed()

    async def open(self) -> None:
        self._contents = _Contents()

    async def close(self) -> None:
        self._contents = None
        self._feed.close()

    async def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        here = self._here
        key = (job.owner, job.id)
        if key in here.jobs:
            existing = here.jobs[key].job
            rules.check_same_request(existing, job)
            return existing, False
        mine = list(self._of(job.owner))
        rules.check_room(sum(not kept.job.ended for kept in mine), max_queued)
        thread = job.spec.thread
        previous = next((kept.job.id for kept in reversed(mine) if thread and kept.job.spec.thread == thread), None)
        step = rules.submitted(job, previous=previous)
        here.places += 1
        here.jobs[key] = _Kept(place=here.places, job=job, log=[])
        self._take(step)
        return step.job, True

    async def claim(self, *, server: str, limit: int, attempt: Attempt) -> list[Job]:
        ready = [
            kept for kept in self._here.jobs.values() if kept.job.server == server and self._ready(kept, attempt.at)
        ]
        ready.sort(key=lambda kept: (kept.job.spec.priority != "interactive", kept.place))
        steps = [rules.claimed(kept.job, attempt) for kept in ready[:limit]]
        self._take(*steps)
        return [step.job for step in steps]

    def _ready(self, kept: _Kept, at: float) -> bool:
        job = kept.job
        due = job.status == "queued" or (
            job.status == "waiting" and job.not_before is not None and job.not_before <= at
        )
        return due and not any(
            other.job.spec.thread == job.spec.thread and other.place < kept.place and not other.job.ended
            for other in (self._of(job.owner) if job.spec.thread else ())
        )

    async def freeze(self, job: Job, history: tuple[Message, ...]) -> Job:
        kept = self._held(job)
        kept.job = msgspec.structs.replace(kept.job, history=history)
        return kept.job

    async def append(self, job: Job, events: Sequence[Event], *, preview: str | None = None) -> int:
        step = rules.appended(self._held(job).job, events, preview=preview)
        self._take(step)
        return step.job.seq

    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        job = self._find(owner, job_id).job
        step = rules.ended(job, event, fence=fence, log=log)
        if step is None:
            return job, False
        self._take(step)
        return step.job, True

    async def job(self, owner: str, job_id: str) -> Job:
        return self._find(owner, job_id).job

    async def jobs(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        before = rules.page_start(which.after)
        found = [
            kept
            for kept in reversed(list(self._of(owner)))
            if (before is None or kept.place < before) and _matches(kept.job, which)
        ]
        page = found[: which.limit]
        return [kept.job for kept in page], str(page[-1].place) if len(found) > len(page) else None

    async def counts(self, owner: str) -> dict[str, int]:
        return dict(Counter(kept.job.status for kept in self._of(owner)))

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        kept = self._find(job.owner, job.id)
        rules.check_log(job.id, job.log, kept.job.log)
        found: list[bytes] = []
        for event in kept.log[after:]:
            max_bytes -= len(event)
            if found and max_bytes < 0:
                break
            found.append(event)
        return found

    async def delete(self, owner: str, job_id: str) -> None:
        deleted = self._find(owner, job_id).job
        rules.check_deletable(deleted)
        del self._here.jobs[owner, job_id]
        for kept in self._of(owner):
            if kept.job.previous == job_id:
                kept.job = msgspec.structs.replace(kept.job, previous=deleted.previous)
        for told in self._told_of(owner, job_id):
            del self._here.notices[owner, told.notice.id]
        self._feed.publish([Change(kind="deleted", owner=owner, job=job_id)])

    async def abandoned(self) -> list[Job]:
        jobs = [kept.job for kept in self._here.jobs.values()]
        return [job for job in jobs if not job.ended and self._server not in (None, job.server)]

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        return [
            msgspec.structs.replace(told.notice, read_at=told.read.get(viewer))
            for told in reversed(self._here.notices.values())
            if told.notice.owner == owner and viewer not in told.dismissed
        ]

    async def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        told = [told for told in self._here.notices.values() if told.notice.owner == owner]
        self._read([one for one in told if ids is None or one.notice.id in ids], viewer, at)

    async def seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        job = self._find(owner, job_id).job
        if job.ended and seq >= job.seq:
            self._read(self._told_of(owner, job_id), viewer, at)

    async def dismiss(self, owner: str, viewer: str, notice_id: str) -> None:
        told = self._here.notices.get((owner, notice_id))
        if told is None or viewer in told.dismissed:
            raise rules.no_such_notice(notice_id)
        told.dismissed.add(viewer)
        self._feed.publish([Change(kind="notice", owner=owner, job=told.notice.job)])

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._feed.subscribe()

    @property
    def _here(self) -> _Contents:
        if self._contents is None:
            raise Unavailable("The store is not open.")
        return self._contents

    def _of(self, owner: str) -> Iterator[_Kept]:
        return (kept for kept in self._here.jobs.values() if kept.job.owner == owner)

    def _told_of(self, owner: str, job_id: str) -> list[_Told]:
        return [told for told in self._here.notices.values() if (told.notice.owner, told.notice.job) == (owner, job_id)]

    def _find(self, owner: str, job_id: str) -> _Kept:
        try:
            return self._here.jobs[owner, job_id]
        except KeyError:
            raise rules.no_such_job(job_id) from None

    def _held(self, job: Job) -> _Kept:
        try:
            kept = self._find(job.owner, job.id)
        except NotFound:
            raise rules.gone(job) from None
        rules.check_held(job, log=kept.job.log, fence=kept.job.fence, status=kept.job.status)
        return kept

    def _take(self, *steps: rules.Step) -> None:
        changes = []
        for step in steps:
            kept = self._here.jobs[step.job.owner, step.job.id]
            kept.job = step.job
            kept.log.extend(step.events)
            changes.append(step.change)
            if step.notice is not None:
                self._here.notices[step.notice.owner, step.notice.id] = _Told(step.notice)
                changes.append(Change(kind="notice", owner=step.job.owner, job=step.job.id))
        self._feed.publish(changes)

    def _read(self, notices: Sequence[_Told], viewer: str, at: float) -> None:
        unread = [told for told in notices if viewer not in told.read and viewer not in told.dismissed]
        for told in unread:
            told.read[viewer] = at
        self._feed.publish([Change(kind="notice", owner=told.notice.owner, job=told.notice.job) for told in unread])


def _matches(job: Job, which: JobFilter) -> bool:
    spec = job.spec
    return (
        which.status in (None, job.status)
        and which.thread in (None, spec.thread)
        and which.notebook in (None, spec.source.notebook)
        and which.group in (None, spec.group)
        and (which.tag is None or which.tag in spec.tags)
        and (which.ids is None or job.id in which.ids)
    )
