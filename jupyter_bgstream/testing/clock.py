"""A clock that only a test advances; the wall clock can also jump, and the machine sleep."""

from __future__ import annotations

import asyncio
import heapq
import itertools

START = 1_700_000_000.0  # Unix seconds; any value works
PATIENCE = 60.0  # real seconds that a test waits for an expected event


class FakeClock:
    """Clock of the engine for tests: only ``advance`` moves it, and wakes the tasks whose time has come.

    ``jump`` sets the wall clock alone, like NTP. ``suspend`` moves both clocks and wakes no task: while a machine
    sleeps, the time-outs of its processes do not run.

    Call ``await clock.sleeping()`` first, so that the tasks are asleep::

        await clock.sleeping()
        clock.advance(2)
    """

    def __init__(self, now: float = START) -> None:
        self._start = now
        self._now = now  # only ``advance`` moves it; sleepers wait for it
        self._suspended = 0.0  # seconds
        self._jumped = 0.0  # seconds
        self._order = itertools.count()  # of sleepers due at the same time, the first to sleep wakes first
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._more = asyncio.Event()

    def time(self) -> float:
        """Return Unix seconds."""
        return self._now + self._suspended + self._jumped

    def monotonic(self) -> float:
        """Return seconds since the creation of this clock, suspended time included, independent of the wall clock."""
        return self._now - self._start + self._suspended

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has advanced by this many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        self._more.set()
        await woken

    def advance(self, seconds: float) -> None:
        """Advance the time and wake the tasks that are due, in order; they run at the next await of the caller."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():  # it was cancelled
                woken.set_result(None)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back by a negative number; no task wakes."""
        self._jumped += seconds

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: both clocks advance, and no task wakes."""
        self._suspended += seconds

    async def sleeping(self, number: int = 1) -> None:
        """Wait until that many tasks sleep on this clock.

        Raises:
            TimeoutError: Fewer tasks sleep after PATIENCE seconds.
        """
        async with asyncio.timeout(PATIENCE):
            while sum(not woken.done() for _, _, woken in self._sleepers) < number:
                self._more.clear()
                await self._more.wait()
