"""Port: retention and free space."""

from collections.abc import Sequence
from typing import Protocol

from ..port_values import ExpiredJob


class MaintenanceStore(Protocol):
    """Retention of jobs and compaction of the store."""

    async def expired_jobs(self, *, owner: str | None, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
        """Return jobs that ended before ``before`` (Unix seconds) and may be deleted, oldest first.

        No part of a thread is returned while another part of it must stay, and no job while its retry must stay.

        Args:
            owner: Whose jobs; None for all owners.
            before: They ended, and were last read, before this time.
            unread: Whether to return jobs that no viewer has read instead of read ones.
            limit: At most so many jobs.
        """

    async def mark_announced(self, jobs: Sequence[ExpiredJob], *, at: float) -> None:
        """Note when the deletion of unread jobs was announced (Unix seconds). A second announcement is a no-op."""

    async def size(self, *, owner: str | None) -> int:
        """Return the bytes in use; of one owner's texts if the store has other owners."""

    async def compact(self) -> bool:
        """Take one small step (compress logs or give space back); return whether there may be more to do."""
