"""Notices of the memory store."""

from __future__ import annotations

from collections.abc import Sequence

from store.model.base import MemoryBase

from jupyter_bgstream.core.notices import Mute, Notice


class MemoryNotices(MemoryBase):
    """The part of ``MemoryStore`` for notices and mutes."""

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        return self._state.inbox.shown(owner, viewer)

    async def mark_read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        self._state.inbox.read(owner, viewer, ids=ids, at=at)

    async def mark_seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        job = self._find(owner, job_id).job
        if job.ended and seq >= job.seq:
            inbox = self._state.inbox
            inbox.mark(inbox.of_job(owner, job_id), viewer, at)

    async def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        self._state.inbox.dismiss(owner, viewer, notice_id, at=at)

    async def mutes(self, owner: str, viewer: str) -> list[Mute]:
        return self._state.inbox.mutes(owner, viewer)

    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        self._state.inbox.mute(owner, viewer, mute, on=on)

    async def due_webhooks(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        return self._state.inbox.due_webhooks(owner, since=since, at=at, again=again, limit=limit)

    async def reschedule_webhook(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        self._state.inbox.reschedule_webhook(owner, notice_id, again=again)
