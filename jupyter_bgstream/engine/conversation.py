"""What was said in a thread: the answers that are whole, each with what it was asked."""

from __future__ import annotations

from ..core.errors import NotFound
from ..core.job import Job, Turn
from ..core.machine import Answer, fold
from ..core.messages import FunctionCall, Message
from ..core.threads import Conversation, Fork
from ..core.wire import decode_events
from ..store.base import Store
from .hub import BATCH_BYTES


async def read_answer(store: Store, job: Job) -> Answer:
    """Fold a job's log up to the job's own tail, in pieces that never hold the event loop for long."""
    answer = Answer()
    while answer.seq < job.seq and (events := await store.events(job, after=answer.seq, max_bytes=BATCH_BYTES)):
        answer = fold(decode_events(events[: job.seq - answer.seq]), answer)
    return answer


async def said_before(store: Store, job: Job) -> Conversation:
    """Return what was said in the job's thread before it. A turn that failed or was stopped is not history.

    Of a turn that was asked again, the newest that is whole counts. A thread that goes on from another begins with what
    was said there. Raises NotFound if the job itself is gone.
    """
    behind, asked = job, False
    while (before_id := (behind.retry_of if asked else None) or behind.previous) is not None:
        try:
            before = await store.job(job.owner, before_id)
            if before.status == "completed":
                return await _said_with(store, before)
            behind, asked = before, True
        except NotFound:  # deleted since; whoever was behind it is now behind the one before
            asked = False
            behind = await store.job(job.owner, behind.id)
    fork = await _fork(store, job)
    return Conversation() if fork is None else fork.said


async def said_until(store: Store, job: Job) -> Conversation:
    """Return what was said in the thread of a job that has ended until then, with the job if it is whole."""
    if job.status == "completed":
        return await _said_with(store, job)
    if job.retry_of is None:
        return await said_before(store, job)
    return await said_until(store, await store.job(job.owner, job.retry_of))


async def _said_with(store: Store, job: Job) -> Conversation:
    answer = await read_answer(store, job)
    calls = tuple(FunctionCall(id=call.id, name=call.name, arguments=call.arguments) for call in answer.tool_calls)
    said = Message(role="assistant", content=answer.text, tool_calls=calls)
    return Conversation(
        messages=(*job.history, *job.spec.messages, said),
        turns=(*job.turns, Turn(job=job.id, messages=len(job.spec.messages) + 1)),
    )


async def _fork(store: Store, job: Job) -> Fork | None:
    # The thread may be renamed between two reads, and its name then be another's.
    while job.thread is not None:
        fork = await store.fork_of(job.owner, job.thread)
        now = await store.job(job.owner, job.id)
        if now.thread == job.thread:
            return fork
        job = now
    return None
