"""Conversion of jobs, batches, threads and notices to their wire schemas."""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from ..batches import BatchItem, Progress
from ..events import Image, ToolCall, Usage
from ..job import Job, JobSource
from ..messages import FunctionCall, Message, Part
from ..notices import Notice
from ..state import Answer, Status
from .batches import BatchInfo, BatchItemInfo, BatchUsage
from .inbox import NoticeInfo
from .jobs import CitationInfo, ImageInfo, JobDetail, JobInfo, SourceInfo, UsageInfo
from .messages import MessageInfo, PartInfo, ThreadMessageInfo, ToolCallInfo

S = TypeVar("S", bound=msgspec.Struct)


def copied(type_: type[S], *sources: object, **other: Any) -> S:
    """Return a struct with the fields of other objects: each of the first that has it, unless it is in ``other``."""
    for name, place in _places(type_, *map(type, sources)):
        if name not in other:
            other[name] = getattr(sources[place], name)
    return type_(**other)


@cache
def _places(type_: type[msgspec.Struct], *sources: type) -> list[tuple[str, int]]:
    # By field, the first source that has it; beyond the last one if none has it.
    fields = type_.__struct_fields__
    return [(name, [*(hasattr(source, name) for source in sources), True].index(True)) for name in fields]


def job_info(job: Job) -> JobInfo:
    """Return a job as lists show it, without its text."""
    return copied(
        JobInfo,
        job,
        job.spec,
        priority="bulk" if job.spec.is_bulk else "interactive",
        source=source_info(job.spec.source),
        cursor=str(job.cursor),
        usage=usage_info(job.usage),
        cost=job.paid,
    )


def job_detail(job: Job, answer: Answer) -> JobDetail:
    """Return a job with its request and its answer so far."""
    return copied(
        JobDetail,
        job_info(job),
        job.spec,
        answer,
        messages=[message_info(message) for message in job.spec.messages],
        sources=tuple(copied(CitationInfo, citation) for citation in answer.sources),
        tool_calls=tuple(map(_tool_call, answer.tool_calls)),
        images=_images(answer.images),
    )


def usage_info(usage: Usage | None) -> UsageInfo | None:
    """Return the counts of an attempt."""
    if usage is None:
        return None
    return cast(UsageInfo, {name: getattr(usage, name) for name in UsageInfo.__annotations__})


def source_info(source: JobSource) -> SourceInfo:
    """Return where a job was submitted."""
    return copied(SourceInfo, source)


def message_info(message: Message) -> MessageInfo:
    """Return a message without the data of its attachments, since every open page asks for it."""
    content = message.content
    info: MessageInfo = {
        "role": message.role,
        "content": content if isinstance(content, str) else [_part(part) for part in content],
    }
    if message.tool_calls:
        info["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        info["tool_call_id"] = message.tool_call_id
    return info


def thread_message_info(message: Message, *, job: str | None, status: Status) -> ThreadMessageInfo:
    """Return a message of a thread."""
    return {**message_info(message), "job": job, "status": status}


def notice_info(notice: Notice) -> NoticeInfo:
    """Return a notice as the inbox shows it."""
    return copied(NoticeInfo, notice, source=source_info(notice.source))


def batch_info(progress: Progress) -> BatchInfo:
    """Return a batch with its progress."""
    batch = progress.batch
    return copied(
        BatchInfo,
        progress,
        batch,
        batch.spec,
        usage=copied(BatchUsage, batch.taken),
        cost=batch.taken.cost,
        source=source_info(batch.spec.source),
    )


def batch_item_info(item: BatchItem) -> BatchItemInfo:
    """Return one item of a batch with its answer."""
    job = item.job
    return copied(
        BatchItemInfo,
        item,
        job,
        root=job.root or job.id,
        usage=usage_info(job.usage),
        cost=job.paid,
        images=_images(item.images),
    )


def _part(part: Part) -> PartInfo:
    info = cast(PartInfo, msgspec.to_builtins(part, builtin_types=(bytes,)))
    if (data := cast("dict[str, object]", info).pop("data", None)) is not None:
        info["bytes"] = len(cast(bytes, data))
    return info


def _tool_call(call: ToolCall | FunctionCall) -> ToolCallInfo:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _images(images: Iterable[Image]) -> tuple[ImageInfo, ...]:
    return tuple(copied(ImageInfo, image) for image in images)
