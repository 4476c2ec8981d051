"""Jobs in responses."""

from typing import Any, TypedDict

import msgspec

from ..costs import Cost
from ..events import Event
from ..state import ENDS, ErrorInfo, Partial
from .enums import ImageMediaType, JobPriority, JobRetryPolicy, JobStatus, RestartPolicy
from .messages import MessageInfo, ToolCallInfo


class UsageInfo(TypedDict, total=False):
    """Tokens and cost of the last attempt; None where they are not known."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None  # part of input_tokens
    cache_write_tokens: int | None  # part of input_tokens
    reasoning_tokens: int | None  # part of output_tokens
    cost: float | None  # USD
    cost_estimated: bool  # True: by list prices; False: the provider's own figure


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a job was submitted."""

    notebook: str | None = None  # path below the server's root
    cell: str | None = None  # cell id
    kernel: str | None = None  # kernel id


class CitationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A page that an answer cites."""

    url: str
    title: str


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An image of an answer, without its data."""

    id: str  # <attempt>-<number>, unique in the job
    media_type: ImageMediaType
    bytes: int  # size of the file


class JobInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job in lists, without its text."""

    id: str
    status: JobStatus
    model: str  # provider/name
    title: str
    preview: str = ""  # first characters of the answer
    thread: str | None = None
    batch: str | None = None  # id of its batch
    tags: tuple[str, ...] = ()
    priority: JobPriority = "interactive"
    on_restart: RestartPolicy = "interrupt"
    retry_policy: JobRetryPolicy = "before_first_token"
    source: SourceInfo = SourceInfo()
    submitted_by: str | None = None  # name of the submitter; None for jobs of kernels
    attempt: int = 0  # 0 before the first
    cursor: str  # end of the log
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds
    not_before: float | None = None  # Unix seconds; start of the next attempt, while it waits
    usage: UsageInfo | None = None  # of the last attempt
    cost: Cost | None = None  # of all attempts
    finish_reason: str | None = None
    error: ErrorInfo | None = None  # why it failed, was interrupted, or waits
    retry_of: str | None = None  # id of the job that this one retries
    retried_by: str | None = None  # id of the job that retries this one

    @property
    def ended(self) -> bool:
        """Whether the job has ended, after which only ``retried_by`` may change."""
        return self.status in ENDS


class JobDetail(JobInfo, frozen=True, kw_only=True, gc=False):
    """A job with its request and its answer so far."""

    messages: list[MessageInfo] = []
    params: dict[str, Any] = {}
    text: str = ""
    reasoning: str = ""
    sources: tuple[CitationInfo, ...] = ()
    tool_calls: tuple[ToolCallInfo, ...] = ()
    images: tuple[ImageInfo, ...] = ()
    earlier: tuple[Partial, ...] = ()  # partial answers of attempts that were started over


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first."""

    jobs: list[JobInfo]
    next: str | None = None  # cursor of the next page
    viewer: str | None = None  # ``submitted_by`` of jobs that this viewer submits


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a log: the body, and the position from the headers."""

    events: list[Event]
    cursor: str  # position after the events
    up_to_date: bool  # whether this was the end of the log
    closed: bool  # whether no event will follow
