"""The store for one process that keeps nothing: tests, and servers that were asked to forget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..core.batches import Batch, BatchItem, Progress
from ..core.codec import decode_events
from ..core.costs import By, CostRow
from ..core.errors import NotFoundError, UnavailableError
from ..core.events import Cancelled, Event, Waiting
from ..core.job import Job, Turn
from ..core.messages import Message
from ..core.notices import Mute, Notice
from ..core.state import fold
from . import transitions, usage_ledger
from .base import IMAGE_CHUNK, NO_FILES, Capacity, Change, ExpiredJob, JobFilter, Span, StoredImage
from .changefeed import Changefeed
from .memory_contents import State, StoredJob
from .memory_inbox import MemoryInbox
from .memory_threads import ThreadsInMemory


class MemoryStore(ThreadsInMemory):
    """Keeps everything in dicts until it is closed.

    A method runs from its first line to its last without awaiting, and so is a transaction. There is one process, so
    nobody is dead; with ``server`` given, jobs of any other server count as abandoned.
    """

    kind = "memory"
    path: Path | None = None
    warnings: tuple[str, ...] = ()

    def __init__(self, *, server: str | None = None) -> None:
        self._server = server
        self._contents: State | None = None
        self.patience = 30.0  # never needed: nobody else writes
        self._feed = Changefeed()

    async def open(self) -> None:
        self._contents = State(MemoryInbox(self._feed.publish))

    async def close(self) -> None:
        self._contents = None
        self._feed.close()

    async def taken_over(self) -> None:
        await asyncio.Event().wait()  # nobody else can have it

    async def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        here = self._here
        key = (job.owner, job.id)
        if key in here.jobs:
            existing = here.jobs[key].job
            transitions.check_same_request(existing, job)
            return existing, False
        asked = None
        if job.retry_of is not None:
            asked = self._find(job.owner, job.retry_of)
            transitions.check_retriable(asked.job)
            if asked.job.retried_by is not None:
                return self._find(job.owner, asked.job.retried_by).job, False
        transitions.check_room(self._unfinished(job.owner), max_queued)
        group = self._group(job)
        if group is not None and asked is None:
            transitions.check_joins(group, 1)
            here.groups[job.owner, group.id] = group.joined(1)
        elif group is not None and asked is not None:
            here.groups[job.owner, group.id] = group.reopened(asked.job.status)
            if here.inbox.forget_group(job.owner, group.id):  # what it says is no longer so
                self._feed.publish([Change(kind="notice", owner=job.owner, job="")])
            if group.paused is not None:
                self._feed.publish([transitions.state_of_group(group)])
        if asked is None:
            return self._insert_behind(job).job, True
        job = msgspec.structs.replace(job, root=asked.job.root or asked.job.id)
        step = self._insert(job, previous=asked.job.previous, thread=asked.job.thread)
        self._link(asked, job.id)
        return step.job, True

    def _link(self, asked: StoredJob, retried_by: str | None) -> None:
        asked.job = msgspec.structs.replace(asked.job, retried_by=retried_by)
        self._touch(asked)
        self._feed.publish([transitions.state_of(asked.job)])

    def _touch(self, kept: StoredJob) -> None:
        self._here.changes += 1
        kept.changed = self._here.changes

    def _insert_behind(self, job: Job) -> transitions.Transition:
        thread = job.spec.thread
        last = None if thread is None else self._last_turn(job.owner, thread)
        return self._insert(job, previous=None if last is None else last.id, thread=thread)

    def _insert(self, job: Job, *, previous: str | None, thread: str | None) -> transitions.Transition:
        step = transitions.submitted(job, previous=previous, thread=thread)
        self._here.places += 1
        self._here.jobs[job.owner, job.id] = StoredJob(place=self._here.places, job=job, log=[])
        self._take(step)
        return step

    def _unfinished(self, owner: str) -> int:
        return sum(not kept.job.ended for kept in self._of(owner))

    def _group(self, job: Job) -> Batch | None:
        return self._here.groups.get((job.owner, job.spec.group)) if job.spec.group else None

    async def claim(self, *, server: str, owner: str | None, room: Capacity, limit: int, at: float) -> list[Job]:
        running = [kept.job for kept in self._here.jobs.values() if kept.job.status == "running"]
        here = [job for job in running if job.server == server]
        load = transitions.RunningCounts(
            here=len(here),
            batch=sum(job.spec.priority == "batch" for job in here),
            owners=Counter(job.owner for job in running),
            lanes=self._lanes(server),
        )
        mine = [kept for kept in self._of(owner) if kept.job.server == server and self._ready(kept, at)]
        mine.sort(key=lambda kept: (kept.job.spec.priority == "batch", kept.place))
        chosen = [
            kept.job
            for kept in transitions.chosen(
                mine,
                self._kind,
                load=load,
                room=room,
                limit=limit,
            )
        ]
        for group in filter(None, map(self._group, chosen)):
            self._here.groups[group.owner, group.id] = group.begun(at)
        steps = [transitions.claimed(job, at=at) for job in chosen]
        self._take(*steps)
        return [step.job for step in steps]

    def _lanes(self, server: str) -> dict[tuple[str, str], transitions.BatchSlot]:
        lanes = {
            key: transitions.BatchSlot(limit=group.limit, running=0, waiting=0)
            for key, group in self._here.groups.items()
            if group.limit is not None
        }
        for kept in self._here.jobs.values() if lanes else ():
            lane = lanes.get((kept.job.owner, kept.job.spec.group or ""))
            if lane is not None and kept.job.server == server:
                lane.running += kept.job.status == "running"
                lane.waiting += kept.job.status == "waiting"
        return lanes

    def _kind(self, kept: StoredJob) -> transitions.ReadyJob:
        job, group = kept.job, self._group(kept.job)
        return transitions.ReadyJob(
            owner=job.owner,
            batch=job.spec.priority == "batch",
            group="" if group is None else group.id,
            waits=job.status == "waiting",
        )

    async def next_due(self, *, server: str, owner: str | None, after: float) -> float | None:
        jobs = (kept.job for kept in self._of(owner) if kept.job.server == server)
        return min(
            (job.not_before for job in jobs if job.not_before is not None and job.not_before > after), default=None
        )

    async def adopt(self, job: Job, *, server: str, event: Waiting | None = None) -> Job:
        step = transitions.adopted(self._held(job).job, server=server, event=event)
        self._take(step)
        return step.job

    def _ready(self, kept: StoredJob, at: float) -> bool:
        job = kept.job
        due = job.status == "queued" or (
            job.status == "waiting"
            and job.not_before is not None
            and not at < job.not_before <= at + transitions.FARTHEST
        )
        return due and not any(
            other.job.thread == job.thread and other.place < kept.place and not other.job.ended
            for other in (self._of(job.owner) if job.thread else ())
        )

    async def freeze(self, job: Job, history: tuple[Message, ...], turns: tuple[Turn, ...] = ()) -> Job:
        kept = self._held(job)
        kept.job = msgspec.structs.replace(kept.job, history=history, turns=turns)
        return kept.job

    async def append(
        self,
        job: Job,
        events: Sequence[Event],
        *,
        preview: str | None = None,
        resume: str | None = None,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> int:
        images = transitions.check_files(events, files)
        kept = self._held(job)
        step = transitions.appended(kept.job, events, preview=preview, resume=resume)
        for image in images:
            if image.id in kept.images:
                raise transitions.image_is_there(image.id)
        kept.images |= {image.id: (image.media_type, files[image.id]) for image in images}
        self._take(step)
        return step.job.seq

    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        job = self._find(owner, job_id).job
        step = transitions.ended(job, event, fence=fence, log=log, group=self._group(job))
        if step is None:
            return job, False
        self._take(step)
        return step.job, True

    async def job(self, owner: str, job_id: str) -> Job:
        return self._find(owner, job_id).job

    async def jobs(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        before = transitions.page_start(which.after)
        found = [
            kept
            for kept in reversed(list(self._of(owner)))
            if (before is None or kept.place < before) and _matches(kept.job, which)
        ]
        page = found[: which.limit]
        return [transitions.listed(kept.job) for kept in page], str(page[-1].place) if len(found) > len(page) else None

    async def has_work(self, *, server: str, owner: str) -> bool:
        jobs = [kept.job for kept in self._of(owner) if kept.job.server == server]
        groups = (self._group(job) for job in jobs if job.status in ("queued", "waiting"))
        return any(group is None or group.paused is None for group in groups)

    async def counts(self, owner: str) -> dict[str, int]:
        return dict(Counter(kept.job.status for kept in self._of(owner)))

    async def costs(
        self, owner: str, by: By, *, since: float | None = None, until: float | None = None
    ) -> list[CostRow]:
        here = (usage_ledger.entry_of(kept.job) for kept in self._of(owner))
        entries = [*filter(None, here), *self._here.ledger.get(owner, ())]
        return usage_ledger.summed(entries, by=by, since=since, until=until)

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        kept = self._find(job.owner, job.id)
        transitions.check_log(job.id, job.log, kept.job.log)
        found: list[bytes] = []
        for event in kept.log[after:]:
            max_bytes -= len(event)
            if found and max_bytes < 0:
                break
            found.append(event)
        return found

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        kept = self._here.jobs.get((owner, job_id))
        if kept is None or image_id not in kept.images:
            raise transitions.no_such_image(image_id)
        media_type, file = kept.images[image_id]
        return StoredImage(
            owner=owner, job=job_id, log=kept.job.log, id=image_id, media_type=media_type, bytes=len(file)
        )

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        kept = self._here.jobs.get((image.owner, image.job))
        data = b""
        if kept is not None and kept.job.log == image.log and image.id in kept.images and chunk >= 0:
            data = kept.images[image.id][1][chunk * IMAGE_CHUNK : (chunk + 1) * IMAGE_CHUNK]
        if not data:
            raise transitions.no_such_image(image.id)
        return data

    async def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        deleted = self._find(owner, job_id).job
        transitions.check_deletable(deleted, log=log)
        del self._here.jobs[owner, job_id]
        if (spent := usage_ledger.entry_of(deleted)) is not None:
            self._here.ledger.setdefault(owner, []).append(usage_ledger.nameless(spent))
        for kept in self._of(owner):
            if kept.job.previous == job_id:
                kept.job = msgspec.structs.replace(kept.job, previous=deleted.previous)
        self._touch_fork(deleted)
        self._forget_in_chain(deleted)
        self._forget_empty(self._group(deleted))
        self._here.inbox.forget_job(owner, job_id)
        self._feed.publish([Change(kind="deleted", owner=owner, job=job_id)])

    def _forget_in_chain(self, deleted: Job) -> None:
        # The chain of retries closes its gap. If its newest job goes, the one before it stands for all of it again.
        asked = self._here.jobs.get((deleted.owner, deleted.retry_of or ""))
        newer = self._here.jobs.get((deleted.owner, deleted.retried_by or ""))
        if newer is not None:
            newer.job = msgspec.structs.replace(newer.job, retry_of=deleted.retry_of)
        if asked is None:
            return
        self._link(asked, deleted.retried_by)
        if newer is None and (group := self._group(deleted)) is not None:
            self._here.groups[group.owner, group.id] = group.recounted(deleted.status, asked.job.status)

    def _forget_empty(self, group: Batch | None) -> None:
        if group is None or group.ended_at is None:
            return
        if not any(kept.job.spec.group == group.id for kept in self._of(group.owner)):
            del self._here.groups[group.owner, group.id]
            self._here.inbox.forget_group(group.owner, group.id)

    async def abandoned(self, *, owner: str | None, limit: int) -> list[Job]:
        jobs = [kept.job for kept in self._of(owner)]
        found = [job for job in jobs if not job.ended and self._server not in (None, job.server)]
        found.sort(key=lambda job: job.error is not None and job.error.code == "no_provider")
        return found[:limit]

    async def submit_group(self, group: Batch, jobs: Sequence[Job], *, max_queued: int) -> Batch:
        here = self._here
        existing = here.groups.get((group.owner, group.id))
        if existing is None:
            transitions.check_unused(group, used=any(kept.job.spec.group == group.id for kept in self._of(group.owner)))
        else:
            transitions.check_same_group(existing, group)
            group = existing.announced(group.spec)
        new: dict[str, Job] = {}
        for job in jobs:
            there = here.jobs.get((job.owner, job.id))
            known = there.job if there is not None else new.setdefault(job.id, job)
            transitions.check_member(group, known, job)
        transitions.check_joins(group, len(new))
        if new:
            transitions.check_room(self._unfinished(group.owner) + len(new) - 1, max_queued)
        group = here.groups[group.owner, group.id] = group.joined(len(new))
        for job in new.values():
            self._insert_behind(job)
        return group

    async def group(self, owner: str, group_id: str) -> Batch:
        try:
            return self._here.groups[owner, group_id]
        except KeyError:
            raise transitions.no_such_group(group_id) from None

    async def progress(self, owner: str, group_id: str) -> Progress:
        group = await self.group(owner, group_id)
        states = Counter(kept.job.status for kept in self._of(owner) if kept.job.spec.group == group_id)
        return Progress(group=group, running=states["running"], waiting=states["waiting"])

    async def answers(
        self, owner: str, group_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> tuple[list[BatchItem], str, bool]:
        await self.group(owner, group_id)
        behind = transitions.places_start(after)
        kept = [kept for kept in self._of(owner) if kept.job.spec.group == group_id and kept.job.retried_by is None]
        changed = sorted((each.changed, each.place, each) for each in kept if (each.changed, each.place) > behind)
        found: list[BatchItem] = []
        for change, place, each in changed[:limit]:
            answer = fold(decode_events(each.log)) if each.job.ended else None
            max_bytes -= len(answer.text) if answer is not None else 0
            if found and max_bytes < 0:
                break
            found.append(BatchItem.by(transitions.listed(each.job), answer))
            behind = change, place
        return found, f"{behind[0]}_{behind[1]}", len(found) < len(changed)

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
        submitted_by: str | None = None,
    ) -> Span | None:
        await self.group(owner, group_id)
        after, upto = span or (0, self._here.places)
        asked = [
            kept
            for kept in self._of(owner)
            if after < kept.place <= upto
            and kept.job.spec.group == group_id
            and kept.job.status in transitions.UNANSWERED
            and kept.job.retried_by is None
        ]
        for kept in asked[:limit]:
            again = transitions.again(kept.job, server=server, at=at, submitted_by=submitted_by)
            await self.submit(again, max_queued=max_queued)
        return (asked[limit - 1].place, upto) if len(asked) > limit else None

    async def cancel_group(self, owner: str, group_id: str, event: Cancelled, *, limit: int) -> tuple[Batch, list[Job]]:
        group = (await self.resume_group(owner, group_id)).closed(event.at)
        self._here.groups[owner, group_id] = group
        jobs = [kept.job for kept in self._of(owner) if kept.job.spec.group == group_id and not kept.job.ended]
        cancelled = []
        for job in jobs[:limit]:
            step = transitions.ended(job, event, fence=None, log=None, group=self._group(job))
            assert step is not None  # it has not ended
            self._take(msgspec.structs.replace(step, notice=None))
            cancelled.append(step.job)
        return self._here.groups[owner, group_id], cancelled

    async def resume_group(self, owner: str, group_id: str) -> Batch:
        group = await self.group(owner, group_id)
        if group.paused is not None:
            group = self._here.groups[owner, group_id] = group.resumed()
            self._here.inbox.forget_group(owner, group_id)
            self._feed.publish([transitions.state_of_group(group)])
        return group

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        return self._here.inbox.shown(owner, viewer)

    async def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        self._here.inbox.read(owner, viewer, ids=ids, at=at)

    async def seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        job = self._find(owner, job_id).job
        if job.ended and seq >= job.seq:
            inbox = self._here.inbox
            inbox.mark(inbox.of_job(owner, job_id), viewer, at)

    async def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        self._here.inbox.dismiss(owner, viewer, notice_id, at=at)

    async def mutes(self, owner: str, viewer: str) -> list[Mute]:
        return self._here.inbox.mutes(owner, viewer)

    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        self._here.inbox.mute(owner, viewer, mute, on=on)

    async def due_calls(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        return self._here.inbox.due_calls(owner, since=since, at=at, again=again, limit=limit)

    async def called(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        self._here.inbox.called(owner, notice_id, again=again)

    async def old(self, *, owner: str | None, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
        jobs = [kept.job for kept in self._of(owner)]
        unread_jobs = {(job.owner, job.id) for job in jobs if self._is_unread(job)}
        staying = [
            job
            for job in jobs
            if job.ended_at is None
            or job.ended_at >= before
            or self._was_read(job, since=before)
            or (not unread and (job.owner, job.id) in unread_jobs)
        ]
        ids = {(job.owner, job.id) for job in staying}
        threads = {(job.owner, job.thread) for job in staying if job.thread}
        found = [
            (job.ended_at, kept)
            for kept in self._of(owner)
            if (job := kept.job).ended_at is not None
            and (not unread or (job.owner, job.id) in unread_jobs)
            and (job.owner, job.thread) not in threads
            and not any((later.owner, later.id) in ids for later in self._successors(job))
        ]
        found.sort(key=lambda item: item[0])
        return [
            ExpiredJob(
                owner=kept.job.owner,
                id=kept.job.id,
                log=kept.job.log,
                ended_at=ended_at,
                announced_at=kept.announced_at,
                bytes=kept.bytes,
            )
            for ended_at, kept in found[:limit]
        ]

    def _is_unread(self, job: Job) -> bool:
        group = self._group(job)
        if group is not None and group.ended_at is None:  # its notice is still to come
            return True
        return any(not told.read for told in self._here.inbox.about(job))

    def _was_read(self, job: Job, *, since: float) -> bool:
        return any(at >= since for told in self._here.inbox.about(job) for at in told.read.values())

    def _successors(self, job: Job | None) -> Iterator[Job]:
        # The job itself, and what it was asked again as.
        while job is not None:
            yield job
            job = self._find(job.owner, job.retried_by).job if job.retried_by else None

    async def announce(self, jobs: Sequence[ExpiredJob], *, at: float) -> None:
        for job in jobs:
            kept = self._here.jobs.get((job.owner, job.id))
            if kept is not None and kept.job.log == job.log and kept.announced_at is None:
                kept.announced_at = at

    async def size(self, *, owner: str | None) -> int:
        return sum(kept.bytes for kept in self._of(owner))

    async def tidy(self) -> bool:
        return False

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._feed.subscribe()

    @property
    def _here(self) -> State:
        if self._contents is None:
            raise UnavailableError("The store is not open.")
        return self._contents

    def _of(self, owner: str | None) -> Iterator[StoredJob]:
        return (kept for kept in self._here.jobs.values() if owner in (None, kept.job.owner))

    def _find(self, owner: str, job_id: str) -> StoredJob:
        try:
            return self._here.jobs[owner, job_id]
        except KeyError:
            raise transitions.no_such_job(job_id) from None

    def _held(self, job: Job) -> StoredJob:
        try:
            kept = self._find(job.owner, job.id)
        except NotFoundError:
            raise transitions.gone(job) from None
        transitions.check_held(job, log=kept.job.log, fence=kept.job.fence, status=kept.job.status)
        return kept

    def _take(self, *steps: transitions.Transition) -> None:
        changes = []
        for step in steps:
            kept = self._here.jobs[step.job.owner, step.job.id]
            kept.job = step.job
            kept.log.extend(step.events)
            if step.change.kind == "job":
                self._touch(kept)
            changes.append(step.change)
            if step.group is not None:
                self._here.groups[step.job.owner, step.group.id] = step.group
                changes += [transitions.state_of_group(step.group)] if step.pauses else []
            if step.notice is not None:
                self._here.inbox.put(step.notice)
                changes.append(transitions.told(step.notice))
        self._feed.publish(changes)


def _matches(job: Job, which: JobFilter) -> bool:
    spec = job.spec
    return (
        which.status in (None, job.status)
        and which.thread in (None, job.thread)
        and which.notebook in (None, spec.source.notebook)
        and which.group in (None, spec.group)
        and which.submitted_by in (None, job.submitted_by)
        and (which.tag is None or which.tag in spec.tags)
        and (which.ids is None or job.id in which.ids)
    )
