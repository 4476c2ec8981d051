"""Show a batch in the cell that runs: once, and kept up to date where no page does that."""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import TYPE_CHECKING, Any

from ..display_updates import keep, page_reads, steadily
from ..execution import REST_NOT_WAITED_FOR, is_executed
from ..execution import show as show_executed
from ..voila import display as display_widget
from ..voila import in_voila

if TYPE_CHECKING:
    from ..api import Api
    from ..protocols import BatchHandle

SPACING = 1.0  # seconds between two updates of a display


def this_run() -> object | None:
    """Return what tells this run of a cell from others, or None outside IPython."""
    shell = _shell()
    return None if shell is None else (id(shell), shell.execution_count)


def show(batch: BatchHandle) -> None:
    """Display what is known of a batch; in a kernel whose front end cannot ask the server, also what comes."""
    shell = _shell()
    if shell is None:
        return
    if in_voila():
        display_widget(shell, batch.view())
        return
    if is_executed():
        show_executed(BatchDisplay(batch))
        return
    if getattr(shell, "kernel", None) is None or page_reads() or batch.info.ended:
        shell.display_pub.publish(batch.placeholder())
        return
    display = {"display_id": secrets.token_hex(16)}
    shell.display_pub.publish(batch.placeholder(), transient=display)
    shown = [batch.placeholder()]

    async def follow(api: Api) -> None:
        async def look() -> bool:
            info = await batch._refresh(api)
            if (bundle := batch.placeholder()) != shown[0]:
                shown[0] = bundle
                # A display may have hooks, which take their time.
                await asyncio.to_thread(shell.display_pub.publish, bundle, transient=display, update=True)
            if not info.ended:
                await asyncio.sleep(SPACING)
            return info.ended

        await steadily(look)

    keep(batch._background.start(follow))


class BatchDisplay:
    """A batch in a notebook that a program executes."""

    def __init__(self, batch: BatchHandle) -> None:
        self._batch = batch
        self._background = batch._background

    async def update(self, api: Api) -> bool:
        """Ask how far it is. What has failed may be asked again."""
        info = await self._batch._refresh(api)
        return info.ended and info.counts.completed == info.total

    def data(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the display bundle."""
        return self._batch.placeholder(unended=REST_NOT_WAITED_FOR), {}


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
