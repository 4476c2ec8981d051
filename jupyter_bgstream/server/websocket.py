"""The WebSocket handler: one socket per page, for all its views. See PROTOCOL.md."""

import asyncio
import contextlib
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .._version import __version__
from ..core.codec import PROTOCOL_VERSION, decode_events, decode_request, encode, json_array
from ..core.cursor import position
from ..core.errors import CursorGoneError, InvalidRequestError, RequestError, UnavailableError
from ..core.schemas.frames import (
    CLIENT_FRAMES,
    BatchFrame,
    BeatFrame,
    ErrorFrame,
    Follow,
    HelloFrame,
    JobFrame,
    NoticeFrame,
    ResetFrame,
    Seen,
    ServerFrame,
    Unfollow,
    Write,
    WriteFrame,
)
from ..core.state import runs
from ..engine.followers import EventBatch
from ..store.port_values import Change
from .base import AUTH_RESOURCE, BaseHandler, error_response

BEAT_SECONDS = 20
MAX_FRAME = 64 * 1024  # bytes of a client's frame
MAX_FOLLOWS = 2000  # jobs that one page may follow at a time
JOIN_FROM = 16  # events; fewer are sent as they are stored, more are joined into runs


class LiveSocket(WebSocketMixin, WebSocketHandler, BaseHandler):
    """WebSocket of one page, ``GET live``. A page that reads slowly delays only itself."""

    auth_resource = AUTH_RESOURCE

    @property
    def max_message_size(self) -> int:
        """Bytes of a client's frame; tornado closes the socket on a larger one."""
        return MAX_FRAME

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the WebSocket."""
        if not await self._is_authorized("read"):
            raise web.HTTPError(403)
        # tornado checks both as well, but its error responses have another form.
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPError(400, "This address accepts WebSocket requests only")
        if not self.check_origin():
            raise web.HTTPError(403, "A page of another site may not open this WebSocket")
        await self.backend.wait_settled()
        if self.backend.engine is None:
            raise web.HTTPError(503, "%s", self.backend.reason)  # the reason may contain a percent sign
        self._may_write = await self._is_authorized("write")
        await super().get(*args, **kwargs)

    async def _is_authorized(self, action: str) -> bool:
        user, resource = self.current_user, self.auth_resource
        return bool(await ensure_async(self.authorizer.is_authorized(self, user, action, resource)))

    def open(self, *args: str, **kwargs: str) -> None:
        """Send the greeting, and start to send hints."""
        super().open(*args, **kwargs)
        self._follows: dict[str, asyncio.Task[None]] = {}
        self._hints: dict[tuple[str, str], ServerFrame] = {}
        self._has_hints = asyncio.Event()
        self._events_lock = asyncio.Lock()
        self._stop_listening = self.engine.listen(self._on_change)
        self._tasks = [asyncio.create_task(self._until_closed(work)) for work in (self._send_hints(), self._beat())]

    def on_close(self) -> None:
        """End the followers of the page. Its jobs continue."""
        super().on_close()
        if hasattr(self, "_stop_listening"):
            self._stop_listening()
            self.backend.save_leases.release(self)
            for task in (*self._tasks, *self._follows.values()):
                task.cancel()

    async def on_message(self, message: str | bytes) -> None:
        """Handle a frame of the page."""
        await self._until_closed(self._handle(message))

    async def _handle(self, message: str | bytes) -> None:
        try:
            frame: Follow | Unfollow | Seen | Write
            frame = decode_request(message.encode() if isinstance(message, str) else message, CLIENT_FRAMES)
        except RequestError as error:
            await self._send_error(None, error)
            return
        if isinstance(frame, Seen):
            await self._mark_seen(frame)
            return
        if isinstance(frame, Write):
            await self._grant_lease(frame)
            return
        if (previous_task := self._follows.pop(frame.job, None)) is not None:
            previous_task.cancel()
        if isinstance(frame, Follow):
            if len(self._follows) >= MAX_FOLLOWS:
                message = f"A page may follow {MAX_FOLLOWS} jobs at a time."
                await self._send_error(frame.job, InvalidRequestError(message, field="job"))
                return
            task = asyncio.create_task(self._until_closed(self._follow(frame)))
            self._follows[frame.job] = task
            task.add_done_callback(lambda done: self._forget(frame.job, done))

    def _forget(self, job: str, task: asyncio.Task[None]) -> None:
        if self._follows.get(job) is task:
            del self._follows[job]

    async def _mark_seen(self, frame: Seen) -> None:
        # This needs the permission of `POST notices/read`: without named users, all viewers share the read state. Pages
        # send the frame by themselves, and no user waits for a response, so a missing permission is not an error.
        if not self._may_write:
            return
        try:
            await self.engine.inbox.seen(self.owner, self.viewer, frame.job, frame.cursor)
        except RequestError as error:
            await self._send_error(frame.job, error)

    async def _grant_lease(self, frame: Write) -> None:
        key = (self.owner, frame.document, frame.job)
        granted = self._may_write and self.backend.save_leases.acquire(self, key)
        await self._send(WriteFrame(document=frame.document, job=frame.job, granted=granted))

    async def _follow(self, frame: Follow) -> None:
        try:
            job = await self.engine.jobs.get(self.owner, frame.job)
            async with aclosing(self.engine.jobs.follow(job, after=position(frame.cursor, job.cursor))) as batches:
                async for batch in batches:
                    # Waits until the page has read the frame; further events stay in the log. One frame at a time for
                    # all jobs of the page: else memory would hold a frame of each job for a page that does not read.
                    async with self._events_lock:
                        await self.write_message(events_frame(frame.job, batch))
        except UnavailableError:  # the server stops: the page connects again, to this server or its successor
            self.close(1001)
        except RequestError as error:
            await self._send_error(frame.job, error)

    async def _send_error(self, job: str | None, error: RequestError) -> None:
        body = error_response(error)
        if isinstance(error, CursorGoneError) and job is not None:
            await self._send(ResetFrame(job=job, code=body.code, message=body.message, field=body.field))
        else:
            await self._send(ErrorFrame(job=job, code=body.code, message=body.message, field=body.field))

    def _on_change(self, change: Change) -> None:
        if change.owner != self.owner:
            return
        # A newer hint about the same subject replaces the older one, so that a page that does not read has no queue.
        if change.kind == "batch":
            self._hints[("batch", change.subject)] = BatchFrame(batch=change.subject)
        if change.kind in ("notice", "batch"):  # the notice of a pause is deleted when its batch is resumed
            self._hints[("notice", "")] = NoticeFrame()
        elif change.kind == "deleted":
            self._hints[("job", change.subject)] = JobFrame(job=change.subject, status="deleted")
        elif change.status is not None:
            self._hints[("job", change.subject)] = JobFrame(job=change.subject, status=change.status)
        self._has_hints.set()

    async def _send_hints(self) -> None:
        await self._send(HelloFrame(version=__version__, protocol=PROTOCOL_VERSION, server=self.engine.server))
        while True:
            await self._has_hints.wait()
            self._has_hints.clear()
            hints, self._hints = self._hints, {}
            for frame in hints.values():
                await self._send(frame)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._send(BeatFrame())

    async def _send(self, frame: ServerFrame) -> None:
        await self.write_message(encode(frame))

    async def _until_closed(self, work: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(WebSocketClosedError):  # on_close ends all tasks
            await work


def events_frame(job: str, batch: EventBatch) -> bytes:
    """Return an ``EventsFrame`` in JSON; many events are joined into runs, few are sent as they are stored."""
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
