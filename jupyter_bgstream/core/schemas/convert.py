"""Conversion of jobs, batches, threads and notices to their wire schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec

from ..batches import BatchItem, Progress
from ..events import Citation, Image, ToolCall, Usage
from ..job import Job, JobSource
from ..messages import FunctionCall, Message, Part
from ..notices import Notice
from ..state import Answer, Status
from ..threads import Thread
from .batches import BatchInfo, BatchItemInfo, BatchUsage
from .inbox import NoticeInfo
from .jobs import AnswerInfo, CitationInfo, ImageInfo, JobDetail, JobInfo, SourceInfo, UsageInfo
from .messages import MessageInfo, PartInfo, ThreadMessageInfo, ToolCallInfo
from .threads import ThreadInfo


def job_info(job: Job) -> JobInfo:
    """Return a job as lists show it, without its text."""
    spec = job.spec
    return JobInfo(
        id=job.id,
        status=job.status,
        model=spec.model,
        title=spec.title,
        preview=job.preview,
        thread=job.thread,
        batch=spec.batch,
        tags=spec.tags,
        priority="bulk" if spec.is_bulk else "interactive",
        on_restart=spec.on_restart,
        retry_policy=spec.retry_policy,
        source=source_info(spec.source),
        submitted_by=job.submitted_by,
        attempt=job.attempt,
        cursor=str(job.cursor),
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        not_before=job.not_before,
        usage=usage_info(job.usage),
        cost=job.paid,
        finish_reason=job.finish_reason,
        error=job.error,
        retry_of=job.retry_of,
        retried_by=job.retried_by,
    )


def job_detail(job: Job, answer: Answer) -> JobDetail:
    """Return a job with its request and its answer so far."""
    return JobDetail(
        **msgspec.structs.asdict(job_info(job)),
        messages=[message_info(message) for message in job.spec.messages],
        params=job.spec.params,
        text=answer.text,
        reasoning=answer.reasoning,
        sources=_citations(answer.sources),
        tool_calls=tuple(map(_tool_call, answer.tool_calls)),
        images=_images(answer.images),
        earlier=answer.earlier,
    )


def answer_info(answer: Answer) -> AnswerInfo:
    """Return the state of a viewer, the same that ``fold.ts`` keeps."""
    return AnswerInfo(
        status=answer.status,
        seq=answer.seq,
        attempt=answer.attempt,
        text=answer.text,
        reasoning=answer.reasoning,
        sources=_citations(answer.sources),
        tool_calls=tuple(map(_tool_call, answer.tool_calls)),
        images=_images(answer.images),
        usage=usage_info(answer.usage),
        cost=answer.cost,
        finish_reason=answer.finish_reason,
        error=answer.error,
        not_before=answer.not_before,
        earlier=answer.earlier,
    )


def usage_info(usage: Usage | None) -> UsageInfo | None:
    """Return the counts of an attempt."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": usage.cost,
        "cost_estimated": usage.cost_estimated,
    }


def source_info(source: JobSource) -> SourceInfo:
    """Return where a job was submitted."""
    return SourceInfo(notebook=source.notebook, cell=source.cell, kernel=source.kernel)


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


def thread_info(thread: Thread) -> ThreadInfo:
    """Return a thread as lists show it."""
    return ThreadInfo(**msgspec.structs.asdict(thread))


def notice_info(notice: Notice) -> NoticeInfo:
    """Return a notice as the inbox shows it."""
    return NoticeInfo(
        id=notice.id,
        job=notice.job,
        batch=notice.batch,
        status=notice.status,
        title=notice.title,
        preview=notice.preview,
        counts=notice.counts,
        paused=notice.paused,
        thread=notice.thread,
        source=source_info(notice.source),
        created_at=notice.created_at,
        read_at=notice.read_at,
        muted=notice.muted,
    )


def batch_info(progress: Progress) -> BatchInfo:
    """Return a batch with its progress."""
    batch = progress.batch
    return BatchInfo(
        id=batch.id,
        status=batch.status,
        title=batch.spec.title,
        total=batch.total,
        submitted=batch.submitted,
        queued=progress.queued,
        running=progress.running,
        waiting=progress.waiting,
        counts=batch.counts,
        usage=BatchUsage(input_tokens=batch.taken.input_tokens, output_tokens=batch.taken.output_tokens),
        cost=batch.taken.cost,
        concurrency=batch.spec.concurrency,
        paused=batch.paused,
        source=source_info(batch.spec.source),
        created_at=batch.created_at,
        started_at=batch.started_at,
        ended_at=batch.ended_at,
    )


def batch_item_info(item: BatchItem) -> BatchItemInfo:
    """Return one item of a batch with its answer."""
    job = item.job
    return BatchItemInfo(
        id=job.id,
        root=job.root or job.id,
        status=job.status,
        text=item.text,
        finish_reason=job.finish_reason,
        error=job.error,
        usage=usage_info(job.usage),
        cost=job.paid,
        images=_images(item.images),
    )


def _part(part: Part) -> PartInfo:
    info = cast(PartInfo, msgspec.to_builtins(part, builtin_types=(bytes,)))
    if (data := cast("dict[str, object]", info).pop("data", None)) is not None:
        info["bytes"] = len(cast(bytes, data))
    return info


def _citations(citations: Iterable[Citation]) -> tuple[CitationInfo, ...]:
    return tuple(CitationInfo(url=citation.url, title=citation.title) for citation in citations)


def _tool_call(call: ToolCall | FunctionCall) -> ToolCallInfo:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _images(images: Iterable[Image]) -> tuple[ImageInfo, ...]:
    return tuple(ImageInfo(id=image.id, media_type=image.media_type, bytes=image.bytes) for image in images)
