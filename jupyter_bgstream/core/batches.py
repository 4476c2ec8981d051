"""Batches of jobs. A batch ends when as many of its jobs have ended as were announced."""

from __future__ import annotations

import msgspec

from .batch_pause import Paused, Streak
from .costs import Cost
from .events import Image
from .job import Job, JobId, JobSource, Title
from .state import Answer, Status


class EndCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of a batch have ended, by status. Of a retried job only the newest retry counts."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    interrupted: int = 0

    @property
    def ended(self) -> int:
        """The number of ended jobs."""
        return self.completed + self.failed + self.cancelled + self.interrupted


class TokenTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and cost of the ended jobs of a batch, retried ones included; sums of the known values."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Cost | None = None

    def plus(self, job: Job) -> TokenTotals:
        """Return the totals with one more ended job."""
        usage, paid = job.usage, job.paid
        return TokenTotals(
            input_tokens=_sum(self.input_tokens, None if usage is None else usage.input_tokens),
            output_tokens=_sum(self.output_tokens, None if usage is None else usage.output_tokens),
            cost=paid if self.cost is None else self.cost if paid is None else _costs(self.cost, paid),
        )


class BatchSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch as a user announces it."""

    id: JobId
    total: int  # jobs, submitted now or later
    title: Title = ""
    source: JobSource = JobSource()
    concurrency: int | None = None  # jobs that may run at a time on one server; the latest announcement applies


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as the store holds it."""

    spec: BatchSpec
    owner: str
    total: int  # jobs as announced, or those submitted before it was cancelled
    submitted: int = 0  # jobs; a retry takes the place of the job that it retries
    counts: EndCounts = EndCounts()
    taken: TokenTotals = TokenTotals()
    streak: Streak = Streak()
    paused: Paused | None = None  # while it is paused no job starts
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds, start of its first job
    ended_at: float | None = None  # Unix seconds

    @property
    def id(self) -> str:
        """The id, unique per owner."""
        return self.spec.id

    @property
    def status(self) -> Status:
        """The status of the whole batch: running until it has ended, then completed if every job is."""
        if self.ended_at is None:
            return "running" if self.submitted else "queued"
        if self.counts.failed:
            return "failed"
        if self.counts.interrupted:
            return "interrupted"
        return "cancelled" if self.counts.cancelled else "completed"

    @property
    def limit(self) -> int | None:
        """How many of its jobs may run at a time on one server; None: no limit for this batch."""
        return 0 if self.paused is not None else self.spec.concurrency

    def announced(self, spec: BatchSpec) -> Batch:
        """Return the batch after a repeated announcement: only its concurrency can change."""
        return msgspec.structs.replace(self, spec=msgspec.structs.replace(self.spec, concurrency=spec.concurrency))

    def begun(self, at: float) -> Batch:
        """Return the batch after one of its jobs was claimed."""
        return self if self.started_at is not None else msgspec.structs.replace(self, started_at=at)

    def joined(self, jobs: int) -> Batch:
        """Return the batch with more jobs."""
        return msgspec.structs.replace(self, submitted=self.submitted + jobs)

    def counted(self, job: Job) -> Batch:
        """Return the batch after one of its jobs has ended, which may pause it."""
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
        """Return the batch, not paused."""
        return self if self.paused is None else msgspec.structs.replace(self, paused=None, streak=Streak())

    def reopened(self, status: Status) -> Batch:
        """Return the batch after an ended job of it was retried: it is not paused and has not ended."""
        return msgspec.structs.replace(self.resumed(), counts=_changed(self.counts, status, -1), ended_at=None)

    def recounted(self, before: Status, after: Status) -> Batch:
        """Return the batch when another job represents one that ended with the status ``before``."""
        return msgspec.structs.replace(self, counts=_changed(_changed(self.counts, before, -1), after, 1))

    def closed(self, at: float) -> Batch:
        """Return the batch, closed to new jobs: it ends with those that were submitted."""
        over = self.counts.ended >= self.submitted
        ended_at = (self.ended_at or at) if over else None
        return msgspec.structs.replace(self.resumed(), total=self.submitted, ended_at=ended_at)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a batch."""

    batch: Batch
    running: int  # jobs
    waiting: int  # jobs, for their next attempt

    @property
    def queued(self) -> int:
        """The number of jobs that have not started."""
        return max(0, self.batch.submitted - self.batch.counts.ended - self.running - self.waiting)


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a batch: its newest job, without the prompt, and the answer."""

    job: Job
    text: str | None = None  # of an ended job
    images: tuple[Image, ...] = ()

    @staticmethod
    def by(job: Job, answer: Answer | None) -> BatchItem:
        """Return the item of a job; ``answer`` is the answer of an ended job."""
        return BatchItem(job=job) if answer is None else BatchItem(job=job, text=answer.text, images=answer.images)


def _changed(counts: EndCounts, status: Status, by: int) -> EndCounts:
    return msgspec.structs.replace(counts, **{status: getattr(counts, status) + by})


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _costs(one: Cost, other: Cost) -> Cost:
    return Cost(usd=one.usd + other.usd, estimated=one.estimated or other.estimated)
