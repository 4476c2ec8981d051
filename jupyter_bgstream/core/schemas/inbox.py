"""Notices and mutes in responses."""

import msgspec

from ..batch_pause import Paused
from ..batches import EndCounts
from ..notices import Mute
from .enums import BatchStatus
from .jobs import SourceInfo


class NoticeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A notice: a job or a batch has ended, or a batch is paused."""

    id: str
    job: str | None = None  # id of the job
    batch: str | None = None  # or id of the batch
    status: BatchStatus
    title: str
    preview: str = ""  # first characters of the answer
    counts: EndCounts | None = None  # of a batch
    paused: Paused | None = None  # of a batch that is paused
    thread: str | None = None
    source: SourceInfo = SourceInfo()
    created_at: float  # Unix seconds
    read_at: float | None = None  # Unix seconds
    muted: bool = False  # listed, without a toast and not counted


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """The notices of a viewer, newest first."""

    notices: list[NoticeInfo]
    unread: int  # notices that are neither read nor muted


class MuteList(msgspec.Struct, frozen=True, kw_only=True):
    """The mutes of a viewer."""

    mutes: list[Mute]
