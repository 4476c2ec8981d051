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
from ..handle_types import DisplayContent, JobHandle
from ..image_relay import ImageRelay
from ..job_display import JobsDisplay
from ..log_relay import Entry, LogRelay
from .base import PageWidget, error_fields
from .inert import inert_json

if TYPE_CHECKING:
    from ..rest_client import Api


class JobWidget(PageWidget):
    """Live view of a job, with the answer in traits: ``text``, ``status``, ``usage``, ``cost`` and more.

    Traits change at most four times a second, also while a cell runs, and the last value always arrives. Observers are
    called in a separate thread, one after the other; their output appears below the cell that created the widget.
    ``text``, ``reasoning`` and ``cursor`` stay in the kernel: link them with ``link`` or ``dlink``, and all others also
    with ``jslink``. If the job was retried, all traits describe the newest retry (``newest``).
    """

    newest = Unicode(read_only=True, help="id of the shown job: the newest retry").tag(sync=True)
    model = Unicode(read_only=True, help="provider/name").tag(sync=True)
    usage = Dict(allow_none=True, read_only=True, help="tokens of the last attempt").tag(sync=True)
    text = Unicode(read_only=True, help="text of the answer so far")
    reasoning = Unicode(read_only=True, help="reasoning so far")
    cursor = Unicode(read_only=True, help="position in the log")

    def __init__(self, job: JobHandle, **kwargs: Any) -> None:
        info = job.info
        self._job = job
        self._entries: list[Entry] = []
        self._sent = 0  # entries that the page has
        self._saved = 0  # entries in the notebook file, if a program executes the notebook
        self._ended: set[str] = set()  # jobs whose end is shown
        self._end_shown = asyncio.Event()
        self._relaying, self._relay_requested = True, False
        self._log_relay = LogRelay(info.id, self)
        self._images = ImageRelay(self.send)
        values = {name: getattr(info, name) for name in ("id", "title", "status", "model", "cursor", "usage")}
        values |= {"kind": "job", "newest": info.id, "cost": _plain(info.cost), "error": _plain(info.error)}
        super().__init__(job._background, values, **kwargs)

    def bundle(self) -> dict[str, Any]:
        """Return the bundle of the job, so that the output outlives the kernel, and the file has the text."""
        return self._job.placeholder()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state for a page; the whole state includes the relayed log."""
        state = super().get_state(key, drop_defaults)
        return state if key is not None else state | _numbered(0, self._entries[: self._sent])

    async def add(self, entries: list[Entry]) -> None:
        """Add entries of the log, and relay them unless the page has the live socket."""
        self._entries += entries
        if self._relaying:
            self._relay(self._sent)
        self._ended |= {entry["job"] for entry in entries if entry["type"] == "events" and entry["closed"]}
        self._end_shown.set()

    async def show(self, job_id: str, answer: Answer, cursor: str) -> None:
        """Set the traits."""
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

    async def set_online(self, *, online: bool) -> None:
        """Show in the view whether the server answers."""
        await self._set(connection="online" if online else "offline")

    async def update(self, api: Api) -> bool:
        """Read the newest job, and wait until its end is shown; return True if its answer is complete."""
        job = await self._job._newest(api)
        answer = job._follower.answer
        self._log_relay.check_retries()
        while answer.ended and job.id not in self._ended and not self.closed:
            self._end_shown.clear()
            await self._end_shown.wait()
        return self.closed or answer.status == "completed"

    def save_state(self) -> None:
        """Send the state and the entries of the log."""
        super().save_state()
        start, self._saved = self._saved, len(self._entries)
        self._relay(start)

    def _content(self) -> DisplayContent:
        return JobsDisplay([self._job])

    async def _read(self, api: Api) -> None:
        await self._log_relay.run(api)

    def _relay(self, start: int) -> None:
        state = _numbered(start, self._entries[start:])
        self._sent = len(self._entries)
        self._send({"method": "update", "state": state, "buffer_paths": []})

    async def _handle(self, api: Api, content: dict[str, Any]) -> None:
        match content:
            case {"type": "live"}:
                self._relaying = self._relay_requested
            case {"type": "relay", "have": int(have)}:
                self._relaying = self._relay_requested = True
                self._relay(have)
            case {"type": "follow", "job": str(job_id)}:
                self._log_relay.follow(api, job_id)
            case {"type": "image", "job": str(job_id), "image": str(image_id), "call": call}:
                await self._images.relay(api, job_id, image_id, call)
            case {"type": "newest"}:
                self._log_relay.check_retries()
            case {"type": "cancel" | "retry" as verb, "job": str(job_id), "call": call}:
                try:
                    info = await (api.cancel(job_id) if verb == "cancel" else api.retry(job_id))
                    self._reply(call, job=msgspec.to_builtins(info))
                except BgStreamError as error:
                    self._reply(call, error=error_fields(error))
                self._log_relay.check_retries()


def _numbered(start: int, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return entries as state of the widget, with the number of entries so far."""
    return {f"log_{number}": inert_json(entry) for number, entry in enumerate(entries, start)} | {
        "log": start + len(entries)
    }


def _plain(value: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if value is None else dict(msgspec.to_builtins(value))
