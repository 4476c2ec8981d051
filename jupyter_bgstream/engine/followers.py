"""Serves followers of jobs from a ring of new events in memory, or from the log if they are behind it."""

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
from ..store.port_values import Change
from ..store.ports.store import Store
from .clock import Clock

RING_BYTES = 256 * 1024  # newest encoded events held per followed job
BATCH_BYTES = 256 * 1024  # most that one read of the log returns
RETRY_SECONDS = 1.0  # between attempts to read another server's events

Listener = Callable[[Change], None]

log = logging.getLogger(__name__)


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive events, as stored, and the position after them."""

    events: Sequence[bytes]
    cursor: Cursor
    closed: bool  # the log has ended at the cursor
    up_to_date: bool  # nothing more was committed when this was read


class Followers:
    """Delivers every commit of the store to the followers of its job, and to the listeners.

    Replay and live events go through one loop: there is no gap and no duplicate, and nothing queues behind a slow
    follower.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._channels: dict[tuple[str, str], _Channel] = {}
        self._listeners: set[Listener] = set()
        self._closed = False

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every change from now on; return a function that unsubscribes it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def run(self) -> None:
        """Deliver changes until the store has closed; by then followers have received everything."""
        try:
            async for changes in self._store.changes():
                for change in changes:
                    self._deliver(change)
        finally:
            self._closed = True
            for channel in self._channels.values():
                channel.stop()

    def _deliver(self, change: Change) -> None:
        key = (change.owner, change.subject)
        if change.kind == "deleted":
            # Its followers keep the removed channel; followers of a new job with this id get a new one.
            if (deleted := self._channels.pop(key, None)) is not None:
                deleted.delete()
        elif change.kind in ("job", "events") and (channel := self._channels.get(key)) is not None:
            channel.append(change.events, change.seq)
        if change.kind != "events":
            for listener in tuple(self._listeners):
                listener(change)
        if (channel := self._channels.get(key)) is not None:
            self._close_gap(channel, change.owner, change.subject)

    def _close_gap(self, channel: _Channel, owner: str, job_id: str) -> None:
        # Events that another server commits arrive without their bytes: one read serves all followers.
        if channel.known > channel.tail and channel.reading is None:
            channel.reading = asyncio.create_task(self._read(channel, owner, job_id))

    async def _read(self, channel: _Channel, owner: str, job_id: str) -> None:
        try:
            while channel.known > channel.tail and not channel.deleted and channel.followers:
                try:
                    job = await self._store.job(owner, job_id)
                    after = channel.tail
                    events = await self._store.events(job, after=after, max_bytes=BATCH_BYTES)
                    channel.append(events, after + len(events))
                except NotFoundError:  # deleted; that change is on its way
                    return
                except BgStreamError as error:
                    log.warning("job %s cannot be read, retrying: %s", job_id, error)
                    await self._clock.sleep(RETRY_SECONDS)
        finally:
            channel.reading = None

    async def follow(self, job: Job, *, after: int) -> AsyncGenerator[EventBatch, None]:
        """Yield all events after number ``after``, stored and new, until the log ends.

        Raises:
            NotFoundError: the job was deleted.
            UnavailableError: this server stops.

        """
        key = (job.owner, job.id)
        channel = self._channels.setdefault(key, _Channel())
        channel.followers += 1
        try:
            # Subscribe before reading: what is committed from here on is in the ring.
            now = await self._store.job(job.owner, job.id)
            if now.log != job.log:
                raise NotFoundError(f"The job {job.id} was deleted.")
            channel.start_at(now.seq)
            self._close_gap(channel, *key)
            if now.ended and after >= now.seq:
                yield EventBatch(events=(), cursor=now.cursor, closed=True, up_to_date=True)
                return
            async for batch in self._batches(job, channel, after):
                yield batch
                if batch.closed:
                    return
        finally:
            channel.followers -= 1
            if not channel.followers and self._channels.get(key) is channel:
                del self._channels[key]

    async def _batches(self, job: Job, channel: _Channel, after: int) -> AsyncGenerator[EventBatch, None]:
        while True:
            if channel.deleted:
                raise NotFoundError(f"The job {job.id} was deleted.")
            events = channel.events_after(after)
            if events is None:
                events = await self._store.events(job, after=after, max_bytes=BATCH_BYTES)
            if not events:
                if channel.stopped or self._closed:
                    raise UnavailableError("This server is shutting down. The text so far is saved; reopen it later.")
                await channel.wait_for_event_after(after)
                continue
            after += len(events)
            last = decode_event(events[-1])
            closed = isinstance(last, End)
            yield EventBatch(
                events=events,
                cursor=Cursor(log=job.log, attempt=last.attempt, seq=after),
                closed=closed,
                up_to_date=closed or after >= channel.known,
            )


class _Channel:
    """The newest events of one job's log, as many as fit the ring. It exists only while the job has followers."""

    def __init__(self) -> None:
        self.followers = 0
        self.tail = 0  # number of the last event in the ring, or of the event before its first
        self.known = 0  # number of the last event known to be committed; > tail: there is a gap to read
        self.deleted = False
        self.stopped = False  # this server stops; no more events arrive
        self.reading: asyncio.Task[None] | None = None  # closes the gap
        self._ring: list[bytes] = []
        self._bytes = 0
        self._changed = asyncio.Event()

    def start_at(self, seq: int) -> None:
        """Take the tail of the stored log; the first follower's ring starts after it."""
        self.tail = self.tail or seq
        self.known = max(self.known, seq)

    def append(self, events: Sequence[bytes], tail: int) -> None:
        """Append the events of a commit. ``tail`` is the number of the last one; known events are skipped."""
        self.known = max(self.known, tail)
        new_count = tail - self.tail
        if new_count <= 0 or new_count > len(events):  # nothing new, or a gap that ``Followers`` reads from the log
            return
        new_events = events[len(events) - new_count :]
        self._ring.extend(new_events)
        self._bytes += sum(map(len, new_events))
        self.tail = tail
        drop = 0
        while self._bytes > RING_BYTES and drop < len(self._ring) - 1:
            self._bytes -= len(self._ring[drop])
            drop += 1
        del self._ring[:drop]
        self._wake()

    def events_after(self, seq: int) -> Sequence[bytes] | None:
        """Return the events after ``seq``, or None if the follower has fallen behind the ring."""
        behind = self.tail - seq
        if behind > len(self._ring):
            return None
        return self._ring[len(self._ring) - behind :] if behind > 0 else ()

    def delete(self) -> None:
        """Signal the followers that the job was deleted."""
        self.deleted = True
        self._wake()

    def stop(self) -> None:
        """Signal the followers that no more events arrive here."""
        self.stopped = True
        if self.reading is not None:
            self.reading.cancel()
        self._wake()

    async def wait_for_event_after(self, seq: int) -> None:
        """Wait for an event after ``seq``, the deletion of the job or the stop of this server."""
        while self.tail <= seq and not (self.deleted or self.stopped):
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
