"""The state of an open memory store, and the base class of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
from store.model.inbox import Inbox
from store.model.state import State, StoredJob

from jupyter_bgstream.core.batches import Batch
from jupyter_bgstream.core.errors import NotFoundError, UnavailableError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.store import preconditions, transitions
from jupyter_bgstream.store.changefeed import Changefeed
from jupyter_bgstream.store.port_values import Change


class MemoryBase:
    """Opens and closes the store, and finds and changes stored jobs.

    A method runs from its first line to its last without awaiting, and so is a transaction.
    """

    kind = "memory"
    path: Path | None = None
    warnings: tuple[str, ...] = ()

    def __init__(self, *, server: str | None = None) -> None:
        self._server = server
        self._contents: State | None = None
        self.patience = 30.0  # not used: no other process writes
        self._feed = Changefeed()

    async def open(self) -> None:
        self._contents = State(Inbox(self._feed.publish))

    async def close(self) -> None:
        self._contents = None
        self._feed.close()

    async def wait_until_taken_over(self) -> None:
        await asyncio.Event().wait()  # no other machine can have it

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._feed.subscribe()

    @property
    def _state(self) -> State:
        if self._contents is None:
            raise UnavailableError("The store is not open.")
        return self._contents

    def _of(self, owner: str | None) -> Iterator[StoredJob]:
        return (stored for stored in self._state.jobs.values() if owner in (None, stored.job.owner))

    def _find(self, owner: str, job_id: str) -> StoredJob:
        try:
            return self._state.jobs[owner, job_id]
        except KeyError:
            raise preconditions.no_such_job(job_id) from None

    def _held(self, job: Job) -> StoredJob:
        try:
            stored = self._find(job.owner, job.id)
        except NotFoundError:
            raise preconditions.gone(job) from None
        preconditions.check_held(job, log=stored.job.log, fence=stored.job.fence, status=stored.job.status)
        return stored

    def _batch(self, job: Job) -> Batch | None:
        return self._state.batches.get((job.owner, job.spec.batch)) if job.spec.batch else None

    def _unfinished(self, owner: str) -> int:
        return sum(not stored.job.ended for stored in self._of(owner))

    def _last_turn(self, owner: str, thread: str) -> Job | None:
        turns = [stored.job for stored in self._of(owner) if stored.job.retry_of is None]
        last = next((turn for turn in reversed(turns) if turn.thread == thread), None)
        while last is not None and last.retried_by is not None:  # a turn is represented by its newest retry
            last = self._find(owner, last.retried_by).job
        return last

    def _insert_behind(self, job: Job) -> transitions.Transition:
        thread = job.spec.thread
        last = None if thread is None else self._last_turn(job.owner, thread)
        return self._insert(job, previous=None if last is None else last.id, thread=thread)

    def _insert(self, job: Job, *, previous: str | None, thread: str | None) -> transitions.Transition:
        step = transitions.submitted(job, previous=previous, thread=thread)
        self._state.places += 1
        self._state.jobs[job.owner, job.id] = StoredJob(place=self._state.places, job=job, log=[])
        self._take(step)
        return step

    def _link(self, asked: StoredJob, retried_by: str | None) -> None:
        asked.job = msgspec.structs.replace(asked.job, retried_by=retried_by)
        self._touch(asked)
        self._feed.publish([transitions.job_change(asked.job)])

    def _touch(self, stored: StoredJob) -> None:
        self._state.changes += 1
        stored.changed = self._state.changes

    def _take(self, *steps: transitions.Transition) -> None:
        changes = []
        for step in steps:
            stored = self._state.jobs[step.job.owner, step.job.id]
            stored.job = step.job
            stored.log.extend(step.events)
            if step.change.kind == "job":
                self._touch(stored)
            changes.append(step.change)
            if step.batch is not None:
                self._state.batches[step.job.owner, step.batch.id] = step.batch
                changes += [transitions.batch_change(step.batch)] if step.pauses else []
            if step.notice is not None:
                self._state.inbox.put(step.notice)
                changes.append(transitions.notice_change(step.notice))
        self._feed.publish(changes)
