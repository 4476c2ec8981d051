"""Wait for a batch by polling."""

import asyncio
from collections.abc import Awaitable, Callable

from ..errors import LOST
from ..follower import PATIENCE

_SHORTEST, _LONGEST = 0.05, 1.0  # seconds between two requests


async def until(done: Callable[[], bool], read: Callable[[], Awaitable[object]], check: Callable[[], None]) -> None:
    """Poll until ``done()``, through lost connections.

    Args:
        done: returns True when the wait is over.
        read: reads the state from the server.
        check: raises an error that makes waiting useless.

    """
    clock = asyncio.get_running_loop()
    lost, pause = clock.time(), _SHORTEST
    while not done():
        try:
            await read()
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
