"""Displays of one job, or of several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..outputs.mimebundle import bundle, bundle_of_several
from .display_updates import read_until_done
from .executed_notebooks import NOT_WAITED_FOR
from .handle_types import Bundle, JobHandle
from .voila import View

if TYPE_CHECKING:
    from .rest_client import Api

SPACING = 0.25  # minimum seconds between two updates of a display
BYTES_PER_SECOND = 100_000  # each update has the whole text, so that a long text is sent less often


class JobsDisplay:
    """Content of a display: a job or several side by side, each with its newest retry."""

    def __init__(self, jobs: Sequence[JobHandle], *, side_by_side: bool = False) -> None:
        self._jobs = list(jobs)
        self._side_by_side = side_by_side
        self._background = jobs[0]._background

    async def update(self, api: Api) -> bool:
        """Read the logs; return True if all answers are complete."""
        self._jobs = [await job._newest(api) for job in self._jobs]
        return all(job._follower.answer.status == "completed" for job in self._jobs)

    def data(self) -> tuple[Bundle, Bundle]:
        """Return the display bundle; its note is for an executed notebook."""
        return self.bundle(unended=NOT_WAITED_FOR), {}

    def bundle(self, *, unended: str = "") -> Bundle:
        """Return the display bundle; ``unended`` as of ``outputs.mimebundle.bundle``."""
        shown = [job.snapshot() for job in self._jobs]
        return bundle_of_several(shown, unended=unended) if self._side_by_side else bundle(shown[0], unended=unended)

    def views(self) -> list[View]:
        """Return a widget of each job."""
        return [job.view() for job in self._jobs]

    async def relay(self, api: Api, update: Callable[[], int]) -> None:
        """Follow the logs; call ``update`` after changes, less often for a long text."""
        clock = asyncio.get_running_loop()
        followers = {asyncio.create_task(_follow(api, job)) for job in self._jobs}
        seen: list[tuple[int, int]] = []
        try:
            while followers:
                ended, followers = await asyncio.wait(followers, timeout=SPACING)
                now = [job._follower.position for job in self._jobs]
                if now != seen or ended:
                    seen, began = now, clock.time()
                    # In a thread: the bundle may need a request on this loop.
                    size = await asyncio.to_thread(update)
                    spent = clock.time() - began
                    await _any_end(followers, max(0.0, size / BYTES_PER_SECOND - spent))
        finally:
            for task in followers:
                task.cancel()


async def _any_end(followers: set[asyncio.Task[None]], seconds: float) -> None:
    if followers and seconds:
        await asyncio.wait(followers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _follow(api: Api, job: JobHandle) -> None:
    follower = job._follower

    async def read() -> bool:
        answer = await follower.wait_after(api, follower.position)
        await job._load_images(api)  # before the end, after which the display is not updated
        return answer.ended

    await read_until_done(read)
