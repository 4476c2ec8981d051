"""Time, so that tests can bring their own."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Protocol

SETTLING = 86_400.0  # seconds for which a jump forward must last
SMALL_JUMP = 60.0  # seconds; such a jump counts at once


class Clock(Protocol):
    """What the engine needs to know of time. A stored time is a wall time, a duration is measured in monotonic time."""

    def time(self) -> float: ...  # Unix seconds; may jump, since people and NTP set it
    def monotonic(self) -> float: ...  # seconds; never jumps, and goes on while the machine sleeps
    async def sleep(self, seconds: float) -> None: ...


def _monotonic() -> float:
    # On Linux CLOCK_MONOTONIC stands still while the machine sleeps; elsewhere it does not, but on macOS
    # time.monotonic() is another clock, which does.
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


class SettledTime:
    """Wall time for what cannot be undone: a jump forward counts only after it has lasted for a day.

    A clock that somebody sets to a wrong year by mistake must not delete a year's answers. A jump back counts at once,
    since it makes everything younger. Only jumps in this object's life are seen.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.time() - clock.monotonic()
        self._ahead = 0.0
        self._noticed = 0.0  # monotonic seconds

    def time(self) -> float:
        """Return Unix seconds."""
        steady = self._clock.monotonic()
        ahead = self._clock.time() - steady - self._offset
        if ahead > SMALL_JUMP and abs(ahead - self._ahead) > SMALL_JUMP:
            self._noticed = steady
        self._ahead = ahead if ahead > SMALL_JUMP and steady - self._noticed < SETTLING else 0.0
        if not self._ahead:
            self._offset += ahead
        return steady + self._offset

    @property
    def ahead(self) -> float:
        """The seconds by which the wall clock was ahead at the last look, after a jump that does not count yet."""
        return self._ahead


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment, such as the machine's start."""
        return _monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds; those that the machine sleeps may not count."""
        await asyncio.sleep(seconds)
