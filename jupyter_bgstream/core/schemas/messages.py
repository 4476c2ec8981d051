"""Messages in responses: images, files and recordings have their size in place of their data."""

from typing import NotRequired, Required, TypedDict

from .enums import JobStatus, MessageRole, PartType


class CacheControlInfo(TypedDict, total=False):
    """A mark: the prompt may be cached up to this part."""

    type: Required[str]
    ttl: str


class PartInfo(TypedDict, total=False):
    """A part of a message; which fields it has depends on its type."""

    type: Required[PartType]
    text: str
    media_type: str
    name: str
    bytes: int  # size of the data
    cache_control: CacheControlInfo


class ToolCallInfo(TypedDict):
    """A tool that the model wants called."""

    id: str
    name: str
    arguments: str  # as the model wrote it, usually JSON


class MessageInfo(TypedDict):
    """One message of a conversation."""

    role: MessageRole
    content: str | list[PartInfo]
    tool_calls: NotRequired[list[ToolCallInfo]]  # of an assistant
    tool_call_id: NotRequired[str]  # of a tool: the call whose result this is


class ThreadMessageInfo(MessageInfo):
    """One message of a thread."""

    job: str | None  # id; None if the job was deleted
    status: JobStatus
