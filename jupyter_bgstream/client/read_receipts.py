"""Whoever has read an answer by its handle need not be told that it is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Protocol

from ..core.errors import BgStreamError

_PAUSE = 0.2  # seconds in which further answers are gathered for one request


class Notices(Protocol):
    """Where notices are marked read."""

    async def read(self, job_ids: Collection[str]) -> None: ...


class ReadReceipts:
    """Marks the notices of jobs read: a loop over thousands of answers makes few requests, and waits for none."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._jobs: set[str] = set()
        self._busy = False

    async def mark(self, job_id: str) -> None:
        """Mark a job's notice read. That it could not be is nobody's trouble: then it is unread."""
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
