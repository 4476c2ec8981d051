"""Mark notices as read when a result was read through a handle: batched, in the background."""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Protocol

from ..core.errors import BgStreamError

_PAUSE = 0.2  # seconds in which further jobs are collected for one request


class Notices(Protocol):
    """Server that marks notices as read."""

    async def read(self, job_ids: Collection[str]) -> None: ...


class ReadReceipts:
    """Collects jobs and marks their notices as read: thousands of results need few requests."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._jobs: set[str] = set()
        self._busy = False

    async def mark(self, job_id: str) -> None:
        """Mark the notice of a job as read; errors are ignored, and the notice stays unread."""
        self._jobs.add(job_id)
        if self._busy:
            return
        self._busy = True
        try:
            while self._jobs:
                jobs, self._jobs = self._jobs, set()
                with contextlib.suppress(BgStreamError):
                    await self._notices.read(jobs)
                await asyncio.sleep(_PAUSE)
        finally:
            self._busy = False
