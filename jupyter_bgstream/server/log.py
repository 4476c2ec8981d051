"""A job's log over HTTP: a read-only stream of the open Durable Streams protocol, JSON mode. See PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from tornado.iostream import StreamClosedError

from ..core.codec import decode_event, encode, json_array
from ..core.cursor import Cursor, check_form, position
from ..core.errors import InvalidRequestError, RequestError
from ..core.events import End
from ..core.job import Job
from ..engine.hub import EventBatch
from .base import ApiHandler, endpoint

ANSWER_BYTES = 1024 * 1024  # of events in one answer that is not live
LONG_POLL_SECONDS = 20


class EventLogHandler(ApiHandler):
    """``jobs/{id}/events``."""

    _work: asyncio.Task[None] | None = None

    @endpoint
    async def head(self, job_id: str) -> None:
        """Say where the log's tail is and whether it is closed."""
        job = await self.service.job(self.owner, job_id)
        self._place(job.cursor, up_to_date=True, closed=job.ended)
        self.finish()

    @endpoint
    async def get(self, job_id: str) -> None:
        """Read the log: what there is, or live."""
        job = await self.service.job(self.owner, job_id)
        resumed = self.request.headers.get("Last-Event-ID")
        asked = self.get_query_argument("offset", "-1")
        check_form(asked)  # also where the header wins
        offset = resumed or asked
        after = position(offset, job.cursor)
        live = self.get_query_argument("live", None)
        if live is None:
            await self._catch_up(job, after)
        elif live == "long-poll":
            await self._until_gone(self._long_poll(job, after))
        elif live == "sse" and resumed and job.ended and after >= job.seq:
            # A plain EventSource reconnects for ever after a clean end; 204 is the only word that stops it.
            self._place(job.cursor, up_to_date=True, closed=True)
            self.set_status(204)
            self.finish()
        elif live == "sse":
            await self._until_gone(self._server_sent_events(job, after))
        else:
            raise InvalidRequestError(f"live must be long-poll or sse, not {live!r}.", field="live")

    async def _until_gone(self, work: Coroutine[Any, Any, None]) -> None:
        # The work is a task of its own, so that a viewer who leaves ends it and nothing else.
        if self._left:
            work.close()
            return
        self._work = asyncio.create_task(work)
        try:
            await self._work
        except (asyncio.CancelledError, StreamClosedError):
            if not self._left:
                raise

    _left = False

    def on_connection_close(self) -> None:
        """Stop reading for a viewer who has left."""
        super().on_connection_close()
        self._left = True
        if self._work is not None:
            self._work.cancel()

    def _place(self, cursor: Cursor, *, up_to_date: bool, closed: bool, start: int | None = None) -> None:
        self.set_header("Content-Type", "application/json")
        self.set_header("Stream-Next-Offset", str(cursor))
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        if up_to_date:
            self.set_header("Stream-Up-To-Date", "true")
        if closed:
            self.set_header("Stream-Closed", "true")
        else:
            self.set_header("Stream-Cursor", str(cursor.seq))
        if start is not None:
            self.set_header("ETag", f'"{cursor.log}:{start}:{cursor.seq}{":closed" if closed else ""}"')

    async def _catch_up(self, job: Job, after: int) -> None:
        events = await self.service.events(job, after=after, max_bytes=ANSWER_BYTES)
        cursor, closed = job.cursor, job.ended
        if events:
            last = decode_event(events[-1])
            cursor = Cursor(log=job.log, attempt=last.attempt, seq=last.seq)
            closed = isinstance(last, End)
        up_to_date = closed or cursor.seq >= job.seq
        self._place(cursor, up_to_date=up_to_date, closed=closed and up_to_date, start=after)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        self.finish(json_array(events))

    async def _long_poll(self, job: Job, after: int) -> None:
        batch: EventBatch | None = None
        async with aclosing(self.service.follow(job, after=after)) as batches:
            try:
                async with asyncio.timeout(LONG_POLL_SECONDS):
                    batch = await anext(batches)
            except TimeoutError:
                pass
        if batch is not None and batch.events:
            self._place(batch.cursor, up_to_date=batch.up_to_date, closed=batch.closed, start=after)
            self.finish(json_array(batch.events))
            return
        tail = batch.cursor if batch else (await self.service.job(job.owner, job.id)).cursor
        here = Cursor(log=tail.log, attempt=tail.attempt, seq=after)
        self._place(tail if batch else here, up_to_date=True, closed=batch is not None)
        self.set_status(204)
        self.finish()

    async def _server_sent_events(self, job: Job, after: int) -> None:
        self._place(job.cursor, up_to_date=False, closed=False)
        self.clear_header("Stream-Next-Offset")
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        try:
            async with aclosing(self.service.follow(job, after=after)) as batches:
                async for batch in batches:
                    self.write(_sse(batch))
                    await self.flush()
        except RequestError as error:  # deleted in mid-stream: the status line is long gone
            self.log.info("job %s: its follower is sent away: %s", job.id, error)
        self.finish()


def _sse(batch: EventBatch) -> bytes:
    place = str(batch.cursor)
    control: dict[str, object] = {"streamNextOffset": place} | ({"upToDate": True} if batch.up_to_date else {})
    control |= {"streamClosed": True} if batch.closed else {"streamCursor": str(batch.cursor.seq)}
    frames = b""
    if batch.events:
        # An event's JSON has no raw line breaks, so one data line holds them all.
        frames = b"event: data\nid: %b\ndata: %b\n\n" % (place.encode(), json_array(batch.events))
    return frames + b"event: control\nid: %b\ndata: %b\n\n" % (place.encode(), encode(control))


ROUTES = [(r"jobs/([A-Za-z0-9_-]+)/events", EventLogHandler)]
