"""What was said in a thread: the answers that are whole, each with what it was asked."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..core.attachments import MAX_IMAGE_BYTES, MAX_IMAGES
from ..core.codec import decode_events
from ..core.errors import NotFoundError
from ..core.job import Job, Turn
from ..core.messages import FunctionCall, ImagePart, Message, TextPart
from ..core.state import Answer, fold
from ..core.threads import Conversation, Fork
from ..store.base import IMAGE_CHUNK, Store, StoredImage
from .hub import BATCH_BYTES

RETURNED_BYTES = 14 * 1024 * 1024  # of pictures that go along with a request: Gemini takes 20 MB in all, as base64


async def read_answer(store: Store, job: Job) -> Answer:
    """Fold a job's log up to the job's own tail, in pieces that never hold the event loop for long."""
    answer = Answer()
    while answer.seq < job.seq and (events := await store.events(job, after=answer.seq, max_bytes=BATCH_BYTES)):
        answer = fold(decode_events(events[: job.seq - answer.seq]), answer)
    return answer


async def said_before(store: Store, job: Job) -> Conversation:
    """Return what was said in the job's thread before it. A turn that failed or was stopped is not history.

    Of a turn that was asked again, the newest that is whole counts. A thread that goes on from another begins with what
    was said there. Raises NotFoundError if the job itself is gone.
    """
    behind, asked = job, False
    while (before_id := (behind.retry_of if asked else None) or behind.previous) is not None:
        try:
            before = await store.job(job.owner, before_id)
            if before.status == "completed":
                return await _said_with(store, before)
            behind, asked = before, True
        except NotFoundError:  # deleted since; whoever was behind it is now behind the one before
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


async def with_pictures(store: Store, job: Job) -> Job:
    """Return a job whose request shows the pictures of earlier answers again, the newest first as far as they fit.

    Each goes along with what was asked next, as if the user had shown it. Services take pictures of a user; of a model
    they refuse them, or want a signature that was sent with them. The pictures of an answer whose job is gone, such as
    those before a fork, are gone with it.
    """
    messages = [*job.history, *job.spec.messages]
    left, count = RETURNED_BYTES, MAX_IMAGES - sum(len(message.images) for message in messages)
    for at, turn in _answers(job):
        following = next((n for n in range(at + 1, len(messages)) if messages[n].role == "user"), None)
        if following is None or "(Picture " not in messages[at].text:
            continue
        parts: list[ImagePart] = []
        for image in reversed(await _pictures(store, job.owner, turn.job, messages[at])):
            if image.bytes <= min(MAX_IMAGE_BYTES, left) and count > 0:
                left, count = left - image.bytes, count - 1
                parts.insert(0, ImagePart(media_type=image.media_type, data=await _file(store, image)))
        if parts:
            asked = messages[following].content
            own = (TextPart(text=asked),) if isinstance(asked, str) else asked
            messages[following] = msgspec.structs.replace(messages[following], content=(*parts, *own))
    history = len(job.history)
    spec = msgspec.structs.replace(job.spec, messages=tuple(messages[history:]))
    return msgspec.structs.replace(job, history=tuple(messages[:history]), spec=spec)


def _answers(job: Job) -> Iterator[tuple[int, Turn]]:
    # Where in the history the answers stand that are known to be of a job, the newest first.
    at = len(job.history) - 1
    for turn in reversed(job.turns):
        yield at, turn
        at -= turn.messages


async def _pictures(store: Store, owner: str, job_id: str, said: Message) -> list[StoredImage]:
    try:
        job = await store.job(owner, job_id)
        answer = await read_answer(store, job)
        if answer.text != said.content:  # the id is another job's by now
            return []
        return [await store.image(owner, job_id, image.id) for image in answer.images]
    except NotFoundError:
        return []


async def _file(store: Store, image: StoredImage) -> bytes:
    return b"".join([await store.image_chunk(image, chunk) for chunk in range(-(-image.bytes // IMAGE_CHUNK))])


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
