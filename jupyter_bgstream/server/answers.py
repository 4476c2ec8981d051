"""What the server answers, as types. Only its description is made of them; a test compares them with the answers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ..core.batches import EndCounts
from ..core.costs import By, Cost, CostRow
from ..core.events import MediaType
from ..core.job import JobSource, OnRestart, Priority, Retries
from ..core.messages import AudioType, CacheControl, FunctionCall, Role, TextPart
from ..core.notices import Mute
from ..core.state import ErrorInfo, Partial
from ..engine.service import Limits
from ..providers.base import ProviderStatus

State = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"]


class Tokens(msgspec.Struct):
    """Token counts and cost of the last attempt; each may be unknown."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost: float | None
    cost_estimated: bool


class JobInfo(msgspec.Struct):
    """A job, as lists have it."""

    id: str
    status: State
    model: str
    title: str
    preview: str
    thread: str | None
    group: str | None
    tags: list[str]
    priority: Priority
    on_restart: OnRestart
    retries: Retries
    source: JobSource
    submitted_by: str | None
    attempt: int
    cursor: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    not_before: float | None
    usage: Tokens | None
    cost: Cost | None
    finish_reason: str | None
    error: ErrorInfo | None
    retry_of: str | None
    retried_by: str | None


class CitationInfo(msgspec.Struct):
    """A page that an answer rests on."""

    url: str
    title: str


class ToolCallInfo(msgspec.Struct):
    """A tool that the model wants called."""

    id: str
    name: str
    arguments: str


class ImageInfo(msgspec.Struct):
    """A picture of an answer, without its file."""

    id: str
    media_type: MediaType
    bytes: int


class _Sized(msgspec.Struct, kw_only=True, tag_field="type", omit_defaults=True):
    bytes: int
    cache_control: CacheControl | UnsetType = UNSET


class Picture(_Sized, kw_only=True, tag="image"):
    """A picture of a message, without its data."""

    media_type: MediaType


class File(_Sized, kw_only=True, tag="file"):
    """A file of a message, without its data."""

    media_type: str
    name: str


class Recording(_Sized, kw_only=True, tag="audio"):
    """A recording of a message, without its data."""

    media_type: AudioType


class Turn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One message of a conversation."""

    role: Role
    content: str | list[TextPart | Picture | File | Recording]
    tool_calls: list[FunctionCall] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class JobWithAnswer(JobInfo):
    """A job with what it was asked and what it has answered so far."""

    messages: list[Turn]
    params: dict[str, Any]
    text: str
    reasoning: str
    sources: list[CitationInfo]
    tool_calls: list[ToolCallInfo]
    images: list[ImageInfo]
    earlier: list[Partial]


class JobPage(msgspec.Struct):
    """Jobs, newest first, the cursor of the next page, and the name that the viewer's own jobs have."""

    jobs: list[JobInfo]
    next: str | None
    viewer: str | None


class TokenTotals(msgspec.Struct):
    """Token counts of a group's ended jobs; each may be unknown."""

    input_tokens: int | None
    output_tokens: int | None


class Paused(msgspec.Struct):
    """Why a group is paused, and when that was, in Unix seconds."""

    code: str
    message: str
    at: float


class BatchInfo(msgspec.Struct):
    """A group and how far it is."""

    id: str
    status: State
    title: str
    total: int
    submitted: int
    queued: int
    running: int
    waiting: int
    counts: EndCounts
    usage: TokenTotals
    cost: Cost | None
    concurrency: int | None
    paused: Paused | None
    source: JobSource
    created_at: float
    started_at: float | None
    ended_at: float | None


class BatchItem(msgspec.Struct):
    """What a place of a group has answered; ``root`` is the job that was asked first, ``id`` its newest retry."""

    id: str
    root: str
    status: State
    text: str | None
    finish_reason: str | None
    error: ErrorInfo | None
    usage: Tokens | None
    cost: Cost | None
    images: list[ImageInfo]


class AnswerPage(msgspec.Struct):
    """Answers of a group in the order in which they changed, and where to go on, now if there is more, or later."""

    answers: list[BatchItem]
    next: str
    more: bool


class ThreadInfo(msgspec.Struct):
    """A thread, as lists have it."""

    name: str
    jobs: int
    status: State
    model: str
    title: str
    created_at: float
    updated_at: float
    forked_from: str | None


class ThreadPage(msgspec.Struct):
    """Threads, the one with the newest job or fork first, and the cursor of the next page."""

    threads: list[ThreadInfo]
    next: str | None


class ThreadTurn(Turn):
    """One message of a conversation, and the job that it belongs to."""

    job: str | None
    status: State


class ThreadMessages(msgspec.Struct):
    """What was said in a thread."""

    thread: str
    messages: list[ThreadTurn]


class MuteList(msgspec.Struct):
    """What a viewer has muted."""

    mutes: list[Mute]


class KernelInfo(msgspec.Struct):
    """Where a kernel's notebook is."""

    notebook: str | None


class NoticeInfo(msgspec.Struct):
    """The end of a job or of a group, or the pause of a group."""

    id: str
    job: str | None
    group: str | None
    status: State
    title: str
    preview: str
    counts: EndCounts | None
    paused: Paused | None
    thread: str | None
    source: JobSource
    created_at: float
    read_at: float | None
    muted: bool


class Inbox(msgspec.Struct):
    """Notices, newest first; ``unread`` counts those that are neither read nor muted."""

    notices: list[NoticeInfo]
    unread: int


class CostList(msgspec.Struct):
    """What jobs cost, added up, and which day it is on the server."""

    by: By
    costs: list[CostRow]
    today: str


class ModelList(msgspec.Struct):
    """What can be asked, and why the rest cannot."""

    default: str | None
    default_why: str | None
    aliases: dict[str, str]
    problems: list[str]
    providers: list[ProviderStatus]


class ServerStatus(msgspec.Struct):
    """A server, its jobs by state and its limits."""

    version: str
    protocol: int
    server: str
    store: str
    counts: dict[str, int]
    limits: Limits
    default_model: str | None


class Refusal(msgspec.Struct):
    """Why not: a stable code, a sentence to act on, and the field of a 400 that is wrong."""

    code: str
    message: str
    field: str | None
