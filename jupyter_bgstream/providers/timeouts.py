"""Time-outs of an answer: without data, and in total."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from .errors import ErrorBuilder

T = TypeVar("T")


class Timeouts:
    """Limits the wait for the next data by the idle time-out and the rest of the total time-out, both in seconds."""

    def __init__(self, errors: ErrorBuilder, *, idle: float, total: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._errors = errors
        self._idle = idle
        self._total = total
        self._end = self._loop.time() + total

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait for data; raise ProviderError (``idle_timeout`` or ``total_timeout``)."""
        idle_end = self._loop.time() + self._idle
        try:
            async with asyncio.timeout_at(min(idle_end, self._end)):
                return await awaitable
        except TimeoutError:
            if idle_end < self._end:
                raise self._errors.error("idle_timeout", seconds=self._idle) from None
            raise self._errors.error("total_timeout", seconds=self._total) from None
