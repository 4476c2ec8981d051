"""Retention of the memory store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from store.model.base import MemoryBase

from jupyter_bgstream.core.job import Job
from jupyter_bgstream.store.port_values import ExpiredJob


class MemoryMaintenance(MemoryBase):
    """The part of ``MemoryStore`` for retention."""

    async def expired_jobs(self, *, owner: str | None, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
        jobs = [stored.job for stored in self._of(owner)]
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
            (job.ended_at, stored)
            for stored in self._of(owner)
            if (job := stored.job).ended_at is not None
            and (not unread or (job.owner, job.id) in unread_jobs)
            and (job.owner, job.thread) not in threads
            and not any((later.owner, later.id) in ids for later in self._successors(job))
        ]
        found.sort(key=lambda item: item[0])
        return [
            ExpiredJob(
                owner=stored.job.owner,
                id=stored.job.id,
                log=stored.job.log,
                ended_at=ended_at,
                announced_at=stored.announced_at,
                bytes=stored.bytes,
            )
            for ended_at, stored in found[:limit]
        ]

    def _is_unread(self, job: Job) -> bool:
        batch = self._batch(job)
        if batch is not None and batch.ended_at is None:  # its notice is still to come
            return True
        return any(not notice.read for notice in self._state.inbox.about(job))

    def _was_read(self, job: Job, *, since: float) -> bool:
        return any(at >= since for notice in self._state.inbox.about(job) for at in notice.read.values())

    def _successors(self, job: Job | None) -> Iterator[Job]:
        # The job and its retries.
        while job is not None:
            yield job
            job = self._find(job.owner, job.retried_by).job if job.retried_by else None

    async def mark_announced(self, jobs: Sequence[ExpiredJob], *, at: float) -> None:
        for job in jobs:
            stored = self._state.jobs.get((job.owner, job.id))
            if stored is not None and stored.job.log == job.log and stored.announced_at is None:
                stored.announced_at = at

    async def size(self, *, owner: str | None) -> int:
        return sum(stored.bytes for stored in self._of(owner))

    async def compact(self) -> bool:
        return False
