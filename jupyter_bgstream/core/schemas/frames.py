"""Frames of the WebSocket, ``GET live``."""

from typing import Annotated, Any

import msgspec

from ..events import Event
from .enums import JobHint


class ClientFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """A frame of a page."""


class Follow(ClientFrame, frozen=True, kw_only=True, tag="follow"):
    """Send the events of a job after a cursor, and later ones."""

    job: str
    cursor: str | None = None  # None: the beginning


class Unfollow(ClientFrame, frozen=True, kw_only=True, tag="unfollow"):
    """Send no more events of a job."""

    job: str


class Seen(ClientFrame, frozen=True, kw_only=True, tag="seen"):
    """A visible view has drawn the events up to a cursor."""

    job: str
    cursor: str


class Write(ClientFrame, frozen=True, kw_only=True, tag="write"):
    """Ask for the lease to save the end of a job or batch into a document that several pages share."""

    document: Annotated[str, msgspec.Meta(max_length=4096)]  # path below the server's root
    job: Annotated[str, msgspec.Meta(max_length=64)]  # id of the job or the batch


class ServerFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame of the server."""


class HelloFrame(ServerFrame, frozen=True, kw_only=True, tag="hello"):
    """The first frame."""

    version: str  # of jupyter_bgstream
    protocol: int
    server: str  # id of the running server


class EventsFrame(ServerFrame, frozen=True, kw_only=True, tag="events"):
    """Events of a job, in order."""

    job: str
    cursor: str  # position after the events
    closed: bool  # whether no event will follow
    events: list[Event]


class JobFrame(ServerFrame, frozen=True, kw_only=True, tag="job"):
    """A job is new, or its status has changed."""

    job: str
    status: JobHint


class BatchFrame(ServerFrame, frozen=True, kw_only=True, tag="batch"):
    """A batch was paused or resumed."""

    batch: str


class NoticeFrame(ServerFrame, frozen=True, kw_only=True, tag="notice"):
    """The inbox has changed."""


class WriteFrame(ServerFrame, frozen=True, kw_only=True, tag="write"):
    """The response to ``Write``."""

    document: str
    job: str
    granted: bool


class ResetFrame(ServerFrame, frozen=True, kw_only=True, tag="reset"):
    """The cursor is not of this log: follow from the beginning."""

    job: str
    code: str
    message: str
    field: str | None = None


class ErrorFrame(ServerFrame, frozen=True, kw_only=True, tag="error"):
    """A frame of the page was wrong, or its job does not exist."""

    job: str | None
    code: str
    message: str
    field: str | None = None


class BeatFrame(ServerFrame, frozen=True, kw_only=True, tag="beat"):
    """A sign of life."""


CLIENT_FRAMES: Any = Follow | Unfollow | Seen | Write
SERVER_FRAMES: Any = (
    HelloFrame | EventsFrame | JobFrame | BatchFrame | NoticeFrame | WriteFrame | ResetFrame | ErrorFrame | BeatFrame
)
