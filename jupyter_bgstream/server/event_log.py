"""REST handler: the log of a job, a read-only stream of the Durable Streams protocol in JSON mode. See PROTOCOL.md."""

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
from ..engine.followers import EventBatch
from .base import ApiHandler, endpoint

RESPONSE_BYTES = 1024 * 1024  # of events in one response that is not live
LONG_POLL_SECONDS = 20


class EventLogHandler(ApiHandler):
    """``jobs/{id}/events``."""

    _work: asyncio.Task[None] | None = None

    @endpoint
    async def head(self, job_id: str) -> None:
        """Return the position of the log's end and whether the log is closed."""
        job = await self.engine.jobs.get(self.owner, job_id)
        self._set_position(job.cursor, up_to_date=True, closed=job.ended)
        self.finish()

    @endpoint
    async def get(self, job_id: str) -> None:
        """Return the stored events, or follow the log."""
        job = await self.engine.jobs.get(self.owner, job_id)
        resumed = self.request.headers.get("Last-Event-ID")
        offset = self.get_query_argument("offset", "-1")
        check_form(offset)  # also if the header replaces it
        offset = resumed or offset
        after = position(offset, job.cursor)
        live = self.get_query_argument("live", None)
        if live is None:
            await self._catch_up(job, after)
        elif live == "long-poll":
            await self._until_disconnected(self._long_poll(job, after))
        elif live == "sse" and resumed and job.ended and after >= job.seq:
            # A plain EventSource reconnects forever after a clean end; only 204 stops it.
            self._set_position(job.cursor, up_to_date=True, closed=True)
            self.no_content()
        elif live == "sse":
            await self._until_disconnected(self._server_sent_events(job, after))
        else:
            raise InvalidRequestError(f"live must be long-poll or sse, not {live[:60]!r}.", field="live")

    async def _until_disconnected(self, work: Coroutine[Any, Any, None]) -> None:
        # The work is a task of its own, so that a disconnect ends it and nothing else.
        if self._disconnected:
            work.close()
            return
        self._work = asyncio.create_task(work)
        try:
            await self._work
        except (asyncio.CancelledError, StreamClosedError):
            if not self._disconnected:
                raise

    _disconnected = False

    def on_connection_close(self) -> None:
        """Stop reading for a client that has disconnected."""
        super().on_connection_close()
        self._disconnected = True
        if self._work is not None:
            self._work.cancel()

    def _set_position(self, cursor: Cursor, *, up_to_date: bool, closed: bool, start: int | None = None) -> None:
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
        events = await self.engine.jobs.events(job, after=after, max_bytes=RESPONSE_BYTES)
        cursor, closed = job.cursor, job.ended
        if events:
            last = decode_event(events[-1])
            cursor = Cursor(log=job.log, attempt=last.attempt, seq=last.seq)
            closed = isinstance(last, End)
        up_to_date = closed or cursor.seq >= job.seq
        self._set_position(cursor, up_to_date=up_to_date, closed=closed and up_to_date, start=after)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        self.finish(json_array(events))

    async def _long_poll(self, job: Job, after: int) -> None:
        batch: EventBatch | None = None
        async with aclosing(self.engine.jobs.follow(job, after=after)) as batches:
            try:
                async with asyncio.timeout(LONG_POLL_SECONDS):
                    batch = await anext(batches)
            except TimeoutError:
                pass
        if batch is not None and batch.events:
            self._set_position(batch.cursor, up_to_date=batch.up_to_date, closed=batch.closed, start=after)
            self.finish(json_array(batch.events))
            return
        tail = batch.cursor if batch else (await self.engine.jobs.get(job.owner, job.id)).cursor
        here = Cursor(log=tail.log, attempt=tail.attempt, seq=after)
        self._set_position(tail if batch else here, up_to_date=True, closed=batch is not None)
        self.no_content()

    async def _server_sent_events(self, job: Job, after: int) -> None:
        self._set_position(job.cursor, up_to_date=False, closed=False)
        self.clear_header("Stream-Next-Offset")
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        try:
            async with aclosing(self.engine.jobs.follow(job, after=after)) as batches:
                async for batch in batches:
                    self.write(_sse(batch))
                    await self.flush()
        except RequestError as error:  # such as deleted meanwhile; the status line was sent before
            self.log.info("job %s: the follower is disconnected: %s", job.id, error)
        self.finish()


def _sse(batch: EventBatch) -> bytes:
    cursor = str(batch.cursor)
    control: dict[str, object] = {"streamNextOffset": cursor} | ({"upToDate": True} if batch.up_to_date else {})
    control |= {"streamClosed": True} if batch.closed else {"streamCursor": str(batch.cursor.seq)}
    frames = b""
    if batch.events:
        # The JSON of an event has no raw line breaks, so one data line holds all events.
        frames = b"event: data\nid: %b\ndata: %b\n\n" % (cursor.encode(), json_array(batch.events))
    return frames + b"event: control\nid: %b\ndata: %b\n\n" % (cursor.encode(), encode(control))


ROUTES = [(r"jobs/([A-Za-z0-9_-]+)/events", EventLogHandler)]
