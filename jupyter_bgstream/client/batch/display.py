"""Display a batch in the running cell, and update the display where no page does."""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import TYPE_CHECKING, Any

from ..display_updates import has_live_frontend, keep, read_until_done
from ..executed_notebooks import REST_NOT_WAITED_FOR, is_executed
from ..executed_notebooks import show as show_executed
from ..voila import display as display_widget
from ..voila import in_voila

if TYPE_CHECKING:
    from ..api import Api
    from ..handle_types import BatchHandle

SPACING = 1.0  # seconds between two updates of a display


def this_run() -> object | None:
    """Return a value that identifies this run of a cell, or None outside IPython."""
    shell = _shell()
    return None if shell is None else (id(shell), shell.execution_count)


def show(batch: BatchHandle) -> None:
    """Display a batch, and update the display if the front end cannot ask the server."""
    shell = _shell()
    if shell is None:
        return
    if in_voila():
        display_widget(shell, batch.view())
        return
    if is_executed():
        show_executed(BatchDisplay(batch))
        return
    if getattr(shell, "kernel", None) is None or has_live_frontend() or batch.info.ended:
        shell.display_pub.publish(batch.placeholder())
        return
    display = {"display_id": secrets.token_hex(16)}
    shell.display_pub.publish(batch.placeholder(), transient=display)
    shown = [batch.placeholder()]

    async def follow(api: Api) -> None:
        async def update() -> bool:
            info = await batch._refresh(api)
            if (bundle := batch.placeholder()) != shown[0]:
                shown[0] = bundle
                # In a thread: displays may have slow hooks.
                await asyncio.to_thread(shell.display_pub.publish, bundle, transient=display, update=True)
            if not info.ended:
                await asyncio.sleep(SPACING)
            return info.ended

        await read_until_done(update)

    keep(batch._background.start(follow))


class BatchDisplay:
    """Content of a display in a notebook that a program executes."""

    def __init__(self, batch: BatchHandle) -> None:
        self._batch = batch
        self._background = batch._background

    async def update(self, api: Api) -> bool:
        """Read the state; failed rows may be retried, so that only a complete batch is final."""
        info = await self._batch._refresh(api)
        return info.ended and info.counts.completed == info.total

    def data(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the display bundle."""
        return self._batch.placeholder(unended=REST_NOT_WAITED_FOR), {}


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
