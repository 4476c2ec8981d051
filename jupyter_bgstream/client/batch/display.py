"""Display of a batch in a cell, updated until the batch has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..display_updates import publish, read_until_done
from ..executed_notebooks import REST_NOT_WAITED_FOR
from ..handle_types import BatchHandle, Bundle
from ..job_source import current_shell
from ..voila import View

if TYPE_CHECKING:
    from ..rest_client import Api

SPACING = 1.0  # seconds between two updates of a display


def this_run() -> object | None:
    """Return a value that identifies this run of a cell, or None outside IPython."""
    shell = current_shell()
    return None if shell is None else (id(shell), shell.execution_count)


def show(batch: BatchHandle) -> None:
    """Display a batch, and update the display if the front end cannot ask the server."""
    shell = current_shell()
    if shell is not None:
        publish(shell, BatchDisplay(batch))


class BatchDisplay:
    """Content of the display of a batch."""

    def __init__(self, batch: BatchHandle) -> None:
        self._batch = batch
        self._background = batch._background

    async def update(self, api: Api) -> bool:
        """Read the state; failed rows may be retried, so that only a complete batch is final."""
        info = await self._batch._refresh(api)
        return info.ended and info.counts.completed == info.total

    def data(self) -> tuple[Bundle, Bundle]:
        """Return the display bundle; its note is for an executed notebook."""
        return self._batch.placeholder(unended=REST_NOT_WAITED_FOR), {}

    def bundle(self) -> Bundle:
        """Return the display bundle."""
        return self._batch.placeholder()

    def views(self) -> list[View]:
        """Return a widget of the batch."""
        return [self._batch.view()]

    async def relay(self, api: Api, update: Callable[[], int]) -> None:
        """Read the state every second; call ``update`` after changes."""
        shown = self.bundle()

        async def read() -> bool:
            nonlocal shown
            info = await self._batch._refresh(api)
            if (now := self.bundle()) != shown:
                shown = now
                await asyncio.to_thread(update)
            if not info.ended:
                await asyncio.sleep(SPACING)
            return info.ended

        await read_until_done(read)
