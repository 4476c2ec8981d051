"""The WebSocket: one per page, for all its views. See PROTOCOL.md."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Annotated, Any, Literal

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .._version import __version__
from ..core.codec import PROTOCOL_VERSION, decode_events, decode_request, encode, json_array
from ..core.cursor import position
from ..core.errors import CursorGoneError, InvalidRequestError, RequestError, UnavailableError
from ..core.state import runs
from ..engine.hub import EventBatch
from ..store.base import Change
from .base import AUTH_RESOURCE, BaseHandler, error_form

BEAT_SECONDS = 20
MAX_FRAME = 64 * 1024  # bytes of a client's frame
MAX_FOLLOWS = 2000  # jobs that one page may follow at a time
JOIN_FROM = 16  # events; fewer are sent as they are stored, more are joined into runs


class Follow(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="follow", forbid_unknown_fields=True):
    """Send this job's events after a cursor, and what comes."""

    job: str
    after: str | None = None


class Unfollow(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="unfollow", forbid_unknown_fields=True):
    """Send no more of this job."""

    job: str


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="seen", forbid_unknown_fields=True):
    """A visible view has drawn this far."""

    job: str
    cursor: str


class Write(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="write", forbid_unknown_fields=True):
    """Elect this page, or another, to write the end of a job or group into a document that several pages share."""

    document: Annotated[str, msgspec.Meta(max_length=4096)]  # its path below the server's root
    job: Annotated[str, msgspec.Meta(max_length=64)]


CLIENT_FRAME: Any = Follow | Unfollow | Seen | Write


