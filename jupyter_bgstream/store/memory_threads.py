"""Threads of the store that keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..core.events import Cancelled, Event
from ..core.job import Job
from ..core.threads import Fork, Thread
from . import transitions
from .base import Change
from .changefeed import Changefeed
from .memory_contents import State, StoredJob
from .threads import check_free, no_such_thread, thread_of


class ThreadsInMemory:
    """The part of ``MemoryStore`` that is about threads."""

    _feed: Changefeed

    @property
    def _here(self) -> State:
        raise NotImplementedError

    def _of(self, owner: str) -> Iterator[StoredJob]:
        raise NotImplementedError

    def _find(self, owner: str, job_id: str) -> StoredJob:
        raise NotImplementedError

    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        raise NotImplementedError

    async def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        raise NotImplementedError

    def _last_turn(self, owner: str, thread: str) -> Job | None:
        turns = [kept.job for kept in self._of(owner) if kept.job.retry_of is None]
        last = next((turn for turn in reversed(turns) if turn.thread == thread), None)
        while last is not None and last.retried_by is not None:  # a turn's newest retry stands for it
            last = self._find(owner, last.retried_by).job
        return last

    async def threads(self, owner: str, *, limit: int, after: str | None = None) -> tuple[list[Thread], str | None]:
        before = transitions.page_start(after)
        places = {name: place for (whose, name), (place, _) in self._here.forks.items() if whose == owner}
        for kept in self._of(owner):  # in the order of their places
            if kept.job.thread is not None:
                places[kept.job.thread] = max(kept.place, places.get(kept.job.thread, 0))
        found = sorted(
            ((place, name) for name, place in places.items() if before is None or place < before), reverse=True
        )
        page = found[:limit]
        return [self._thread(owner, name) for _, name in page], str(page[-1][0]) if len(found) > len(page) else None

    async def thread(self, owner: str, name: str) -> Thread:
        return self._thread(owner, name)

    def _thread(self, owner: str, name: str) -> Thread:
        jobs = self._in_thread(owner, name)
        return thread_of(
            name,
            jobs=sum(job.retry_of is None for job in jobs),
            created_at=min((job.created_at for job in jobs), default=None),
            updated_at=max((job.ended_at or job.started_at or job.created_at for job in jobs), default=None),
            unfinished=next((job for job in jobs if not job.ended), None),
            last=self._last_turn(owner, name),
            fork=self._fork(owner, name),
        )

    def _in_thread(self, owner: str, name: str) -> list[Job]:
        return [kept.job for kept in self._of(owner) if kept.job.thread == name]

    def _fork(self, owner: str, name: str) -> Fork | None:
        _, fork = self._here.forks.get((owner, name), (0, None))
        return fork

    def _is_thread(self, owner: str, name: str) -> bool:
        return self._fork(owner, name) is not None or bool(self._in_thread(owner, name))

    async def last_turn(self, owner: str, name: str) -> Job | None:
        return self._last_turn(owner, name)

    async def fork_of(self, owner: str, name: str) -> Fork | None:
        return self._fork(owner, name)

    async def fork(self, fork: Fork) -> None:
        check_free(fork.name, used=self._is_thread(fork.owner, fork.name))
        self._here.places += 1
        self._here.forks[fork.owner, fork.name] = (self._here.places, fork)

    async def rename_thread(self, owner: str, name: str, new: str) -> None:
        if not self._is_thread(owner, name):
            raise no_such_thread(name)
        if name == new:
            return
        check_free(new, used=self._is_thread(owner, new))
        changes = []
        for kept in self._of(owner):
            if kept.job.thread == name:
                kept.job = msgspec.structs.replace(kept.job, thread=new)
                changes.append(transitions.state_of(kept.job))
        if (placed := self._here.forks.pop((owner, name), None)) is not None:
            self._here.forks[owner, new] = (placed[0], msgspec.structs.replace(placed[1], name=new))
        self._rename_origin(owner, name, new)
        if self._here.inbox.rename_thread(owner, name, new):
            changes.append(Change(kind="notice", owner=owner, job=""))
        self._feed.publish(changes)

    def _rename_origin(self, owner: str, name: str, new: str | None) -> None:
        for key, (place, fork) in self._here.forks.items():
            if fork.owner == owner and fork.origin == name:
                self._here.forks[key] = (place, msgspec.structs.replace(fork, origin=new))

    async def delete_thread(self, owner: str, name: str, event: Cancelled) -> list[Job]:
        if not self._is_thread(owner, name):
            raise no_such_thread(name)
        cancelled = []
        for found in reversed(self._in_thread(owner, name)):
            job, won = await self.end(owner, found.id, event)
            if won:
                cancelled.append(job)
            await self.delete(owner, found.id)
        self._here.forks.pop((owner, name), None)
        self._rename_origin(owner, name, None)
        return cancelled

    async def forget_forks(self, *, owner: str | None, before: float) -> int:
        idle = [
            key
            for key, (_, fork) in self._here.forks.items()
            if owner in (None, fork.owner) and fork.touched_at < before and not self._in_thread(*key)
        ]
        for key in idle:
            del self._here.forks[key]
        return len(idle)

    def _touch_fork(self, deleted: Job) -> None:
        key = (deleted.owner, deleted.thread or "")
        if key in self._here.forks:
            place, fork = self._here.forks[key]
            touched = max(fork.touched_at, deleted.ended_at or 0.0)
            self._here.forks[key] = (place, msgspec.structs.replace(fork, touched_at=touched))
