"""Time that passes for an engine with a fake clock."""

from __future__ import annotations

import asyncio

from jupyter_bgstream.testing.clock import FakeClock

HOUR, DAY = 3600.0, 86_400.0


async def settle() -> None:
    """Let everything run that does not wait for the clock."""
    for _ in range(30):
        await asyncio.sleep(0)


async def pass_time(clock: FakeClock, seconds: float, step: float = 5.0) -> None:
    """Let time pass in steps, so that whoever slept sleeps again."""
    while seconds > 0:
        clock.advance(min(step, seconds))
        seconds -= step
        await settle()
