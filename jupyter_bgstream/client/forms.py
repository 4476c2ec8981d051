"""What the server's answers look like, as far as the client reads them. See PROTOCOL.md, "Jobs"."""

from __future__ import annotations

import msgspec

from ..core.events import Event
from ..core.machine import ENDS, Fault, Status

Counts = dict[str, int | None]  # input_tokens, output_tokens, cached_tokens, reasoning_tokens


class JobForm(msgspec.Struct, frozen=True, kw_only=True):
    """A job in an answer."""

    id: str
    status: Status
    model: str  # provider/name
    title: str
    thread: str | None = None
    cursor: str  # the log's tail
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds
    usage: Counts | None = None
    error: Fault | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has ended, after which nothing here changes."""
        return self.status in ENDS


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list, newest first."""

    jobs: list[JobForm]
    next: str | None = None  # the cursor of the page after it


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a log."""

    events: list[Event]
    cursor: str  # the position after them
    up_to_date: bool  # whether this was the tail
    closed: bool  # whether nothing will follow
