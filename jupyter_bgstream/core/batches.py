"""Many jobs as one: a group ends when as many of its jobs have ended as were announced."""

from __future__ import annotations

import msgspec

from .costs import Cost
from .events import Image
from .job import Job, JobId, JobSource, Title
from .pauses import Paused, Streak
from .state import Answer, Status


class EndCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How a group's jobs have ended. Of a job that was asked again, only the newest counts."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    interrupted: int = 0

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.completed + self.failed + self.cancelled + self.interrupted


class TokenTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What the ended jobs of a group took, those too that were asked again; sums of what is known."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Cost | None = None

    def plus(self, job: Job) -> TokenTotals:
        """Return the sums with one more ended job."""
        usage, paid = job.usage, job.paid
        return TokenTotals(
            input_tokens=_sum(self.input_tokens, None if usage is None else usage.input_tokens),
            output_tokens=_sum(self.output_tokens, None if usage is None else usage.output_tokens),
            cost=paid if self.cost is None else self.cost if paid is None else _costs(self.cost, paid),
        )


class BatchSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user announces."""

    id: JobId
    total: int  # jobs, of which there may be none yet
    title: Title = ""
    source: JobSource = JobSource()
    concurrency: int | None = None  # jobs that may run at a time on one server; the newest announcement counts


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A group as the store keeps it."""

    spec: BatchSpec
    owner: str  # the tenant
    total: int  # as announced, or fewer once it was cancelled
    submitted: int = 0  # jobs that are there; one that asks another again takes its place
    counts: EndCounts = EndCounts()
    taken: TokenTotals = TokenTotals()
    streak: Streak = Streak()
    paused: Paused | None = None  # none of its jobs begins
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds, of its first job
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

    @property
    def limit(self) -> int | None:
        """How many of its jobs may run at a time on one server; None if there is no limit of its own."""
        return 0 if self.paused is not None else self.spec.concurrency

    def announced(self, spec: BatchSpec) -> Batch:
        """Return the group after it was announced again: only how many may run at a time can change."""
        return msgspec.structs.replace(self, spec=msgspec.structs.replace(self.spec, concurrency=spec.concurrency))

    def begun(self, at: float) -> Batch:
        """Return the group after one of its jobs was claimed."""
        return self if self.started_at is not None else msgspec.structs.replace(self, started_at=at)

    def joined(self, jobs: int) -> Batch:
        """Return the group with more jobs."""
        return msgspec.structs.replace(self, submitted=self.submitted + jobs)

    def counted(self, job: Job) -> Batch:
        """Return the group after one of its jobs has ended, which may pause it."""
        counts = _changed(self.counts, job.status, 1)
        over = counts.ended >= self.total
        streak = self.streak.plus(job)
        return msgspec.structs.replace(
            self,
            counts=counts,
            taken=self.taken.plus(job),
            streak=streak,
            paused=None if over else self.paused or streak.pause(job),
            ended_at=job.ended_at if over else None,
        )

    def resumed(self) -> Batch:
        """Return the group when it goes on."""
        return self if self.paused is None else msgspec.structs.replace(self, paused=None, streak=Streak())

    def reopened(self, status: Status) -> Batch:
        """Return the group after a job of it that had ended was asked again: it goes on."""
        return msgspec.structs.replace(self.resumed(), counts=_changed(self.counts, status, -1), ended_at=None)

    def recounted(self, before: Status, after: Status) -> Batch:
        """Return the group when another job stands for one that has ended."""
        return msgspec.structs.replace(self, counts=_changed(_changed(self.counts, before, -1), after, 1))

    def closed(self, at: float) -> Batch:
        """Return the group when no more jobs are to come: it ends with those that are there."""
        over = self.counts.ended >= self.submitted
        ended_at = (self.ended_at or at) if over else None
        return msgspec.structs.replace(self.resumed(), total=self.submitted, ended_at=ended_at)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group is."""

    group: Batch
    running: int  # of its jobs, now
    waiting: int  # of its jobs, for their next try

    @property
    def queued(self) -> int:
        """How many of its jobs have not begun."""
        return max(0, self.group.submitted - self.group.counts.ended - self.running - self.waiting)


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """A place of a group: the newest job that stands for it, without what it was asked, and what that has answered."""

    job: Job
    text: str | None = None  # of an ended job
    images: tuple[Image, ...] = ()

    @staticmethod
    def by(job: Job, answer: Answer | None) -> BatchItem:
        """Return the place of a job; ``answer`` is what an ended one has answered."""
        return BatchItem(job=job) if answer is None else BatchItem(job=job, text=answer.text, images=answer.images)


def _changed(counts: EndCounts, status: Status, by: int) -> EndCounts:
    return msgspec.structs.replace(counts, **{status: getattr(counts, status) + by})


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _costs(one: Cost, other: Cost) -> Cost:
    return Cost(usd=one.usd + other.usd, estimated=one.estimated or other.estimated)
