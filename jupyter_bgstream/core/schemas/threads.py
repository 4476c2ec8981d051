"""Threads in responses."""

import msgspec

from .enums import JobStatus
from .messages import ThreadMessageInfo


class ThreadInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A thread in lists."""

    name: str
    jobs: int  # turns of its own; a retried one counts once
    status: JobStatus  # of its oldest job that has not ended, else of its last turn
    model: str  # of its last turn, like the title
    title: str
    created_at: float  # Unix seconds
    updated_at: float  # Unix seconds, of the last submit, start or end
    forked_from: str | None = None  # name of the thread that it was forked from, if that still exists


class ThreadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of threads, the one with the newest job or fork first."""

    threads: list[ThreadInfo]
    next: str | None = None  # cursor of the next page


class ThreadMessages(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of a thread."""

    thread: str
    messages: list[ThreadMessageInfo]
