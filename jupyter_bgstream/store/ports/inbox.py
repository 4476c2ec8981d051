"""Port: notices, mutes and webhook calls."""

from collections.abc import Sequence
from typing import Protocol

from ...core.notices import Mute, Notice


class InboxStore(Protocol):
    """Notices of an owner, and what each viewer ("" without named users) has read, dismissed and muted.

    All times are Unix seconds.
    """

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        """Return a viewer's inbox, newest first."""

    async def mark_read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        """Mark notices as read by a viewer; ``ids=None`` means all. Unknown ids are ignored."""

    async def mark_seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        """Mark the notice of a job as read if a viewer has seen the log up to its end.

        Raises:
            NotFoundError: There is no such job.
        """

    async def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        """Mark a notice as read and remove it from a viewer's inbox.

        Raises:
            NotFoundError: There is no such notice in this inbox.
        """

    async def mutes(self, owner: str, viewer: str) -> list[Mute]:
        """Return what a viewer has muted, sorted."""

    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        """Mute or unmute a notebook or thread for a viewer."""

    async def due_webhooks(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        """Return notices that are due for the webhook, and put them off until ``again``.

        A notice that any viewer has read or muted, or that is older than ``since``, is never due again.

        Args:
            owner: Whose notices.
            since: The oldest notice to be sent.
            at: Now.
            again: When an unsent notice is due again.
            limit: At most so many notices.
        """

    async def reschedule_webhook(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        """Put a notice off until ``again``; None: it was sent and is never due again."""
