"""Widget of a batch: live in any front end that shows ipywidgets, with traits to observe and link.

In a page with the live socket the page reads the batch itself. Elsewhere the kernel reads it and sends it as one trait.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from traitlets import Dict, Int

from ...core.errors import BgStreamError, NotFoundError, UnavailableError
from ...core.state import ENDS
from ..errors import ServerConnectionError
from ..handle_types import BatchHandle, DisplayContent
from .base import PageWidget, error_fields

if TYPE_CHECKING:
    from ..rest_client import Api

_SPACING = 1.0  # seconds between two reads of a batch
_ABSENT = 5.0  # seconds until a batch that was not found is read again

# Start and task of the newest read of each batch, shared by its widgets: a cell that runs again creates a new widget
# each time, and no widget knows when no page shows it any more.
_reads: WeakKeyDictionary[Api, dict[str, tuple[float, asyncio.Task[dict[str, Any]]]]] = WeakKeyDictionary()


class BatchWidget(PageWidget):
    """Live view of a batch: ``status``, ``done`` of ``total``, ``counts`` by end, ``usage``, ``cost``.

    Traits change at most once a second, also while a cell runs, and the last value always arrives. Observers are called
    like those of a JobWidget; all traits can be linked with ``jslink`` too.
    """

    total = Int(0, read_only=True, help="jobs of the batch, also those not submitted yet").tag(sync=True)
    done = Int(0, read_only=True, help="jobs that have ended").tag(sync=True)
    counts = Dict(read_only=True, help="jobs that have ended, by status").tag(sync=True)
    usage = Dict(allow_none=True, read_only=True, help="tokens of all jobs").tag(sync=True)
    # Notebooks with saved widgets have this name.
    group = Dict(allow_none=True, read_only=True, help="description of the batch as the server sends it").tag(sync=True)

    def __init__(self, batch: BatchHandle, **kwargs: Any) -> None:
        self._batch = batch
        self._read_now = asyncio.Event()  # the batch may have been changed
        values = {"id": batch.id, "kind": "batch", "usage": None, "cost": None, "error": None, "group": None}
        super().__init__(batch._background, values, **kwargs)

    def bundle(self) -> dict[str, Any]:
        """Return the bundle of the batch."""
        return self._batch.placeholder()

    async def update(self, api: Api) -> bool:
        """Read the state; failed rows may be retried, so that only a complete batch is final."""
        info = await _read_batch(api, self.id, force=True)
        await self._show(info)
        return self.closed or (info["status"] in ENDS and info["counts"]["completed"] == info["total"])

    def _content(self) -> DisplayContent:
        return self._batch._display_content()

    async def _read(self, api: Api) -> None:
        force = True
        while True:
            self._read_now.clear()
            pause: float | None = _SPACING
            try:
                info = await _read_batch(api, self.id, force=force)
                await self._show(info)
                pause = None if info["status"] in ENDS else _SPACING
            except (ServerConnectionError, UnavailableError):
                await self._set(connection="offline")
            except NotFoundError as error:
                await self._set(error=error_fields(error))
                pause = _ABSENT
            except BgStreamError as error:
                await self._set(error=error_fields(error))
                pause = None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._read_now.wait(), pause)
            force = self._read_now.is_set()

    async def _show(self, info: dict[str, Any]) -> None:
        values = {name: info.get(name) for name in ("title", "status", "usage", "cost", "counts", "total")}
        await self._set(group=info, done=sum(info["counts"].values()), connection="online", error=None, **values)

    async def _handle(self, api: Api, content: dict[str, Any]) -> None:
        match content:
            case {"type": "look"}:
                self._read_now.set()
            case {"type": "cancel" | "retry" | "resume" as verb, "batch": str(), "call": call}:
                try:
                    await self._show(await api.batch_json(self.id, verb))
                    self._reply(call)
                except BgStreamError as error:
                    self._reply(call, error=error_fields(error))
                self._read_now.set()


async def _read_batch(api: Api, batch_id: str, *, force: bool) -> dict[str, Any]:
    """Return the description of a batch; without ``force``, another widget's read within a second is reused."""
    now = asyncio.get_running_loop().time()
    reads = _reads.setdefault(api, {})
    began, task = reads.get(batch_id, (now, None))
    if force or task is None or now - began >= 0.9 * _SPACING:
        task = asyncio.create_task(api.batch_json(batch_id))
        reads[batch_id] = now, task
    return await asyncio.shield(task)
