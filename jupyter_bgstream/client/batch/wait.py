"""Wait for a batch by looking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..errors import LOST
from ..follower import PATIENCE

_SHORTEST, _LONGEST = 0.05, 1.0  # seconds between two looks


async def until(done: Callable[[], bool], look: Callable[[], Awaitable[object]], check: Callable[[], None]) -> None:
    """Look until it is done, through lost connections: the server may be back in a moment.

    ``check`` raises what makes waiting vain.
    """
    clock = asyncio.get_running_loop()
    lost, pause = clock.time(), _SHORTEST
    while not done():
        try:
            await look()
        except LOST:
            if clock.time() - lost > PATIENCE:
                raise
        else:
            lost = clock.time()
            if done():
                return
        check()
        await asyncio.sleep(pause)
        pause = min(_LONGEST, pause * 1.5)
