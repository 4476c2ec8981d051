"""The inbox: notices of ended jobs, which each viewer reads, dismisses and mutes separately."""

from collections.abc import Sequence

from ..core.cursor import position
from ..core.notices import Mute, Notice
from .context import EnginePart


class Inbox(EnginePart):
    """The inboxes of all viewers."""

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        """Return a viewer's notices, newest first."""
        return await self._store.notices(owner, viewer)

    async def read(self, owner: str, viewer: str, ids: Sequence[str] | None) -> None:
        """Mark notices as read; None means all."""
        await self._store.mark_read(owner, viewer, ids=ids, at=self._clock.time())

    async def seen(self, owner: str, viewer: str, job_id: str, cursor: str) -> None:
        """Record that a visible view has drawn the log up to a cursor; at its end the job's notice becomes read."""
        job = await self._store.job(owner, job_id)
        await self._store.mark_seen(owner, viewer, job_id, seq=position(cursor, job.cursor), at=self._clock.time())

    async def dismiss(self, owner: str, viewer: str, notice_id: str) -> None:
        """Remove a notice from a viewer's inbox."""
        await self._store.dismiss(owner, viewer, notice_id, at=self._clock.time())

    async def mutes(self, owner: str, viewer: str) -> list[Mute]:
        """Return the notebooks and threads that a viewer has muted."""
        return await self._store.mutes(owner, viewer)

    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        """Mute or unmute a notebook or a thread."""
        await self._store.mute(owner, viewer, mute, on=on)

    async def due_webhooks(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        """Return notices due for a webhook call: not read, dismissed or muted. They are due again at ``again``."""
        return await self._store.due_webhooks(owner, since=since, at=at, again=again, limit=limit)

    async def reschedule_webhook(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        """Record a webhook call; the notice is due again at ``again``, or never."""
        await self._store.reschedule_webhook(owner, notice_id, again=again)
