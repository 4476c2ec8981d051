"""Wakes followers: who follows a job reads its log until it has caught up, then the ring, and is never in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from ..core.codec import decode_event
from ..core.cursor import Cursor
from ..core.errors import BgStreamError, NotFoundError, UnavailableError
from ..core.events import End
from ..core.job import Job
from ..store.base import Change, Store
from .channel import Channel
from .clock import Clock

BATCH_BYTES = 256 * 1024  # most that one read of the log brings
RETRY_SECONDS = 1.0  # between tries to read another server's events

Listener = Callable[[Change], None]

log = logging.getLogger(__name__)


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Events that follow each other, as stored, and the position after them."""

    events: Sequence[bytes]
    cursor: Cursor
    closed: bool  # the log ends here
    up_to_date: bool  # nothing more was committed when this was read


class Hub:
    """Carries every commit of the store to those who follow its job, and to the listeners.

    Replay and live are one loop: no gap, no double, and nothing queues behind a slow follower.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._topics: dict[tuple[str, str], Channel] = {}
        self._listeners: set[Listener] = set()
        self._closed = False

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every change from here on; returns what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def run(self) -> None:
        """Carry changes until the store has closed; followers have then been given all there was."""
        try:
            async for changes in self._store.changes():
                for change in changes:
                    self._carry(change)
        finally:
            self._closed = True
            for topic in self._topics.values():
                topic.close()

    def _carry(self, change: Change) -> None:
        key = (change.owner, change.job)
        if change.kind == "deleted":
            # Its followers keep the topic; whoever follows a new job of this id gets a new one.
            if (deleted := self._topics.pop(key, None)) is not None:
                deleted.delete()
        elif change.kind in ("job", "events") and (topic := self._topics.get(key)) is not None:
            topic.feed(change.events, change.seq)
        if change.kind != "events":
            for listener in tuple(self._listeners):
                listener(change)
        if (topic := self._topics.get(key)) is not None:
            self._close_gap(topic, change.owner, change.job)

    def _close_gap(self, topic: Channel, owner: str, job_id: str) -> None:
        # One read serves all followers of a job that another server runs.
        if topic.known > topic.tail and topic.reading is None:
            topic.reading = asyncio.create_task(self._read(topic, owner, job_id))

    async def _read(self, topic: Channel, owner: str, job_id: str) -> None:
        try:
            while topic.known > topic.tail and not topic.gone and topic.followers:
                try:
                    job = await self._store.job(owner, job_id)
                    after = topic.tail
                    events = await self._store.events(job, after=after, max_bytes=BATCH_BYTES)
                    topic.feed(events, after + len(events))
                except NotFoundError:  # deleted; the change that says so is on its way
                    return
                except BgStreamError as error:
                    log.warning("job %s cannot be read, trying again: %s", job_id, error)
                    await self._clock.sleep(RETRY_SECONDS)
        finally:
            topic.reading = None

    async def follow(self, job: Job, *, after: int) -> AsyncGenerator[EventBatch, None]:
        """Yield everything after event ``after``, then what comes, until the log has ended.

        Raises NotFoundError when the job is deleted, UnavailableError when this server stops.
        """
        key = (job.owner, job.id)
        topic = self._topics.setdefault(key, Channel())
        topic.followers += 1
        try:
            # First subscribed, then looked at: what is committed from here on is in the ring.
            now = await self._store.job(job.owner, job.id)
            if now.log != job.log:
                raise NotFoundError(f"The job {job.id} was deleted.")
            topic.begin(now.seq)
            self._close_gap(topic, *key)
            if now.ended and after >= now.seq:
                yield EventBatch(events=(), cursor=now.cursor, closed=True, up_to_date=True)
                return
            async for batch in self._batches(job, topic, after):
                yield batch
                if batch.closed:
                    return
        finally:
            topic.followers -= 1
            if not topic.followers and self._topics.get(key) is topic:
                del self._topics[key]

    async def _batches(self, job: Job, topic: Channel, after: int) -> AsyncGenerator[EventBatch, None]:
        while True:
            if topic.gone:
                raise NotFoundError(f"The job {job.id} was deleted.")
            events = topic.after(after)
            if events is None:
                events = await self._store.events(job, after=after, max_bytes=BATCH_BYTES)
            if not events:
                if topic.closed or self._closed:
                    raise UnavailableError(
                        "This server is shutting down. The job's text is kept; look again in a moment."
                    )
                await topic.change(after)
                continue
            after += len(events)
            last = decode_event(events[-1])
            closed = isinstance(last, End)
            yield EventBatch(
                events=events,
                cursor=Cursor(log=job.log, attempt=last.attempt, seq=after),
                closed=closed,
                up_to_date=closed or after >= topic.known,
            )
