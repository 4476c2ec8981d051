"""Threads of the memory store."""

from __future__ import annotations

import msgspec
from store.model.jobs import MemoryJobs

from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.schemas.threads import ThreadInfo
from jupyter_bgstream.core.threads import Fork
from jupyter_bgstream.store import preconditions, transitions
from jupyter_bgstream.store.port_values import Change
from jupyter_bgstream.store.threads import check_free, no_such_thread, thread_of


class MemoryThreads(MemoryJobs):
    """The part of ``MemoryStore`` for threads."""

    async def threads(self, owner: str, *, limit: int, after: str | None = None) -> tuple[list[ThreadInfo], str | None]:
        before = preconditions.page_start(after)
        places = {name: place for (whose, name), (place, _) in self._state.forks.items() if whose == owner}
        for stored in self._of(owner):  # in the order of their places
            if stored.job.thread is not None:
                places[stored.job.thread] = max(stored.place, places.get(stored.job.thread, 0))
        found = sorted(
            ((place, name) for name, place in places.items() if before is None or place < before), reverse=True
        )
        page = found[:limit]
        return [self._thread(owner, name) for _, name in page], str(page[-1][0]) if len(found) > len(page) else None

    async def thread(self, owner: str, name: str) -> ThreadInfo:
        return self._thread(owner, name)

    def _thread(self, owner: str, name: str) -> ThreadInfo:
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
        return [stored.job for stored in self._of(owner) if stored.job.thread == name]

    def _fork(self, owner: str, name: str) -> Fork | None:
        _, fork = self._state.forks.get((owner, name), (0, None))
        return fork

    def _is_thread(self, owner: str, name: str) -> bool:
        return self._fork(owner, name) is not None or bool(self._in_thread(owner, name))

    async def last_turn(self, owner: str, name: str) -> Job | None:
        return self._last_turn(owner, name)

    async def fork_of(self, owner: str, name: str) -> Fork | None:
        return self._fork(owner, name)

    async def fork(self, fork: Fork) -> None:
        check_free(fork.name, used=self._is_thread(fork.owner, fork.name))
        self._state.places += 1
        self._state.forks[fork.owner, fork.name] = (self._state.places, fork)

    async def rename_thread(self, owner: str, name: str, new: str) -> None:
        if not self._is_thread(owner, name):
            raise no_such_thread(name)
        if name == new:
            return
        check_free(new, used=self._is_thread(owner, new))
        changes = []
        for stored in self._of(owner):
            if stored.job.thread == name:
                stored.job = msgspec.structs.replace(stored.job, thread=new)
                changes.append(transitions.job_change(stored.job))
        if (placed := self._state.forks.pop((owner, name), None)) is not None:
            self._state.forks[owner, new] = (placed[0], msgspec.structs.replace(placed[1], name=new))
        self._rename_origin(owner, name, new)
        if self._state.inbox.rename_thread(owner, name, new):
            changes.append(Change(kind="notice", owner=owner, subject=""))
        self._feed.publish(changes)

    def _rename_origin(self, owner: str, name: str, new: str | None) -> None:
        for key, (place, fork) in self._state.forks.items():
            if fork.owner == owner and fork.origin == name:
                self._state.forks[key] = (place, msgspec.structs.replace(fork, origin=new))

    async def delete_thread(self, owner: str, name: str, event: Cancelled) -> list[Job]:
        if not self._is_thread(owner, name):
            raise no_such_thread(name)
        cancelled = []
        for found in reversed(self._in_thread(owner, name)):
            job, won = await self.end(owner, found.id, event)
            if won:
                cancelled.append(job)
            await self.delete(owner, found.id)
        self._state.forks.pop((owner, name), None)
        self._rename_origin(owner, name, None)
        return cancelled

    async def forget_forks(self, *, owner: str | None, before: float) -> int:
        idle = [
            key
            for key, (_, fork) in self._state.forks.items()
            if owner in (None, fork.owner) and fork.touched_at < before and not self._in_thread(*key)
        ]
        for key in idle:
            del self._state.forks[key]
        return len(idle)
