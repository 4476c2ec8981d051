"""Builds what a job sends before its own messages: the completed turns of its thread, and their images."""

from collections.abc import Iterator

import msgspec

from ..core.attachment_checks import MAX_IMAGE_BYTES, MAX_IMAGES
from ..core.codec import decode_events
from ..core.errors import NotFoundError
from ..core.job import Job, Turn
from ..core.messages import FunctionCall, ImagePart, Message, TextPart
from ..core.state import Answer, fold
from ..core.threads import Conversation, Fork
from ..store.port_values import IMAGE_CHUNK, StoredImage
from ..store.ports.store import Store
from .followers import BATCH_BYTES

RETURNED_BYTES = 14 * 1024 * 1024  # of images that are sent again: Gemini accepts 20 MB per request, as base64


async def read_answer(store: Store, job: Job) -> Answer:
    """Fold a job's log up to ``job.seq``, in batches, so that the event loop is never held for long."""
    answer = Answer()
    while answer.seq < job.seq and (events := await store.events(job, after=answer.seq, max_bytes=BATCH_BYTES)):
        answer = fold(decode_events(events[: job.seq - answer.seq]), answer)
    return answer


async def read_image(store: Store, image: StoredImage) -> bytes:
    """Return the file of an image."""
    return b"".join([await store.image_chunk(image, chunk) for chunk in range(-(-image.bytes // IMAGE_CHUNK))])


async def history_before(store: Store, job: Job) -> Conversation:
    """Return the completed turns before a job in its thread, newest retry of each; failed turns are left out.

    The history of a forked thread begins with that of its origin.

    Raises:
        NotFoundError: the job was deleted.

    """
    later, retried = job, False
    while (earlier_id := (later.retry_of if retried else None) or later.previous) is not None:
        try:
            earlier = await store.job(job.owner, earlier_id)
            if earlier.status == "completed":
                return await _history_with(store, earlier)
            later, retried = earlier, True
        except NotFoundError:  # deleted meanwhile; the job after it now follows the job before it
            retried = False
            later = await store.job(job.owner, later.id)
    fork = await _fork(store, job)
    return Conversation() if fork is None else fork.conversation


async def history_until(store: Store, job: Job) -> Conversation:
    """Return the history before an ended job, and the job's own turn if it completed."""
    if job.status == "completed":
        return await _history_with(store, job)
    if job.retry_of is None:
        return await history_before(store, job)
    return await history_until(store, await store.job(job.owner, job.retry_of))


async def with_images(store: Store, job: Job) -> Job:
    """Return a job whose request includes the images of earlier answers, newest first, as far as they fit.

    Each is sent with the user message after its answer, as if the user had attached it: providers accept images from
    users only, or demand a signature for those of a model. Images of deleted jobs, such as before a fork, are left
    out.
    """
    messages = [*job.history, *job.spec.messages]
    left, count = RETURNED_BYTES, MAX_IMAGES - sum(len(message.images) for message in messages)
    for at, turn in _answers(job):
        following = next((n for n in range(at + 1, len(messages)) if messages[n].role == "user"), None)
        if following is None or "(Picture " not in messages[at].text:
            continue
        parts: list[ImagePart] = []
        for image in reversed(await _images(store, job.owner, turn.job, messages[at])):
            if image.bytes <= min(MAX_IMAGE_BYTES, left) and count > 0:
                left, count = left - image.bytes, count - 1
                parts.insert(0, ImagePart(media_type=image.media_type, data=await read_image(store, image)))
        if parts:
            content = messages[following].content
            own_parts = (TextPart(text=content),) if isinstance(content, str) else content
            messages[following] = msgspec.structs.replace(messages[following], content=(*parts, *own_parts))
    history = len(job.history)
    spec = msgspec.structs.replace(job.spec, messages=tuple(messages[history:]))
    return msgspec.structs.replace(job, history=tuple(messages[:history]), spec=spec)


def _answers(job: Job) -> Iterator[tuple[int, Turn]]:
    # Indexes in the history of answers whose job is known, newest first.
    at = len(job.history) - 1
    for turn in reversed(job.turns):
        yield at, turn
        at -= turn.messages


async def _images(store: Store, owner: str, job_id: str, message: Message) -> list[StoredImage]:
    try:
        job = await store.job(owner, job_id)
        answer = await read_answer(store, job)
        if answer.text != message.content:  # a new job has this id
            return []
        return [await store.image(owner, job_id, image.id) for image in answer.images]
    except NotFoundError:
        return []


async def _history_with(store: Store, job: Job) -> Conversation:
    answer = await read_answer(store, job)
    calls = tuple(FunctionCall(id=call.id, name=call.name, arguments=call.arguments) for call in answer.tool_calls)
    message = Message(role="assistant", content=answer.text, tool_calls=calls)
    return Conversation(
        messages=(*job.history, *job.spec.messages, message),
        turns=(*job.turns, Turn(job=job.id, messages=len(job.spec.messages) + 1)),
    )


async def _fork(store: Store, job: Job) -> Fork | None:
    # The thread may be renamed between two reads, and another thread may take its name.
    while job.thread is not None:
        fork = await store.fork_of(job.owner, job.thread)
        now = await store.job(job.owner, job.id)
        if now.thread == job.thread:
            return fork
        job = now
    return None
