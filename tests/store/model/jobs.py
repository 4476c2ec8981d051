"""Jobs and logs of the memory store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from store.model.base import MemoryBase
from store.model.costs import summed
from store.model.state import StoredJob

from jupyter_bgstream.core.batches import Batch
from jupyter_bgstream.core.costs import By, CostRow
from jupyter_bgstream.core.errors import BgStreamError
from jupyter_bgstream.core.events import Event, Waiting
from jupyter_bgstream.core.job import Job, Turn
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store import capacity, cost_ledger, preconditions, transitions
from jupyter_bgstream.store.port_values import IMAGE_CHUNK, Append, Capacity, Change, JobFilter, StoredImage


class MemoryJobs(MemoryBase):
    """The part of ``MemoryStore`` for jobs, their logs and their costs."""

    async def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        state = self._state
        key = (job.owner, job.id)
        if key in state.jobs:
            existing = state.jobs[key].job
            preconditions.check_same_request(existing, job)
            return existing, False
        asked = None
        if job.retry_of is not None:
            asked = self._find(job.owner, job.retry_of)
            preconditions.check_retriable(asked.job)
            if asked.job.retried_by is not None:
                return self._find(job.owner, asked.job.retried_by).job, False
        preconditions.check_room(self._unfinished(job.owner), max_queued)
        batch = self._batch(job)
        if batch is not None and asked is None:
            preconditions.check_joins(batch, 1)
            state.batches[job.owner, batch.id] = batch.joined(1)
        elif batch is not None and asked is not None:
            state.batches[job.owner, batch.id] = batch.reopened(asked.job.status)
            if state.inbox.forget_batch(job.owner, batch.id):  # it is out of date
                self._feed.publish([Change(kind="notice", owner=job.owner, subject="")])
            if batch.paused is not None:
                self._feed.publish([transitions.batch_change(batch)])
        if asked is None:
            return self._insert_behind(job).job, True
        job = msgspec.structs.replace(job, root=asked.job.root or asked.job.id)
        step = self._insert(job, previous=asked.job.previous, thread=asked.job.thread)
        self._link(asked, job.id)
        return step.job, True

    async def claim(self, *, server: str, owner: str | None, room: Capacity, limit: int, at: float) -> list[Job]:
        running = [stored.job for stored in self._state.jobs.values() if stored.job.status == "running"]
        here = [job for job in running if job.server == server]
        load = capacity.RunningCounts(
            here=len(here),
            bulk=sum(job.spec.is_bulk for job in here),
            owners=Counter(job.owner for job in running),
            lanes=self._lanes(server),
        )
        mine = [stored for stored in self._of(owner) if stored.job.server == server and self._ready(stored, at)]
        mine.sort(key=lambda stored: (stored.job.spec.is_bulk, stored.place))
        chosen = [
            stored.job
            for stored in capacity.chosen(
                mine,
                self._kind,
                load=load,
                room=room,
                limit=limit,
            )
        ]
        for batch in filter(None, map(self._batch, chosen)):
            self._state.batches[batch.owner, batch.id] = batch.begun(at)
        steps = [transitions.claimed(job, at=at) for job in chosen]
        self._take(*steps)
        return [step.job for step in steps]

    def _lanes(self, server: str) -> dict[tuple[str, str], capacity.BatchSlot]:
        lanes = {
            key: capacity.BatchSlot(limit=batch.limit, running=0, waiting=0)
            for key, batch in self._state.batches.items()
            if batch.limit is not None
        }
        for stored in self._state.jobs.values() if lanes else ():
            lane = lanes.get((stored.job.owner, stored.job.spec.batch or ""))
            if lane is not None and stored.job.server == server:
                lane.running += stored.job.status == "running"
                lane.waiting += stored.job.status == "waiting"
        return lanes

    def _kind(self, stored: StoredJob) -> capacity.ReadyJob:
        job, batch = stored.job, self._batch(stored.job)
        return capacity.ReadyJob(
            owner=job.owner,
            is_bulk=job.spec.is_bulk,
            batch="" if batch is None else batch.id,
            waits=job.status == "waiting",
        )

    async def next_due(self, *, server: str, owner: str | None, after: float) -> float | None:
        jobs = (stored.job for stored in self._of(owner) if stored.job.server == server)
        return min(
            (job.not_before for job in jobs if job.not_before is not None and job.not_before > after), default=None
        )

    def _ready(self, stored: StoredJob, at: float) -> bool:
        job = stored.job
        due = job.status == "queued" or (
            job.status == "waiting"
            and job.not_before is not None
            and not at < job.not_before <= at + transitions.FARTHEST
        )
        return due and not any(
            other.job.thread == job.thread and other.place < stored.place and not other.job.ended
            for other in (self._of(job.owner) if job.thread else ())
        )

    async def has_work(self, *, server: str, owner: str) -> bool:
        jobs = [stored.job for stored in self._of(owner) if stored.job.server == server]
        batches = (self._batch(job) for job in jobs if job.status in ("queued", "waiting"))
        return any(batch is None or batch.paused is None for batch in batches)

    async def adopt(self, job: Job, *, server: str, event: Waiting | None = None) -> Job:
        step = transitions.adopted(self._held(job).job, server=server, event=event)
        self._take(step)
        return step.job

    async def set_history(self, job: Job, history: tuple[Message, ...], turns: tuple[Turn, ...] = ()) -> Job:
        stored = self._held(job)
        stored.job = msgspec.structs.replace(stored.job, history=history, turns=turns)
        return stored.job

    async def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        return [transitions.outcome_of(self._append, append) for append in appends]

    def _append(self, append: Append) -> int:
        images = preconditions.check_files(append.events, append.files)
        stored = self._held(append.job)
        step = transitions.appended(stored.job, append)
        for image in images:
            if image.id in stored.images:
                raise preconditions.image_is_there(image.id)
        stored.images |= {image.id: (image.media_type, append.files[image.id]) for image in images}
        self._take(step)
        return step.job.seq

    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        job = self._find(owner, job_id).job
        step = transitions.ended(job, event, fence=fence, log=log, batch=self._batch(job))
        if step is None:
            return job, False
        self._take(step)
        return step.job, True

    async def job(self, owner: str, job_id: str) -> Job:
        return self._find(owner, job_id).job

    async def jobs(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        before = preconditions.page_start(which.after)
        found = [
            stored
            for stored in reversed(list(self._of(owner)))
            if (before is None or stored.place < before) and _matches(stored.job, which)
        ]
        page = found[: which.limit]
        after = str(page[-1].place) if len(found) > len(page) else None
        return [transitions.listed(stored.job) for stored in page], after

    async def counts(self, owner: str) -> dict[str, int]:
        return dict(Counter(stored.job.status for stored in self._of(owner)))

    async def costs(
        self, owner: str, by: By, *, since: float | None = None, until: float | None = None
    ) -> list[CostRow]:
        here = (cost_ledger.entry_of(stored.job) for stored in self._of(owner))
        entries = [*filter(None, here), *self._state.ledger.get(owner, ())]
        return summed(entries, by=by, since=since, until=until)

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        stored = self._find(job.owner, job.id)
        preconditions.check_log(job.id, job.log, stored.job.log)
        found: list[bytes] = []
        for event in stored.log[after:]:
            max_bytes -= len(event)
            if found and max_bytes < 0:
                break
            found.append(event)
        return found

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        stored = self._state.jobs.get((owner, job_id))
        if stored is None or image_id not in stored.images:
            raise preconditions.no_such_image(image_id)
        media_type, file = stored.images[image_id]
        return StoredImage(
            owner=owner, job=job_id, log=stored.job.log, id=image_id, media_type=media_type, bytes=len(file)
        )

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        stored = self._state.jobs.get((image.owner, image.job))
        data = b""
        if stored is not None and stored.job.log == image.log and image.id in stored.images and chunk >= 0:
            data = stored.images[image.id][1][chunk * IMAGE_CHUNK : (chunk + 1) * IMAGE_CHUNK]
        if not data:
            raise preconditions.no_such_image(image.id)
        return data

    async def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        deleted = self._find(owner, job_id).job
        preconditions.check_deletable(deleted, log=log)
        del self._state.jobs[owner, job_id]
        if (spent := cost_ledger.entry_of(deleted)) is not None:
            self._state.ledger.setdefault(owner, []).append(cost_ledger.nameless(spent))
        for stored in self._of(owner):
            if stored.job.previous == job_id:
                stored.job = msgspec.structs.replace(stored.job, previous=deleted.previous)
        self._touch_fork(deleted)
        self._forget_in_chain(deleted)
        self._forget_empty(self._batch(deleted))
        self._state.inbox.forget_job(owner, job_id)
        self._feed.publish([Change(kind="deleted", owner=owner, subject=job_id)])

    def _touch_fork(self, deleted: Job) -> None:
        key = (deleted.owner, deleted.thread or "")
        if key in self._state.forks:
            place, fork = self._state.forks[key]
            touched = max(fork.touched_at, deleted.ended_at or 0.0)
            self._state.forks[key] = (place, msgspec.structs.replace(fork, touched_at=touched))

    def _forget_in_chain(self, deleted: Job) -> None:
        # Close the gap in the chain of retries. Without its newest job, the one before represents the chain again.
        asked = self._state.jobs.get((deleted.owner, deleted.retry_of or ""))
        newer = self._state.jobs.get((deleted.owner, deleted.retried_by or ""))
        if newer is not None:
            newer.job = msgspec.structs.replace(newer.job, retry_of=deleted.retry_of)
        if asked is None:
            return
        self._link(asked, deleted.retried_by)
        if newer is None and (batch := self._batch(deleted)) is not None:
            self._state.batches[batch.owner, batch.id] = batch.recounted(deleted.status, asked.job.status)

    def _forget_empty(self, batch: Batch | None) -> None:
        if batch is None or batch.ended_at is None:
            return
        if not any(stored.job.spec.batch == batch.id for stored in self._of(batch.owner)):
            del self._state.batches[batch.owner, batch.id]
            self._state.inbox.forget_batch(batch.owner, batch.id)

    async def abandoned_jobs(self, *, owner: str | None, limit: int) -> list[Job]:
        jobs = [stored.job for stored in self._of(owner)]
        found = [job for job in jobs if not job.ended and self._server not in (None, job.server)]
        found.sort(key=lambda job: job.error is not None and job.error.code == "no_provider")
        return found[:limit]


def _matches(job: Job, which: JobFilter) -> bool:
    spec = job.spec
    return (
        which.status in (None, job.status)
        and which.thread in (None, job.thread)
        and which.notebook in (None, spec.source.notebook)
        and which.batch in (None, spec.batch)
        and which.submitted_by in (None, job.submitted_by)
        and (which.tag is None or which.tag in spec.tags)
        and (which.ids is None or job.id in which.ids)
    )
