"""Many jobs as one: a group ends when as many of its jobs have ended as were announced."""

from __future__ import annotations

import msgspec

from .job import JobId, Origin, Title
from .machine import Status


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How a group's jobs have ended. Of a job that was asked again, only the newest counts."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    interrupted: int = 0

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.completed + self.failed + self.cancelled + self.interrupted


class GroupSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user announces."""

    id: JobId
    total: int  # jobs, of which there may be none yet
    title: Title = ""
    source: Origin = Origin()


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group as the store keeps it."""

    spec: GroupSpec
    owner: str  # the tenant
    total: int  # as announced, or fewer once it was cancelled
    submitted: int = 0  # jobs that are there; one that asks another again takes its place
    counts: Counts = Counts()
    created_at: float  # Unix seconds
    ended_at: float | None = None  # Unix seconds

    @property
    def id(self) -> str:
        """Its id, unique per owner."""
        return self.spec.id

    @property
    def status(self) -> Status:
        """The state of all of it: running until it has ended, then completed if every job is."""
        if self.ended_at is None:
            return "running" if self.submitted else "queued"
        if self.counts.failed:
            return "failed"
        if self.counts.interrupted:
            return "interrupted"
        return "cancelled" if self.counts.cancelled else "completed"

    def joined(self, jobs: int) -> Group:
        """Return the group with more jobs."""
        return msgspec.structs.replace(self, submitted=self.submitted + jobs)

    def counted(self, status: Status, at: float) -> Group:
        """Return the group after one of its jobs has ended."""
        counts = _changed(self.counts, status, 1)
        over = counts.ended >= self.total
        return msgspec.structs.replace(self, counts=counts, ended_at=at if over else None)

    def reopened(self, status: Status) -> Group:
        """Return the group after a job of it that had ended was asked again."""
        return msgspec.structs.replace(self, counts=_changed(self.counts, status, -1), ended_at=None)

    def recounted(self, before: Status, after: Status) -> Group:
        """Return the group when another job stands for one that has ended."""
        return msgspec.structs.replace(self, counts=_changed(_changed(self.counts, before, -1), after, 1))

    def closed(self, at: float) -> Group:
        """Return the group when no more jobs are to come: it ends with those that are there."""
        over = self.counts.ended >= self.submitted
        return msgspec.structs.replace(self, total=self.submitted, ended_at=(self.ended_at or at) if over else None)


def _changed(counts: Counts, status: Status, by: int) -> Counts:
    return msgspec.structs.replace(counts, **{status: getattr(counts, status) + by})
