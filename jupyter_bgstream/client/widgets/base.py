"""Base class of the widgets: code for the page, read-only traits, messages from the page."""

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
from ..display_updates import has_live_frontend
from ..executed_notebooks import is_executed, show, track
from ..handle_types import Bundle, DisplayContent
from ..voila import mime_bundle
from .inert import inert_code, inert_text

if TYPE_CHECKING:
    from ..background_loop import Background
    from ..rest_client import Api

CODE = Path(__file__).parents[1] / "static" / "widget.js"

_PATIENCE = 1.0  # seconds in which a page reports whether it has the live socket
_CODE = {"_esm", "_css"}


class WidgetNotBuiltError(BgStreamError):
    """The code of the widgets for the page is missing."""

    code = "not_built"


class PageWidget(AnyWidget):
    """Widget that the background loop updates until the widget is closed.

    Traits are set in a separate thread, one change after the other. So observers are called one at a time, and may wait
    and ask the server. Their output appears below the cell that created the widget.
    """

    _esm = Unicode().tag(sync=True)
    kind = Unicode(read_only=True, help="job or batch").tag(sync=True)
    key = Unicode(read_only=True, help="identifies the views of one widget in a page").tag(sync=True)
    id = Unicode(read_only=True, help="id of the job or batch").tag(sync=True)
    title = Unicode(read_only=True, help="given title, or the first words of the prompt").tag(sync=True)
    status = Unicode(read_only=True, help="queued, running, waiting, completed, failed, …").tag(sync=True)
    cost = Dict(allow_none=True, read_only=True, help="usd, estimated").tag(sync=True)
    error = Dict(allow_none=True, read_only=True, help="code, message").tag(sync=True)
    connection = Unicode("online", read_only=True, help="offline: the server does not answer").tag(sync=True)

    def __init__(self, background: Background[Api], values: dict[str, Any], **kwargs: Any) -> None:
        self._background = background
        self._page_reported = asyncio.Event()  # whether it has the live socket
        self._setting = asyncio.Lock()
        self._set_traits(values)
        super().__init__(**kwargs)
        self.on_msg(self._receive)
        if is_executed():
            track(self)
        # The task inherits the context of this cell, and so do the threads that set traits.
        self._running: concurrent.futures.Future[None] = background.start(self._run)

    def close(self) -> None:
        """Remove the widget from the pages and stop reading; the job or batch continues."""
        self._running.cancel()
        super().close()

    @property
    def closed(self) -> bool:
        """True if the widget no longer reads."""
        return self._running.done()

    def bundle(self) -> dict[str, Any]:
        """Return the display bundle beside the widget, for pages and files without widgets."""
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
        """Return the content beside the widget in a notebook that a program executes."""
        raise NotImplementedError

    async def update(self, api: Api) -> bool:
        """Read what is new, and wait until an end is shown; return True if nothing more is expected."""
        raise NotImplementedError

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state for a page; an exported page embeds it, so it contains no markup."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return {name: value if name in _CODE else inert_text(value) for name, value in state.items()}

    def save_state(self) -> None:
        """Send the state without the code, which the page has already."""
        self.send_state([name for name in self.keys if name not in _CODE])

    async def _run(self, api: Api) -> None:
        if has_live_frontend():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._page_reported.wait(), _PATIENCE)
        await self._read(api)

    async def _read(self, api: Api) -> None:
        """Read and update the traits until cancelled."""
        raise NotImplementedError

    async def _handle(self, api: Api, content: dict[str, Any]) -> None:
        """Handle a message from the page."""
        raise NotImplementedError

    async def _set(self, **values: Any) -> None:
        async with self._setting:
            await asyncio.to_thread(self._set_traits, values)

    def _set_traits(self, values: dict[str, Any]) -> None:
        # All traits are set before the first observer is called, and are sent to the page in one message.
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)

    def _notify_observers(self, event: Any) -> None:
        try:
            super()._notify_observers(event)
        except Exception:
            if threading.current_thread() is threading.main_thread():
                raise
            traceback.print_exc()  # below the cell; the widget continues

    def _receive(self, _: object, content: Any, __: object) -> None:
        # Runs in the main thread, only while no cell runs.
        if isinstance(content, dict):
            if content.get("type") in {"live", "relay"}:
                self._background.start(self._set_reported)
            self._background.start(lambda api: self._handle(api, content))

    async def _set_reported(self, _: Api) -> None:
        self._page_reported.set()

    def _reply(self, call: Any, **fields: Any) -> None:
        self.send({"type": "done", "call": call, **fields})

    @default("key")
    def _default_key(self) -> str:
        return secrets.token_hex(8)

    @default("_esm")
    def _default_esm(self) -> str:
        try:
            return inert_code(CODE.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise WidgetNotBuiltError(
                "The page code of the widget is missing. Run `npm install && npm run build:prod` in labextension/."
            ) from None


class _Output:
    """Content of a display with a widget and the bundle beside it, in a notebook that a program executes."""

    def __init__(self, widget: PageWidget, beside: DisplayContent) -> None:
        self._widget = widget
        self._beside = beside
        self._background = beside._background

    async def update(self, api: Api) -> bool:
        return await self._beside.update(api)

    def data(self) -> tuple[Bundle, Bundle]:
        data, metadata = mime_bundle([self._widget])
        return {**data, **self._beside.data()[0]}, metadata


def error_fields(error: BgStreamError) -> dict[str, str]:
    """Return an error in the form that the page expects."""
    return {"code": error.code, "message": error.message}