class LiveSocket(WebSocketMixin, WebSocketHandler, BaseHandler):
    """``live``. A follower that reads slowly holds up its own task and nobody else."""

    auth_resource = AUTH_RESOURCE

    @property
    def max_message_size(self) -> int:
        """Bytes of a client's frame; tornado closes the socket on a larger one."""
        return MAX_FRAME

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the socket for who may read."""
        if not await self._may("read"):
            raise web.HTTPError(403)
        # tornado would ask for both as well, but refuse in another form than ours.
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPError(400, "This address speaks WebSocket only")
        if not self.check_origin():
            raise web.HTTPError(403, "A page of another site may not open this socket")
        await self.backend.wait_settled()
        if self.backend.service is None:
            raise web.HTTPError(503, "%s", self.backend.reason)  # it may hold a percent sign
        self._may_write = await self._may("write")
        await super().get(*args, **kwargs)

    async def _may(self, action: str) -> bool:
        user, resource = self.current_user, self.auth_resource
        return bool(await ensure_async(self.authorizer.is_authorized(self, user, action, resource)))

    def open(self, *args: str, **kwargs: str) -> None:
        """Greet, and begin to pass hints on."""
        super().open(*args, **kwargs)
        self._follows: dict[str, asyncio.Task[None]] = {}
        self._news: dict[tuple[str, str], dict[str, object]] = {}
        self._has_news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._deaf = self.service.listen(self._hear)
        self._tasks = [asyncio.create_task(self._quietly(work)) for work in (self._hints(), self._beat())]

    def on_close(self) -> None:
        """Forget the page. Its jobs go on."""
        super().on_close()
        if hasattr(self, "_deaf"):
            self._deaf()
            self.backend.writers.leave(self)
            for task in (*self._tasks, *self._follows.values()):
                task.cancel()

    async def on_message(self, message: str | bytes) -> None:
        """Do what a frame of the page says."""
        await self._quietly(self._obey(message))

    async def _obey(self, message: str | bytes) -> None:
        try:
            frame: Follow | Unfollow | Seen | Write
            frame = decode_request(message.encode() if isinstance(message, str) else message, CLIENT_FRAME)
        except RequestError as error:
            await self._send({"type": "error", "job": None, **error_form(error)})
            return
        if isinstance(frame, Seen):
            await self._see(frame)
            return
        if isinstance(frame, Write):
            await self._elect(frame)
            return
        if (before := self._follows.pop(frame.job, None)) is not None:
            before.cancel()
        if isinstance(frame, Follow):
            if len(self._follows) >= MAX_FOLLOWS:
                await self._refuse(
                    frame.job, InvalidRequestError(f"A page may follow {MAX_FOLLOWS} jobs at a time.", field="job")
                )
                return
            task = asyncio.create_task(self._quietly(self._follow(frame)))
            self._follows[frame.job] = task
            task.add_done_callback(lambda done: self._forget(frame.job, done))

    def _forget(self, job: str, task: asyncio.Task[None]) -> None:
        if self._follows.get(job) is task:
            del self._follows[job]

    async def _see(self, frame: Seen) -> None:
        # What `POST notices/read` needs, this needs: where nobody has a name, read state is everybody's. A page says
        # it by itself and has nobody to tell that it may not, so it is not an error.
        if not self._may_write:
            return
        try:
            await self.service.seen(self.owner, self.viewer, frame.job, frame.cursor)
        except RequestError as error:
            await self._refuse(frame.job, error)

    async def _elect(self, frame: Write) -> None:
        wanted = (self.owner, frame.document, frame.job)
        granted = self._may_write and self.backend.writers.elect(self, wanted)
        await self._send({"type": "write", "document": frame.document, "job": frame.job, "granted": granted})

    async def _follow(self, frame: Follow) -> None:
        try:
            job = await self.service.job(self.owner, frame.job)
            async with aclosing(self.service.follow(job, after=position(frame.after, job.cursor))) as batches:
                async for batch in batches:
                    # Waits until the page has taken it: what comes meanwhile stays in the log. One frame at a time
                    # for all its jobs, or a page that does not read would cost a frame for each.
                    async with self._turn:
                        await self.write_message(events_frame(frame.job, batch))
        except UnavailableError:  # we are stopping: the page looks for us, or our successor, again
            self.close(1001)
        except RequestError as error:
            await self._refuse(frame.job, error)

    async def _refuse(self, job: str, error: RequestError) -> None:
        kind: Literal["reset", "error"] = "reset" if isinstance(error, CursorGoneError) else "error"
        await self._send({"type": kind, "job": job, **error_form(error)})

    def _hear(self, change: Change) -> None:
        if change.owner != self.owner:
            return
        # News of the same thing replace each other: a page that does not read makes no queue here.
        if change.kind == "group":
            self._news[("group", change.job)] = {"type": "group", "group": change.job}
        if change.kind in ("notice", "group"):  # a group that goes on has taken its notice along
            self._news[("notice", "")] = {"type": "notice"}
        else:
            status = "deleted" if change.kind == "deleted" else change.status
            self._news[("job", change.job)] = {"type": "job", "job": change.job, "status": status}
        self._has_news.set()

    async def _hints(self) -> None:
        await self._send(
            {
                "type": "hello",
                "version": __version__,
                "protocol": PROTOCOL_VERSION,
                "server": self.service.server,
            }
        )
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            news, self._news = self._news, {}
            for frame in news.values():
                await self._send(frame)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._send({"type": "beat"})

    async def _send(self, frame: dict[str, object]) -> None:
        await self.write_message(encode(frame))

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(WebSocketClosedError):  # on_close clears up
            await work


def events_frame(job: str, batch: EventBatch) -> bytes:
    """Return an ``events`` frame; many events are joined into runs, few are sent as they are stored."""
    if len(batch.events) < JOIN_FROM:
        events = json_array(batch.events)
    else:
        events = encode(list(runs(decode_events(batch.events))))
    return b'{"type":"events","job":%b,"cursor":%b,"closed":%b,"events":%b}' % (
        encode(job),
        encode(str(batch.cursor)),
        b"true" if batch.closed else b"false",
        events,
    )


ROUTES = [(r"live", LiveSocket)]
