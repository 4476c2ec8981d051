"""One job as the hub sees it: the log's tail, the newest events, and who waits for more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

RING_BYTES = 256 * 1024  # newest encoded events kept per followed job


class Channel:
    """The newest events of one log, as many as fit the ring. It exists only while somebody follows the job."""

    def __init__(self) -> None:
        self.followers = 0
        self.tail = 0  # the last event in the ring, or where it begins to grow
        self.known = 0  # the last event that is known to be committed; > tail: there is a gap to read
        self.gone = False  # the job was deleted
        self.closed = False  # this server stops, and nothing more will be heard
        self.reading: asyncio.Task[None] | None = None  # closes the gap
        self._ring: list[bytes] = []
        self._bytes = 0
        self._changed = asyncio.Event()

    def begin(self, seq: int) -> None:
        """Note where the log is: for the first follower the ring begins to grow there."""
        self.tail = self.tail or seq
        self.known = max(self.known, seq)

    def feed(self, events: Sequence[bytes], tail: int) -> None:
        """Take what a commit brought. ``tail`` is the number of its last event; old events are passed over."""
        self.known = max(self.known, tail)
        fresh = tail - self.tail
        if fresh <= 0 or fresh > len(events):  # nothing new, or there is a gap: the hub reads it from the log
            return
        fresh_events = events[len(events) - fresh :]
        self._ring.extend(fresh_events)
        self._bytes += sum(map(len, fresh_events))
        self.tail = tail
        drop = 0
        while self._bytes > RING_BYTES and drop < len(self._ring) - 1:
            self._bytes -= len(self._ring[drop])
            drop += 1
        del self._ring[:drop]
        self._wake()

    def after(self, seq: int) -> Sequence[bytes] | None:
        """Return the events after ``seq``, or None if the follower has fallen behind the ring."""
        behind = self.tail - seq
        if behind > len(self._ring):
            return None
        return self._ring[len(self._ring) - behind :] if behind > 0 else ()

    def delete(self) -> None:
        """Tell the followers that the job is gone."""
        self.gone = True
        self._wake()

    def close(self) -> None:
        """Tell the followers that nothing more will be heard here."""
        self.closed = True
        if self.reading is not None:
            self.reading.cancel()
        self._wake()

    async def change(self, seq: int) -> None:
        """Wait until there is something after ``seq``, or there will never be."""
        while self.tail <= seq and not (self.gone or self.closed):
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
