"""Wakes followers: who follows a job reads its log until it has caught up, then the ring, and is never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from ..core.cursor import Cursor
from ..core.errors import NotFound
from ..core.events import End
from ..core.job import Job
from ..core.wire import decode_event
from ..store.base import Change, Store
from .topic import Topic

BATCH_BYTES = 256 * 1024  # most that one read of the log brings

Listener = Callable[[Change], None]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events that follow each other, as stored, and the position after them."""

    events: Sequence[bytes]
    cursor: Cursor
    closed: bool  # the log ends here


class Hub:
    """Carries every commit of the store to those who follow its job, and to the listeners.

    Replay and live are one loop: no gap, no double, and nothing queues behind a slow follower.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._topics: dict[tuple[str, str], Topic] = {}
        self._listeners: set[Listener] = set()
        self._reads: set[asyncio.Task[None]] = set()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every change from here on; returns what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def run(self) -> None:
        """Carry changes until the store closes or the task is cancelled."""
        try:
            async for changes in self._store.changes():
                for change in changes:
                    self._carry(change)
        finally:
            for topic in self._topics.values():
                topic.gone = True
                topic.wake()
            for read in self._reads:
                read.cancel()

    def _carry(self, change: Change) -> None:
        key = (change.owner, change.job)
        topic = self._topics.get(key)
        if topic is not None and change.kind == "deleted":
            topic.gone = True
            topic.wake()
        elif topic is not None and change.kind != "notice":
            topic.feed(change.events, change.seq)
            self._close_gap(key, topic)
        if change.kind != "events":
            for listener in tuple(self._listeners):
                listener(change)

    def _close_gap(self, key: tuple[str, str], topic: Topic) -> None:
        # One read serves all followers of a job that another server runs.
        if topic.known > topic.tail:
            read = asyncio.create_task(self._read(key, topic))
            self._reads.add(read)
            read.add_done_callback(self._reads.discard)

    async def _read(self, key: tuple[str, str], topic: Topic) -> None:
        while topic.known > topic.tail and not topic.gone:
            after = topic.tail
            events = await self._store.events(*key, after=after, max_bytes=BATCH_BYTES)
            if not events:
                return
            topic.feed(events, after + len(events))

    async def follow(self, owner: str, job_id: str, after: int) -> AsyncGenerator[Batch, None]:
        """Yield everything after event ``after``, then what comes, until the log has ended; raises NotFound."""
        key = (owner, job_id)
        topic = self._topics.setdefault(key, Topic())
        topic.followers += 1
        try:
            # First subscribed, then looked at: what is committed from here on is in the ring.
            job = await self._store.job(owner, job_id)
            if topic.tail == 0:
                topic.tail = job.seq
                self._close_gap(key, topic)
            if job.ended and after >= job.seq:
                yield Batch(events=(), cursor=job.cursor, closed=True)
                return
            async for batch in self._batches(job, topic, after):
                yield batch
                if batch.closed:
                    return
        finally:
            topic.followers -= 1
            if not topic.followers and self._topics.get(key) is topic:
                del self._topics[key]

    async def _batches(self, job: Job, topic: Topic, after: int) -> AsyncGenerator[Batch, None]:
        while True:
            if topic.gone:
                raise NotFound(f"The job {job.id} was deleted.")
            events = topic.after(after)
            if events is None:
                events = await self._store.events(job.owner, job.id, after=after, max_bytes=BATCH_BYTES)
            if not events:
                await topic.beyond(after)
                continue
            after += len(events)
            last = decode_event(events[-1])
            yield Batch(
                events=events,
                cursor=Cursor(log=job.log, attempt=last.attempt, seq=after),
                closed=isinstance(last, End),
            )
