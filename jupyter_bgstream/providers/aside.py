"""Calls code of others, such as a function in Jupyter's config, beside the event loop and in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(function: Callable[[], T], *, seconds: float, name: str) -> T:
    """Return what a function returns, called in a daemon thread of its own; raises what it raises.

    Raises TimeoutError after so many seconds; the thread is then left to itself, and does not keep the process alive.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((value, error))

    def run() -> None:
        value, problem = None, None
        try:
            value = function()
        except BaseException as error:  # sys.exit() in it ends nothing either
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(tell, value, problem)

    threading.Thread(target=run, name=f"bgstream-{name}", daemon=True).start()
    async with asyncio.timeout(seconds):
        value, problem = await outcome
    if isinstance(problem, Exception) and not isinstance(problem, StopIteration | StopAsyncIteration):
        raise problem
    if problem is not None:
        raise RuntimeError(f"it raised {type(problem).__name__}") from problem
    return value  # type: ignore[return-value]  # there was no problem, so it is there
