"""Jobs as widgets: live in any front end that shows ipywidgets, with traits to observe and link.

In a page that has the live socket the widget is drawn from that. Elsewhere the kernel relays the log, also while a cell
keeps it busy: as state of the widget that only grows (``log_0``, ``log_1``, …; see ``feed``), so that a page that
comes late, or has not yet loaded its code, misses nothing, and no byte is sent twice.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from anywidget import AnyWidget
from traitlets import Dict, Unicode, default

from ..core.errors import BgStreamError
from ..core.machine import Answer
from ..core.wire import answer_form
from .feed import Entry, Feed
from .relay import page_reads

if TYPE_CHECKING:
    from .api import Api
    from .handle import Job

BUNDLE = Path(__file__).parent / "static" / "widget.js"

_PATIENCE = 1.0  # seconds for a page that may have the live socket to say so


class Unbuilt(BgStreamError):
    """The widget's page code is not there."""

    code = "not_built"


class _Widget(AnyWidget):
    """What both widgets are: the page's code, and a way to it that begins at the first look."""

    _esm = Unicode().tag(sync=True)
    key = Unicode(read_only=True, help="the views of one widget in a page know each other by it").tag(sync=True)

    @default("key")
    def _default_key(self) -> str:
        return secrets.token_hex(8)

    @default("_esm")
    def _default_esm(self) -> str:
        try:
            return BUNDLE.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise Unbuilt(
                "The widget's code for the page is not built: run `npm install && npm run build:prod` in labextension/."
            ) from None


class JobWidget(_Widget):
    """A job's live view, with its answer in traits: ``text``, ``status``, ``usage``, ``cost`` and more.

    Traits change in a thread of their own, at most four times a second, also while a cell runs; the last value always
    comes. Observers are called in that thread, one after the other: what they print appears below the cell that made
    the widget. ``text``, ``reasoning`` and ``cursor`` stay in the kernel: link them with ``link`` or ``dlink``, and all
    others also with ``jslink``. Once the job was asked again, all of it is about the newest job (``newest``).
    """

    id = Unicode(read_only=True, help="the job that was asked for").tag(sync=True)
    newest = Unicode(read_only=True, help="the job that is shown: the one that asks it again, if any").tag(sync=True)
    model = Unicode(read_only=True, help="provider/name").tag(sync=True)
    title = Unicode(read_only=True, help="the given title, or the prompt's first words").tag(sync=True)
    status = Unicode(read_only=True, help="queued, running, waiting, completed, failed, …").tag(sync=True)
    usage = Dict(None, allow_none=True, read_only=True, help="tokens of the last attempt").tag(sync=True)
    cost = Dict(None, allow_none=True, read_only=True, help="of all attempts: usd, estimated").tag(sync=True)
    error = Dict(None, allow_none=True, read_only=True, help="code, message").tag(sync=True)
    connection = Unicode("online", read_only=True, help="online, or offline: the kernel has lost the server").tag(
        sync=True
    )
    cursor = Unicode(read_only=True, help="how far the log was read")
    text = Unicode(read_only=True, help="the answer so far")
    reasoning = Unicode(read_only=True, help="the reasoning so far")

    def __init__(self, job: Job, **kwargs: Any) -> None:
        form = job._form
        self._job = job
        self._entries: list[Entry] = []
        self._sent = 0  # entries that are in the page
        self._relaying, self._asked_for = True, False
        self._feed = Feed(form.id, self)
        self._said = asyncio.Event()  # the page has said whether it has the socket
        self._take(
            {"id": form.id, "newest": form.id, "model": form.model, "title": form.title, "cursor": form.cursor}
            | {"status": form.status, "usage": form.usage, "cost": _plain(form.cost), "error": _plain(form.error)}
        )
        super().__init__(**kwargs)
        self.on_msg(self._hear)
        # The task takes this cell's context with it: what observers print has its place.
        self._running: concurrent.futures.Future[None] = job._background.start(self._run)

    def close(self) -> None:
        """Take the view out of the pages and stop reading; the job goes on."""
        self._running.cancel()
        super().close()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return what a page is given; all of it holds what of the log was relayed."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state if key is not None else state | _numbered(0, self._entries[: self._sent])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        made = super()._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        # With the job's own bundle the output outlives the kernel and has its text in the file.
        data, metadata = made if isinstance(made, tuple) else (made, {})
        return {**data, **self._job.placeholder()}, metadata

    async def _run(self, api: Api) -> None:
        if page_reads():
            await _at_most(_PATIENCE, self._said)
        await self._feed.run(api)

    async def add(self, entries: list[Entry]) -> None:
        """Relay entries, unless the page has the socket."""
        self._entries += entries
        if self._relaying:
            self._relay(self._sent)

    async def show(self, job_id: str, answer: Answer, cursor: str) -> None:
        """Bring the traits up to date."""
        form = answer_form(answer)
        values = {name: form[name] for name in ("status", "usage", "text", "reasoning")}
        values |= {"newest": job_id, "cursor": cursor, "cost": _plain(answer.cost), "error": _plain(answer.error)}
        await asyncio.to_thread(self._take, values)

    async def trouble(self, *, online: bool) -> None:
        """Say so in the view."""
        await asyncio.to_thread(self._take, {"connection": "online" if online else "offline"})

    def _take(self, values: dict[str, Any]) -> None:
        # All are set before the first observer is called, and go to the page in one message.
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)

    def _relay(self, start: int) -> None:
        state = _numbered(start, self._entries[start:])
        self._sent = len(self._entries)
        self._send({"method": "update", "state": state, "buffer_paths": []})

    def _hear(self, _: object, content: Any, __: object) -> None:
        # On the main thread, and only when no cell runs.
        if isinstance(content, dict):
            self._job._background.start(lambda api: self._answer(api, content))

    async def _answer(self, api: Api, content: dict[str, Any]) -> None:
        match content:
            case {"type": "live"}:
                self._relaying = self._asked_for
                self._said.set()
            case {"type": "relay", "have": int(have)}:
                self._relaying = self._asked_for = True
                self._said.set()
                self._relay(have)
            case {"type": "follow", "job": str(job_id)}:
                self._feed.follow(api, job_id)
            case {"type": "newest"}:
                self._feed.look_again()
            case {"type": "cancel" | "retry" as verb, "job": str(job_id), "call": call}:
                await self._obey(api, verb, job_id, call)

    async def _obey(self, api: Api, verb: str, job_id: str, call: Any) -> None:
        try:
            form = await (api.cancel(job_id) if verb == "cancel" else api.retry(job_id))
        except BgStreamError as error:
            self.send({"type": "done", "call": call, "error": {"code": error.code, "message": error.message}})
        else:
            self.send({"type": "done", "call": call, "job": msgspec.to_builtins(form)})
        if verb == "retry":
            self._feed.look_again()


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _numbered(start: int, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return entries as the widget's state has them, and how many there are up to the last of these."""
    return {f"log_{number}": entry for number, entry in enumerate(entries, start)} | {"log": start + len(entries)}


def _plain(value: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if value is None else dict(msgspec.to_builtins(value))
