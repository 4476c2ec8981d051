"""Batches of the memory store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from store.model.jobs import MemoryJobs
from store.model.state import StoredJob

from jupyter_bgstream.core.batches import Batch, BatchItem, Progress
from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store import preconditions, transitions
from jupyter_bgstream.store.port_values import JobRange

UNANSWERED = ("failed", "cancelled", "interrupted")  # statuses without a whole answer


class MemoryBatches(MemoryJobs):
    """The part of ``MemoryStore`` for batches."""

    async def submit_batch(self, batch: Batch, jobs: Sequence[Job], *, max_queued: int) -> Batch:
        state = self._state
        existing = state.batches.get((batch.owner, batch.id))
        if existing is None:
            preconditions.check_unused(batch, used=bool(self._in_batch(batch.owner, batch.id)))
        else:
            preconditions.check_same_batch(existing, batch)
            batch = existing.announced(batch.spec)
        new: dict[str, Job] = {}
        for job in jobs:
            there = state.jobs.get((job.owner, job.id))
            known = there.job if there is not None else new.setdefault(job.id, job)
            preconditions.check_member(batch, known, job)
        preconditions.check_joins(batch, len(new))
        if new:
            preconditions.check_room(self._unfinished(batch.owner) + len(new) - 1, max_queued)
        batch = state.batches[batch.owner, batch.id] = batch.joined(len(new))
        for job in new.values():
            self._insert_behind(job)
        return batch

    async def batch(self, owner: str, batch_id: str) -> Batch:
        try:
            return self._state.batches[owner, batch_id]
        except KeyError:
            raise preconditions.no_such_batch(batch_id) from None

    async def progress(self, owner: str, batch_id: str) -> Progress:
        batch = await self.batch(owner, batch_id)
        states = Counter(stored.job.status for stored in self._in_batch(owner, batch_id))
        return Progress(batch=batch, running=states["running"], waiting=states["waiting"])

    async def answers(
        self, owner: str, batch_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> tuple[list[BatchItem], str, bool]:
        await self.batch(owner, batch_id)
        behind = preconditions.places_start(after)
        items = [stored for stored in self._in_batch(owner, batch_id) if stored.job.retried_by is None]
        changed = sorted((item.changed, item.place, item) for item in items if (item.changed, item.place) > behind)
        found: list[BatchItem] = []
        for change, place, item in changed[:limit]:
            answer = fold(decode_events(item.log)) if item.job.ended else None
            max_bytes -= len(answer.text) if answer is not None else 0
            if found and max_bytes < 0:
                break
            found.append(BatchItem.by(transitions.listed(item.job), answer))
            behind = change, place
        return found, f"{behind[0]}_{behind[1]}", len(found) < len(changed)

    async def retry_batch(
        self,
        owner: str,
        batch_id: str,
        *,
        server: str,
        at: float,
        limit: int,
        max_queued: int,
        span: JobRange | None,
        submitted_by: str | None = None,
    ) -> JobRange | None:
        await self.batch(owner, batch_id)
        after, upto = span or (0, self._state.places)
        asked = [
            stored
            for stored in self._in_batch(owner, batch_id)
            if after < stored.place <= upto and stored.job.status in UNANSWERED and stored.job.retried_by is None
        ]
        for stored in asked[:limit]:
            again = transitions.again(stored.job, server=server, at=at, submitted_by=submitted_by)
            await self.submit(again, max_queued=max_queued)
        return (asked[limit - 1].place, upto) if len(asked) > limit else None

    async def cancel_batch(self, owner: str, batch_id: str, event: Cancelled, *, limit: int) -> tuple[Batch, list[Job]]:
        batch = (await self.resume_batch(owner, batch_id)).closed(event.at)
        self._state.batches[owner, batch_id] = batch
        jobs = [stored.job for stored in self._in_batch(owner, batch_id) if not stored.job.ended]
        cancelled = []
        for job in jobs[:limit]:
            step = transitions.ended(job, event, fence=None, log=None, batch=self._batch(job))
            assert step is not None  # it has not ended
            self._take(msgspec.structs.replace(step, notice=None))
            cancelled.append(step.job)
        return self._state.batches[owner, batch_id], cancelled

    async def resume_batch(self, owner: str, batch_id: str) -> Batch:
        batch = await self.batch(owner, batch_id)
        if batch.paused is not None:
            batch = self._state.batches[owner, batch_id] = batch.resumed()
            self._state.inbox.forget_batch(owner, batch_id)
            self._feed.publish([transitions.batch_change(batch)])
        return batch

    def _in_batch(self, owner: str, batch_id: str) -> list[StoredJob]:
        return [stored for stored in self._of(owner) if stored.job.spec.batch == batch_id]
