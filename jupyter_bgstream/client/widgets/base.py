"""What the widgets have in common: the page's code, traits set from the background loop, and wishes from the page."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import secrets
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anywidget import AnyWidget
from traitlets import Dict, Unicode, default

from ...core.errors import BgStreamError
from ..display_updates import page_reads
from ..execution import is_executed, show, track
from ..protocols import Bundle, DisplayContent
from ..voila import mime_bundle

if TYPE_CHECKING:
    from ..api import Api
    from ..background import Background

CODE = Path(__file__).parents[1] / "static" / "widget.js"

_PATIENCE = 1.0  # seconds for a page that may have the live socket to say so
_CODE = {"_esm", "_css"}


class WidgetNotBuiltError(BgStreamError):
    """The widgets' code for the page is not there."""

    code = "not_built"


class PageWidget(AnyWidget):
    """A view that keeps itself up to date on the background loop until it is closed.

    Its traits are set in a thread of their own, one change after the other, and so observers are called: never two at
    a time, and they may wait and ask the server. What they print appears below the cell that made the widget.
    """

    _esm = Unicode().tag(sync=True)
    kind = Unicode(read_only=True, help="job or batch").tag(sync=True)
    key = Unicode(read_only=True, help="the views of one widget in a page know each other by it").tag(sync=True)
    id = Unicode(read_only=True, help="the job or batch that was asked for").tag(sync=True)
    title = Unicode(read_only=True, help="the given title, or the prompt's first words").tag(sync=True)
    status = Unicode(read_only=True, help="queued, running, waiting, completed, failed, …").tag(sync=True)
    cost = Dict(allow_none=True, read_only=True, help="usd, and whether it is estimated").tag(sync=True)
    error = Dict(allow_none=True, read_only=True, help="code, message").tag(sync=True)
    connection = Unicode("online", read_only=True, help="offline: this kernel has lost the server").tag(sync=True)

    def __init__(self, background: Background[Api], values: dict[str, Any], **kwargs: Any) -> None:
        self._background = background
        self._said = asyncio.Event()  # the page has said whether it has the socket
        self._setting = asyncio.Lock()
        self._take(values)
        super().__init__(**kwargs)
        self.on_msg(self._hear)
        if is_executed():
            track(self)
        # The task takes this cell's context with it, and so do the threads that set traits.
        self._running: concurrent.futures.Future[None] = background.start(self._run)

    def close(self) -> None:
        """Take the view out of the pages and stop reading; what it shows goes on."""
        self._running.cancel()
        super().close()

    @property
    def closed(self) -> bool:
        """Whether it reads no more."""
        return self._running.done()

    def bundle(self) -> dict[str, Any]:
        """Return what an output has beside the widget, for pages and files that know none."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        made = super()._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = made if isinstance(made, tuple) else (made, {})
        return {**data, **self.bundle()}, metadata

    def _ipython_display_(self) -> None:
        if not is_executed():
            raise NotImplementedError  # IPython shows the bundle
        show(_Output(self, self._content()))

    def _content(self) -> DisplayContent:
        """Return what an output has beside the widget where a program executes the notebook."""
        raise NotImplementedError

    async def update(self, api: Api) -> bool:
        """Ask what is new, and show it if it is the end; returns whether all is complete."""
        raise NotImplementedError

    def save_state(self) -> None:
        """Send the state, but for the code, of which the page has all that there is."""
        self.send_state([name for name in self.keys if name not in _CODE])

    async def _run(self, api: Api) -> None:
        if page_reads():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._said.wait(), _PATIENCE)
        await self._read(api)

    async def _read(self, api: Api) -> None:
        """Keep up to date, for ever."""
        raise NotImplementedError

    async def _answer(self, api: Api, content: dict[str, Any]) -> None:
        """Do what the page says."""
        raise NotImplementedError

    async def _set(self, **values: Any) -> None:
        async with self._setting:
            await asyncio.to_thread(self._take, values)

    def _take(self, values: dict[str, Any]) -> None:
        # All are set before the first observer is called, and go to the page in one message.
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)

    def _notify_observers(self, event: Any) -> None:
        try:
            super()._notify_observers(event)
        except Exception:
            if threading.current_thread() is threading.main_thread():
                raise
            traceback.print_exc()  # below the cell; the widget goes on

    def _hear(self, _: object, content: Any, __: object) -> None:
        # On the main thread, and only when no cell runs.
        if isinstance(content, dict):
            if content.get("type") in {"live", "relay"}:
                self._background.start(self._note)
            self._background.start(lambda api: self._answer(api, content))

    async def _note(self, _: Api) -> None:
        self._said.set()

    def _done(self, call: Any, **what: Any) -> None:
        self.send({"type": "done", "call": call, **what})

    @default("key")
    def _default_key(self) -> str:
        return secrets.token_hex(8)

    @default("_esm")
    def _default_esm(self) -> str:
        try:
            return CODE.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise WidgetNotBuiltError(
                "The widget's code for the page is not built: run `npm install && npm run build:prod` in labextension/."
            ) from None


class _Output:
    """A widget and what an output has beside it, where a program executes the notebook."""

    def __init__(self, widget: PageWidget, beside: DisplayContent) -> None:
        self._widget = widget
        self._beside = beside
        self._background = beside._background

    async def update(self, api: Api) -> bool:
        return await self._beside.update(api)

    def data(self) -> tuple[Bundle, Bundle]:
        data, metadata = mime_bundle([self._widget])
        return {**data, **self._beside.data()[0]}, metadata


def fault(error: BgStreamError) -> dict[str, str]:
    """Return an error as the page has it."""
    return {"code": error.code, "message": error.message}
