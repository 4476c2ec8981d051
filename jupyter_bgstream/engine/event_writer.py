"""Between a provider and the store: what was said waits here while the commit before is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ..core.errors import FencedError
from ..core.events import Citation, Delta, Event, ToolCall, Usage
from ..core.job import PREVIEW_LENGTH, Job
from ..core.state import Answer
from ..providers.base import Resume
from ..store.base import NO_FILES, Store

UNWRITTEN_BYTES = 256 * 1024  # then the provider is no longer read: back-pressure, not memory
EVENT_BYTES = 16  # that an event counts as beside its text: an answer may consist of a million as good as empty ones


class EventWriter:
    """Writes one job's events in order, one append at a time, each with all that came meanwhile.

    ``before`` is what its attempt has said already, on a server before this one.
    """

    def __init__(self, store: Store, job: Job, before: Answer | None = None) -> None:
        before = before or Answer()
        self._store = store
        self._job = job
        self._waiting: list[Event] = []
        self._files: dict[str, bytes] = {}  # of pictures among them, by their ids
        self._bytes = 0  # of UTF-8, like all counts here, and of files
        self.taken = len(before.text.encode()) + len(before.reasoning.encode())  # bytes in all
        # Whether there was more than a count of tokens.
        self.begun = bool(self.taken or before.sources or before.tool_calls or before.images)
        self.token = job.resume  # from where the provider can be asked to go on, behind all that came
        self._stored = job.resume
        self._known = job.resume is not None  # whether the store has ever had a token of this attempt
        self._writer: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._preview = before.text.lstrip()[:PREVIEW_LENGTH]
        self._previewed = len(self._preview)  # characters of the preview that were handed over

    @property
    def lost(self) -> str | None:
        """The token of an answer that nobody else can know of: the job ended before the store heard of it."""
        return self.token if isinstance(self._error, FencedError) and not self._known else None

    async def put(self, events: Sequence[Event | Resume], files: Mapping[str, bytes] = NO_FILES) -> None:
        """Take events, with the files of pictures among them; waits while too much is unwritten.

        Raises what an append raised: FencedError, UnavailableError.
        """
        self._raise()
        for event in events:
            if isinstance(event, Resume):
                self.token = event.token
                continue
            if self.token is not None and not isinstance(event, Usage):
                self.token = None  # what comes now it does not cover; the one behind it will
            self._waiting.append(event)
            self.begun = self.begun or not isinstance(event, Usage)
            size = sum(len(text.encode()) for text in _texts(event))
            self._bytes += size
            self.taken += size + EVENT_BYTES
            if isinstance(event, Delta) and event.channel == "text" and len(self._preview) < PREVIEW_LENGTH:
                self._preview = (self._preview + event.text).lstrip()[:PREVIEW_LENGTH]
        if files:
            self._files |= files
            self._bytes += sum(map(len, files.values()))
        if (self._waiting or self.token != self._stored) and self._writer is None:
            self._writer = asyncio.create_task(self._write())
        if self._bytes > UNWRITTEN_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Wait until everything is written. Raises what an append raised."""
        await self.close()
        self._raise()

    async def close(self) -> None:
        """Wait until everything is written or refused, whatever has happened: what was said is kept."""
        if self._writer is not None:
            await asyncio.shield(self._writer)  # being cancelled while we wait stops no write

    async def _write(self) -> None:
        try:
            while self._waiting or self.token != self._stored:
                events, self._waiting = self._waiting, []
                files, self._files = self._files, {}
                resume = None if self.token == self._stored else self.token or ""
                self._stored = self.token
                preview = self._preview if len(self._preview) > self._previewed else None
                self._previewed = len(self._preview)
                self._bytes = 0
                await self._store.append(self._job, events, preview=preview, resume=resume, files=files)
                self._known = self._known or bool(resume)
        except Exception as error:  # any: a batch that was lost must not be followed by another
            self._error = error
            self._waiting.clear()
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
