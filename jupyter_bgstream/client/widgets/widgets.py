"""Jobs and batches as widgets: live in any front end that shows ipywidgets, with traits to observe and link.

In a page that has the live socket a widget is drawn from that. Elsewhere the kernel relays, also while a cell keeps it
busy: a log as state of the widget that only grows (``log_0``, ``log_1``, …; see ``feed``), so that a page that comes
late, or has not yet loaded its code, misses nothing, and no byte is sent twice; a batch as the one form that it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import msgspec
from traitlets import Dict, Int, Unicode

from ...core.errors import BgStreamError, NotFoundError, UnavailableError
from ...core.schemas.convert import usage_info
from ...core.state import ENDS, Answer
from ..errors import ServerConnectionError
from ..execution import JobsDisplay, Shown, newest
from ..image_relay import PictureRelay
from ..log_relay import Entry, LogRelay
from .base import PageWidget, fault

if TYPE_CHECKING:
    from ..api import Api
    from ..background import Background
    from ..job_handle import Job

_SPACING = 1.0  # seconds between two readings of a batch
_ABSENT = 5.0  # seconds until a batch that is not there is looked for again

# When each batch was last read, and what came. A cell that is run again makes a widget each time, and none of them
# knows when nobody sees it any more.
_readings: WeakKeyDictionary[Api, dict[str, tuple[float, asyncio.Task[dict[str, Any]]]]] = WeakKeyDictionary()


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

    def __init__(self, job: Job, **kwargs: Any) -> None:
        form = job._form
        self._job = job
        self._entries: list[Entry] = []
        self._sent = 0  # entries that are in the page
        self._saved = 0  # entries that are in the file, where a program executes the notebook
        self._over: set[str] = set()  # jobs of which the end is shown
        self._another_over = asyncio.Event()
        self._relaying, self._asked_for = True, False
        self._feed = LogRelay(form.id, self)
        self._pictures = PictureRelay(self.send)
        values = {name: getattr(form, name) for name in ("id", "title", "status", "model", "cursor", "usage")}
        values |= {"kind": "job", "newest": form.id, "cost": _plain(form.cost), "error": _plain(form.error)}
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

    async def look(self, api: Api) -> bool:
        """Wait for the end of the newest job to be shown, if it has ended."""
        job = await newest(api, self._job)
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

    def _shown(self) -> Shown:
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
                    form = await (api.cancel(job_id) if verb == "cancel" else api.retry(job_id))
                    self._done(call, job=msgspec.to_builtins(form))
                except BgStreamError as error:
                    self._done(call, error=fault(error))
                self._feed.look_again()


class Batch(Protocol):
    """What is needed of a batch."""

    @property
    def id(self) -> str: ...
    @property
    def _background(self) -> Background[Api]: ...
    def placeholder(self) -> dict[str, Any]:
        """Return the display bundle of what is known, without asking the server."""

    def _in_file(self) -> Shown: ...


class BatchWidget(PageWidget):
    """A batch's live view: ``status``, ``done`` of ``total``, ``counts`` by end, ``usage``, ``cost``.

    They change at most once a second, also while a cell runs, and the last value always comes. Observers are called as
    those of a JobWidget; all traits can be linked with ``jslink`` too.
    """

    total = Int(0, read_only=True, help="jobs that it has, or will have").tag(sync=True)
    done = Int(0, read_only=True, help="jobs that have ended, in whatever way").tag(sync=True)
    counts = Dict(read_only=True, help="jobs that have ended, by how they did").tag(sync=True)
    usage = Dict(allow_none=True, read_only=True, help="tokens of all").tag(sync=True)
    group = Dict(allow_none=True, read_only=True, help="as the server describes it").tag(sync=True)

    def __init__(self, batch: Batch, **kwargs: Any) -> None:
        self._batch = batch
        self._look = asyncio.Event()  # somebody may have asked for more
        values = {"id": batch.id, "kind": "batch", "usage": None, "cost": None, "error": None, "group": None}
        super().__init__(batch._background, values, **kwargs)

    def bundle(self) -> dict[str, Any]:
        """Return the batch's own bundle."""
        return self._batch.placeholder()

    async def look(self, api: Api) -> bool:
        """Ask how far it is. What has failed may be asked again."""
        form = await _form(api, self.id, anew=True)
        await self._show(form)
        return self.closed or (form["status"] in ENDS and form["counts"]["completed"] == form["total"])

    def _shown(self) -> Shown:
        return self._batch._in_file()

    async def _read(self, api: Api) -> None:
        anew = True
        while True:
            self._look.clear()
            pause: float | None = _SPACING
            try:
                form = await _form(api, self.id, anew=anew)
                await self._show(form)
                pause = None if form["status"] in ENDS else _SPACING
            except (ServerConnectionError, UnavailableError):
                await self._set(connection="offline")
            except NotFoundError as error:
                await self._set(error=fault(error))
                pause = _ABSENT
            except BgStreamError as error:
                await self._set(error=fault(error))
                pause = None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), pause)
            anew = self._look.is_set()

    async def _show(self, form: dict[str, Any]) -> None:
        values = {name: form.get(name) for name in ("title", "status", "usage", "cost", "counts", "total")}
        await self._set(group=form, done=sum(form["counts"].values()), connection="online", error=None, **values)

    async def _answer(self, api: Api, content: dict[str, Any]) -> None:
        match content:
            case {"type": "look"}:
                self._look.set()
            case {"type": "cancel" | "retry" | "resume" as verb, "group": str(), "call": call}:
                try:
                    await self._show(await api.group_form(self.id, verb))
                    self._done(call)
                except BgStreamError as error:
                    self._done(call, error=fault(error))
                self._look.set()


async def _form(api: Api, group_id: str, *, anew: bool) -> dict[str, Any]:
    """Return a batch's form; unless it is to be read anew, another of its widgets may have read it just now."""
    now = asyncio.get_running_loop().time()
    readings = _readings.setdefault(api, {})
    began, reading = readings.get(group_id, (now, None))
    if anew or reading is None or now - began >= 0.9 * _SPACING:
        reading = asyncio.create_task(api.group_form(group_id))
        readings[group_id] = now, reading
    return await asyncio.shield(reading)


def _numbered(start: int, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return entries as the widget's state has them, and how many there are up to the last of these."""
    return {f"log_{number}": entry for number, entry in enumerate(entries, start)} | {"log": start + len(entries)}


def _plain(value: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if value is None else dict(msgspec.to_builtins(value))
