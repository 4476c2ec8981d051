"""Clocks: the system's behind a protocol, so that tests can use their own, and a wall time that ignores jumps."""

import asyncio
import sys
import time
from typing import Protocol

SETTLE_SECONDS = 86_400.0  # for which a jump forward must last
SMALL_JUMP = 60.0  # seconds; up to this a jump counts at once


class Clock(Protocol):
    """The engine's time. Stored times are wall times; durations are measured in monotonic time."""

    def time(self) -> float: ...  # Unix seconds; may jump, since users and NTP set it
    def monotonic(self) -> float: ...  # seconds; never jumps, and advances while the machine sleeps
    async def sleep(self, seconds: float) -> None: ...


def _monotonic() -> float:
    # On Linux CLOCK_MONOTONIC stops while the machine sleeps; on other systems it does not. On macOS time.monotonic()
    # is another clock, which stops.
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


class SettledTime:
    """Wall time for irreversible actions: a jump forward counts only after it has lasted for a day.

    A clock that is set to a wrong year by mistake must not delete a year's answers. A jump back counts at once, since
    it makes everything younger. Only jumps in this object's life are detected.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.time() - clock.monotonic()
        self._ahead = 0.0
        self._detected_at = 0.0  # monotonic seconds

    def time(self) -> float:
        """Return Unix seconds."""
        steady = self._clock.monotonic()
        ahead = self._clock.time() - steady - self._offset
        if ahead > SMALL_JUMP and abs(ahead - self._ahead) > SMALL_JUMP:
            self._detected_at = steady
        self._ahead = ahead if ahead > SMALL_JUMP and steady - self._detected_at < SETTLE_SECONDS else 0.0
        if not self._ahead:
            self._offset += ahead
        return steady + self._offset

    @property
    def ahead(self) -> float:
        """Seconds by which the wall clock is ahead, as of the last ``time()``, after a jump that does not count yet."""
        return self._ahead


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment, such as the machine's start."""
        return _monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds; time that the machine sleeps may not count."""
        await asyncio.sleep(seconds)
