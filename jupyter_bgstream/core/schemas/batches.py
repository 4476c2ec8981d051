"""Batches in responses."""

import msgspec

from ..batch_pause import Paused
from ..batches import EndCounts
from ..costs import Cost
from ..state import ErrorInfo
from .enums import BatchStatus, JobStatus
from .jobs import ImageInfo, SourceInfo, UsageInfo


class BatchUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all ended jobs of a batch; None where they are not known."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class BatchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A batch and its progress. Of a job that was retried only the newest counts."""

    id: str
    status: BatchStatus
    title: str
    total: int  # jobs, as announced
    submitted: int  # of them
    queued: int  # jobs in this status now
    running: int  # jobs in this status now
    waiting: int  # jobs in this status now
    counts: EndCounts
    usage: BatchUsage
    cost: Cost | None = None  # of all ended jobs
    concurrency: int | None = None  # jobs that may run at a time on one server
    paused: Paused | None = None  # why no further job starts
    source: SourceInfo = SourceInfo()
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds

    @property
    def ended(self) -> bool:
        """Whether every job has ended."""
        return self.ended_at is not None


class BatchItemInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item of a batch, with its answer."""

    id: str  # of the newest job of this item
    root: str  # of the job that was submitted first
    status: JobStatus
    text: str | None = None  # None until the job has ended
    finish_reason: str | None = None
    error: ErrorInfo | None = None
    usage: UsageInfo | None = None
    cost: Cost | None = None
    images: tuple[ImageInfo, ...] = ()


class AnswerPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the answers of a batch, in the order in which they changed."""

    answers: list[BatchItemInfo]
    next: str  # cursor of the next page, also of later changes
    more: bool  # whether there is more now
