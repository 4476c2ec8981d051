"""Buffers a job's events and appends them in order, one append at a time, with back-pressure at 256 KiB."""

import asyncio
from collections.abc import Mapping, Sequence

from ..core.errors import FencedError
from ..core.events import Citation, Delta, Event, ToolCall, Usage
from ..core.job import PREVIEW_LENGTH, Job
from ..core.state import Answer
from ..providers.port import Resume
from ..store.port_values import NO_FILES, Append
from ..store.ports.logs import append_one
from ..store.ports.store import Store

UNWRITTEN_BYTES = 256 * 1024  # beyond that the provider is not read until they are written
EVENT_BYTES = 16  # that an event counts in addition to its text: an answer may consist of a million nearly empty events


class EventWriter:
    """Writes one attempt's events; each append takes all events that arrived during the one before.

    Args:
        store: where the events go.
        job: the job, as claimed.
        before: the answer so far of a resumed attempt.

    """

    def __init__(self, store: Store, job: Job, before: Answer | None = None) -> None:
        before = before or Answer()
        self._store = store
        self._job = job
        self._tail = job.seq  # of the log, after all events that are written
        self._unwritten: list[Event] = []
        self._files: dict[str, bytes] = {}  # of images among them, by image id
        self._unwritten_bytes = 0  # UTF-8, like all counts here, and files
        self.written_bytes = len(before.text.encode()) + len(before.reasoning.encode())  # of the attempt, in all
        # Whether there were events other than usage.
        self.begun = bool(self.written_bytes or before.sources or before.tool_calls or before.images)
        self.token = job.resume  # to resume the response after all events so far
        self._stored_token = job.resume
        self._token_known = job.resume is not None  # whether the store ever had a token of this attempt
        self._writer: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._preview = before.text.lstrip()[:PREVIEW_LENGTH]
        self._written_preview = len(self._preview)  # characters of it that were appended

    @property
    def lost_token(self) -> str | None:
        """The token of a response that is not in the store, since the job ended before its first append."""
        return self.token if isinstance(self._error, FencedError) and not self._token_known else None

    async def put(self, events: Sequence[Event | Resume], files: Mapping[str, bytes] = NO_FILES) -> None:
        """Take events, with the files of images among them; wait while too much is unwritten.

        Raises:
            FencedError, UnavailableError: what an earlier append raised.

        """
        self._raise()
        for event in events:
            if isinstance(event, Resume):
                self.token = event.token
                continue
            if self.token is not None and not isinstance(event, Usage):
                self.token = None  # it does not cover this event; a later token will
            self._unwritten.append(event)
            self.begun = self.begun or not isinstance(event, Usage)
            size = sum(len(text.encode()) for text in _texts(event))
            self._unwritten_bytes += size
            self.written_bytes += size + EVENT_BYTES
            if isinstance(event, Delta) and event.channel == "text" and len(self._preview) < PREVIEW_LENGTH:
                self._preview = (self._preview + event.text).lstrip()[:PREVIEW_LENGTH]
        if files:
            self._files |= files
            self._unwritten_bytes += sum(map(len, files.values()))
        if (self._unwritten or self.token != self._stored_token) and self._writer is None:
            self._writer = asyncio.create_task(self._write())
        if self._unwritten_bytes > UNWRITTEN_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Wait until everything is written. Raises what an append raised."""
        await self.close()
        self._raise()

    async def close(self) -> None:
        """Wait until everything is written or refused, without raising: events that arrived are never dropped."""
        if self._writer is not None:
            await asyncio.shield(self._writer)  # a cancel of the waiting task stops no write

    async def _write(self) -> None:
        try:
            while self._unwritten or self.token != self._stored_token:
                events, self._unwritten = self._unwritten, []
                files, self._files = self._files, {}
                resume = None if self.token == self._stored_token else self.token or ""
                self._stored_token = self.token
                preview = self._preview if len(self._preview) > self._written_preview else None
                self._written_preview = len(self._preview)
                self._unwritten_bytes = 0
                append = Append(
                    job=self._job, events=events, tail=self._tail, preview=preview, resume=resume, files=files
                )
                self._tail = await append_one(self._store, append)
                self._token_known = self._token_known or bool(resume)
        except Exception as error:  # any: after a lost append there must be no further one
            self._error = error
            self._unwritten.clear()
            self._files.clear()
        finally:
            self._writer = None

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _texts(event: Event) -> tuple[str, ...]:
    match event:
        case Delta():
            return (event.text,)
        case Citation():
            return event.url, event.title
        case ToolCall():
            return event.id, event.name, event.arguments
    return ()
