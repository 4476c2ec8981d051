"""Widget of a job: live in any front end that shows ipywidgets, with traits to observe and link.

In a page with the live socket the page draws the widget from the socket. Elsewhere the kernel relays the log as widget
state that only grows (``log_0``, ``log_1``, …; see ``log_relay``), also while a cell runs. So a page that loads late,
or has not loaded its code yet, misses nothing, and no byte is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from traitlets import Dict, Unicode

from ...core.errors import BgStreamError
from ...core.schemas.convert import usage_info
from ...core.state import Answer
from ..execution import JobsDisplay
from ..image_relay import PictureRelay
from ..log_relay import Entry, LogRelay
from ..protocols import DisplayContent, JobHandle
from .base import PageWidget, fault

if TYPE_CHECKING:
    from ..api import Api


class JobWidget(PageWidget):
    """A job's live view, with its answer in traits: ``text``, ``status``, ``usage``, ``cost`` and more.

    They change at most four times a second, also while a cell runs, and the last value always comes. Observers are
    called in another thread than the cells', one after the other; what they print appears below the cell that made
    the widget. ``text``, ``reasoning`` and ``cursor`` stay in the kernel: link them with ``link`` or ``dlink``, and all
    others also with ``jslink``. Once the job was asked again, all of it is about the newest job (``newest``).
    """

    newest = Unicode(read_only=True, help="the job that is shown: the one that asks it again, if any").tag(sync=True)
    model = Unicode(read_only=True, help="provider/name").tag(sync=True)
    usage = Dict(allow_none=True, read_only=True, help="tokens of the last attempt").tag(sync=True)
    text = Unicode(read_only=True, help="the answer so far")
    reasoning = Unicode(read_only=True, help="the reasoning so far")
    cursor = Unicode(read_only=True, help="how far the log was read")

    def __init__(self, job: JobHandle, **kwargs: Any) -> None:
        info = job.info
        self._job = job
        self._entries: list[Entry] = []
        self._sent = 0  # entries that are in the page
        self._saved = 0  # entries that are in the file, where a program executes the notebook
        self._over: set[str] = set()  # jobs of which the end is shown
        self._another_over = asyncio.Event()
        self._relaying, self._asked_for = True, False
        self._feed = LogRelay(info.id, self)
        self._pictures = PictureRelay(self.send)
        values = {name: getattr(info, name) for name in ("id", "title", "status", "model", "cursor", "usage")}
        values |= {"kind": "job", "newest": info.id, "cost": _plain(info.cost), "error": _plain(info.error)}
        super().__init__(job._background, values, **kwargs)

    def bundle(self) -> dict[str, Any]:
        """Return the job's own bundle: with it the output outlives the kernel, and the file has the text."""
        return self._job.placeholder()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return what a page is given; all of it holds what of the log was relayed."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state if key is not None else state | _numbered(0, self._entries[: self._sent])

    async def add(self, entries: list[Entry]) -> None:
        """Relay entries, unless the page has the socket."""
        self._entries += entries
        if self._relaying:
            self._relay(self._sent)
        self._over |= {entry["job"] for entry in entries if entry["type"] == "events" and entry["closed"]}
        self._another_over.set()

    async def show(self, job_id: str, answer: Answer, cursor: str) -> None:
        """Bring the traits up to date."""
        await self._set(
            newest=job_id,
            cursor=cursor,
            status=answer.status,
            usage=usage_info(answer.usage),
            cost=_plain(answer.cost),
            error=_plain(answer.error),
            text=answer.text,
            reasoning=answer.reasoning,
        )

    async def trouble(self, *, online: bool) -> None:
        """Say so in the view."""
        await self._set(connection="online" if online else "offline")

    async def update(self, api: Api) -> bool:
        """Wait for the end of the newest job to be shown, if it has ended."""
        job = await self._job._newest(api)
        answer = job._follower.answer
        self._feed.look_again()
        while answer.ended and job.id not in self._over and not self.closed:
            self._another_over.clear()
            await self._another_over.wait()
        return self.closed or answer.status == "completed"

    def save_state(self) -> None:
        """Send the state, and what has come of the log."""
        super().save_state()
        start, self._saved = self._saved, len(self._entries)
        self._relay(start)

    def _content(self) -> DisplayContent:
        return JobsDisplay([self._job])

    async def _read(self, api: Api) -> None:
        await self._feed.run(api)

    def _relay(self, start: int) -> None:
        state = _numbered(start, self._entries[start:])
        self._sent = len(self._entries)
        self._send({"method": "update", "state": state, "buffer_paths": []})

    async def _answer(self, api: Api, content: dict[str, Any]) -> None:
        match content:
            case {"type": "live"}:
                self._relaying = self._asked_for
            case {"type": "relay", "have": int(have)}:
                self._relaying = self._asked_for = True
                self._relay(have)
            case {"type": "follow", "job": str(job_id)}:
                self._feed.follow(api, job_id)
            case {"type": "picture", "job": str(job_id), "image": str(image_id), "call": call}:
                await self._pictures.hand_over(api, job_id, image_id, call)
            case {"type": "newest"}:
                self._feed.look_again()
            case {"type": "cancel" | "retry" as verb, "job": str(job_id), "call": call}:
                try:
                    info = await (api.cancel(job_id) if verb == "cancel" else api.retry(job_id))
                    self._done(call, job=msgspec.to_builtins(info))
                except BgStreamError as error:
                    self._done(call, error=fault(error))
                self._feed.look_again()


def _numbered(start: int, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return entries as the widget's state has them, and how many there are up to the last of these."""
    return {f"log_{number}": entry for number, entry in enumerate(entries, start)} | {"log": start + len(entries)}


def _plain(value: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if value is None else dict(msgspec.to_builtins(value))
