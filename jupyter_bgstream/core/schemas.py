"""What the server's answers look like, as far as the client reads them. See PROTOCOL.md, "Jobs"."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import msgspec

from .batches import EndCounts
from .costs import Cost
from .events import Event, MediaType
from .pauses import Paused
from .state import ENDS, ErrorInfo, Status


class UsageInfo(TypedDict, total=False):
    """Tokens of the last attempt, and what that attempt cost."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None  # part of input_tokens
    cache_write_tokens: int | None  # part of input_tokens
    reasoning_tokens: int | None  # part of output_tokens
    cost: float | None  # USD
    cost_estimated: bool


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job was asked for."""

    notebook: str | None = None  # path below the server's root
    cell: str | None = None
    kernel: str | None = None


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A job in an answer."""

    id: str
    status: Status
    model: str  # provider/name
    title: str
    thread: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    priority: str = "interactive"
    source: SourceInfo = SourceInfo()
    submitted_by: str | None = None  # name of the person who submitted it; None for jobs of kernels
    cursor: str  # the log's tail
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds
    usage: UsageInfo | None = None
    cost: Cost | None = None  # of all attempts
    finish_reason: str | None = None
    not_before: float | None = None  # Unix seconds; of the next try, while it waits
    error: ErrorInfo | None = None  # of its end, or why it waits
    retry_of: str | None = None  # the job that this one asks again
    retried_by: str | None = None  # the job that asks this one again

    @property
    def ended(self) -> bool:
        """Whether the job has ended, after which only ``retried_by`` may change."""
        return self.status in ENDS


class JobDetail(JobInfo, frozen=True, kw_only=True):
    """A job in an answer, with what it was asked."""

    messages: list[dict[str, Any]] = []
    params: dict[str, Any] | None = None
    text: str = ""


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list, newest first."""

    jobs: list[JobInfo]
    next: str | None = None  # the cursor of the page after it


class ThreadInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in a list."""

    name: str
    jobs: int  # turns of its own
    status: Status
    model: str  # of its last turn, like the title
    title: str
    created_at: float  # Unix seconds
    updated_at: float  # Unix seconds
    forked_from: str | None = None


class ThreadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of conversations, the one that was last used first."""

    threads: list[ThreadInfo]
    next: str | None = None  # the cursor of the page after it


class ThreadMessages(msgspec.Struct, frozen=True, kw_only=True):
    """What was said in a conversation."""

    messages: list[dict[str, Any]]  # role, content, job, status


class TokenTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all ended jobs of a group; None where nothing is known."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class BatchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A group of jobs, and how far it is."""

    id: str
    status: Status
    title: str
    total: int
    submitted: int
    queued: int
    running: int
    waiting: int
    counts: EndCounts
    usage: TokenTotals
    cost: Cost | None = None
    concurrency: int | None = None
    paused: Paused | None = None
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds

    @property
    def ended(self) -> bool:
        """Whether every job has ended."""
        return self.ended_at is not None


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of an answer, without its file."""

    id: str
    media_type: MediaType
    bytes: int


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """What a place of a group has answered."""

    id: str  # of the newest job that stands for it
    root: str  # of the one that was submitted first
    status: Status
    text: str | None = None
    finish_reason: str | None = None
    error: ErrorInfo | None = None
    usage: UsageInfo | None = None
    cost: Cost | None = None
    images: tuple[ImageInfo, ...] = ()


class AnswerPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a group's answers, in the order in which they changed."""

    answers: list[BatchItem]
    next: str  # where to go on, now or later
    more: bool  # whether there is more now


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A provider in the list of models."""

    name: str
    models: list[str] = []  # full names
    error: ErrorInfo | None = None  # why there are none
    note: str | None = None  # a sentence: why none are listed, although it can be asked
    configured: bool = True


class ModelsInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked."""

    providers: list[ProviderInfo]
    default: str | None = None  # provider/name
    default_why: str | None = None
    aliases: dict[str, str] = {}
    problems: list[str] = []  # what is wrong in the server's config


class KernelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a kernel's notebook is."""

    notebook: str | None = None  # path below the server's root


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """What makes no notice."""

    kind: Literal["notebook", "thread"]
    name: str


class MuteList(msgspec.Struct, frozen=True, kw_only=True):
    """All that is muted."""

    mutes: list[Mute]


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a log."""

    events: list[Event]
    cursor: str  # the position after them
    up_to_date: bool  # whether this was the tail
    closed: bool  # whether nothing will follow
