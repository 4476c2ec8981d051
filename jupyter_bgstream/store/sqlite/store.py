"""The store's port on a SQLite file: writes go to the writer's queue, reads to the readers' threads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from ...core.batches import Batch, BatchItem, Progress
from ...core.costs import By, CostRow
from ...core.errors import UnavailableError
from ...core.events import Cancelled, Event, Waiting
from ...core.job import Job, Turn
from ...core.messages import Message
from ...core.notices import Mute, Notice
from ...core.threads import Fork, Thread
from ..base import NO_FILES, Capacity, Change, ExpiredJob, JobFilter, Span, StoredImage
from ..changefeed import Changefeed
from . import claims, pruning, segments, select
from .connection import Journal
from .errors import Troubles
from .files import Files, Settings, opened_files
from .lease import WATCH, Machine, this_machine
from .readers import Readers
from .server_locks import MISSING, ServerLocks
from .transaction import is_quiet
from .writer import Writer

CLOSING_PATIENCE = 2.0  # seconds, in all, for what still waits when the store is closed


class _Parts(NamedTuple):
    """What an open store consists of."""

    liveness: ServerLocks
    readers: Readers
    writer: Writer
    resources: ExitStack  # what is closed after the writer


class SQLiteStore:
    """Keeps everything in one SQLite file (mode 0600), with the servers' locks in ``<path>.servers`` beside it.

    ``server`` is this server's id, new in each of its lives. ``full`` syncs every commit to disk; without it a power
    cut may take the last moment of a text, but no submit and no end. ``patience`` is how long a write waits while
    another process holds the file, in seconds; it may be changed at any time. Belongs to the event loop it was opened
    in. If it cannot be opened it may be tried again: a failure leaves nothing behind.

    ``journal`` is how the file is written: ``wal`` by processes of one machine; ``rollback`` where machines share the
    file system, and then each ``host`` (if None, a JupyterHub's user and server name, elsewhere the machine's name) has
    a file of its own, ``<stem>.<host><suffix>``. None decides by the file system. Such a file belongs to one
    ``machine`` at a time: a start waits up to ``watch`` seconds for the lease of another one that may be dead.

    ``missing`` is for how many seconds the lock file of another server must be missing until its jobs are abandoned.
    """

    kind = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        server: str,
        full: bool = False,
        patience: float = 30.0,
        journal: Journal | None = None,
        host: str | None = None,
        machine: Machine | None = None,
        watch: float = WATCH,
        missing: float = MISSING,
    ) -> None:
        self.path: Path | None = path
        self._database = path
        self._full = full
        self.patience = patience
        self._settings = Settings(
            server=server,
            journal=journal,
            host=host,
            patience=patience,
            machine=machine or this_machine(),
            watch=watch,
            missing=missing,
        )
        self._taken_over = asyncio.Event()
        self._troubles: Troubles | None = None
        self._feed = Changefeed()
        self._parts: _Parts | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        opening = loop.run_in_executor(None, self._open_files, stop)
        try:
            resources, files, rev, readers = await asyncio.shield(opening)
        except asyncio.CancelledError:
            stop.set()
            opening.add_done_callback(_close_unwanted)
            raise
        with ExitStack() as stack:
            stack.push(resources)
            writer = Writer(
                files.db,
                path=files.path,
                troubles=files.troubles,
                guard=files.guard,
                rev=rev,
                publish=self._feed.publish,
                full=self._full or files.journal == "rollback",
                patience=lambda: self.patience,
            )
            stack.pop_all()
        self.path = files.path
        self._troubles = files.troubles
        self._parts = _Parts(files.liveness, readers, writer, resources)
        files.guard.when_taken_over(lambda: _tell(loop, self._taken_over))

    def _open_files(self, stop: threading.Event) -> tuple[ExitStack, Files, int, Readers]:
        with ExitStack() as resources:
            # The connection that writes is the last to be closed: then SQLite removes the write-ahead log.
            settings = self._settings._replace(patience=self.patience)
            files = resources.enter_context(opened_files(self._database, settings, stop=stop))
            try:
                readers = resources.enter_context(Readers(files.path, troubles=files.troubles, guard=files.guard))
                rev = select.revision(files.db)
            except sqlite3.Error as error:
                raise files.troubles.unavailable(error, action="read") from error
            return resources.pop_all(), files, rev, readers

    async def taken_over(self) -> None:
        await self._taken_over.wait()

    async def close(self) -> None:
        if self._parts is None:
            return
        parts, self._parts = self._parts, None
        await parts.writer.close(patience=min(self.patience, CLOSING_PATIENCE))
        self._feed.close()
        await asyncio.to_thread(parts.resources.close)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know about the database, as sentences: it was damaged, or is another host's."""
        return self._troubles.warnings if self._troubles is not None else ()

    async def submit(self, job: Job, *, max_queued: int) -> tuple[Job, bool]:
        return await self._open.writer.run(lambda tx: tx.submit(job, max_queued=max_queued))

    async def claim(self, *, server: str, owner: str | None, room: Capacity, limit: int, at: float) -> list[Job]:
        return await self._open.writer.run(
            lambda tx: tx.claim(server=server, owner=owner, room=room, limit=limit, at=at)
        )

    async def next_due(self, *, server: str, owner: str | None, after: float) -> float | None:
        return await self._open.readers.run(lambda db: select.next_due(db, server=server, owner=owner, after=after))

    async def adopt(self, job: Job, *, server: str, event: Waiting | None = None) -> Job:
        return await self._open.writer.run(lambda tx: tx.adopt(job, server=server, event=event))

    async def freeze(self, job: Job, history: tuple[Message, ...], turns: tuple[Turn, ...] = ()) -> Job:
        return await self._open.writer.run(lambda tx: tx.freeze(job, history, turns))

    async def append(
        self,
        job: Job,
        events: Sequence[Event],
        *,
        preview: str | None = None,
        resume: str | None = None,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> int:
        return await self._open.writer.run(
            lambda tx: tx.append(job, events, preview=preview, resume=resume, files=files), light=is_quiet(events)
        )

    async def end(
        self, owner: str, job_id: str, event: Event, *, fence: int | None = None, log: str | None = None
    ) -> tuple[Job, bool]:
        return await self._open.writer.run(lambda tx: tx.end(owner, job_id, event, fence=fence, log=log))

    async def job(self, owner: str, job_id: str) -> Job:
        _, job = await self._open.readers.run(lambda db: select.find_job(db, owner, job_id))
        return job

    async def jobs(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        return await self._open.readers.run(lambda db: select.list_jobs(db, owner, which))

    async def has_work(self, *, server: str, owner: str) -> bool:
        return await self._open.readers.run(lambda db: claims.has_work(db, server=server, owner=owner))

    async def counts(self, owner: str) -> dict[str, int]:
        return await self._open.readers.run(lambda db: select.count_jobs(db, owner))

    async def costs(
        self, owner: str, by: By, *, since: float | None = None, until: float | None = None
    ) -> list[CostRow]:
        return await self._open.readers.run(lambda db: select.sum_costs(db, owner, by, since=since, until=until))

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        return await self._open.readers.run(lambda db: select.read_events(db, job, after=after, max_bytes=max_bytes))

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        return await self._open.readers.run(lambda db: select.find_image(db, owner, job_id, image_id))

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        return await self._open.readers.run(lambda db: select.read_image_chunk(db, image, chunk))

    async def delete(self, owner: str, job_id: str, *, log: str | None = None) -> None:
        await self._open.writer.run(lambda tx: tx.delete(owner, job_id, log=log))

    async def abandoned(self, *, owner: str | None, limit: int) -> list[Job]:
        parts = self._open
        return await parts.readers.run(lambda db: select.abandoned_jobs(db, parts.liveness, owner=owner, limit=limit))

    async def submit_group(self, group: Batch, jobs: Sequence[Job], *, max_queued: int) -> Batch:
        return await self._open.writer.run(lambda tx: tx.submit_group(group, jobs, max_queued=max_queued))

    async def group(self, owner: str, group_id: str) -> Batch:
        return await self._open.readers.run(lambda db: select.find_group(db, owner, group_id))

    async def progress(self, owner: str, group_id: str) -> Progress:
        return await self._open.readers.run(lambda db: select.group_progress(db, owner, group_id))

    async def answers(
        self, owner: str, group_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> tuple[list[BatchItem], str, bool]:
        return await self._open.readers.run(
            lambda db: select.group_answers(db, owner, group_id, after=after, limit=limit, max_bytes=max_bytes)
        )

    async def retry_group(
        self,
        owner: str,
        group_id: str,
        *,
        server: str,
        at: float,
        limit: int,
        max_queued: int,
        span: Span | None,
        submitted_by: str | None = None,
    ) -> Span | None:
        return await self._open.writer.run(
            lambda tx: tx.retry_group(
                owner,
                group_id,
                server=server,
                at=at,
                limit=limit,
                max_queued=max_queued,
                span=span,
                submitted_by=submitted_by,
            )
        )

    async def cancel_group(self, owner: str, group_id: str, event: Cancelled, *, limit: int) -> tuple[Batch, list[Job]]:
        return await self._open.writer.run(lambda tx: tx.cancel_group(owner, group_id, event, limit=limit))

    async def resume_group(self, owner: str, group_id: str) -> Batch:
        return await self._open.writer.run(lambda tx: tx.resume_group(owner, group_id))

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        return await self._open.readers.run(lambda db: select.list_notices(db, owner, viewer))

    async def read(self, owner: str, viewer: str, *, ids: Sequence[str] | None, at: float) -> None:
        await self._open.writer.run(lambda tx: tx.read(owner, viewer, ids=ids, at=at))

    async def seen(self, owner: str, viewer: str, job_id: str, *, seq: int, at: float) -> None:
        await self._open.writer.run(lambda tx: tx.seen(owner, viewer, job_id, seq=seq, at=at))

    async def dismiss(self, owner: str, viewer: str, notice_id: str, *, at: float) -> None:
        await self._open.writer.run(lambda tx: tx.dismiss(owner, viewer, notice_id, at=at))

    async def mutes(self, owner: str, viewer: str) -> list[Mute]:
        return await self._open.readers.run(lambda db: select.list_mutes(db, owner, viewer))

    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        await self._open.writer.run(lambda tx: tx.mute(owner, viewer, mute, on=on))

    async def due_calls(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        return await self._open.writer.run(lambda tx: tx.due_calls(owner, since=since, at=at, again=again, limit=limit))

    async def called(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        await self._open.writer.run(lambda tx: tx.called(owner, notice_id, again=again))

    async def threads(self, owner: str, *, limit: int, after: str | None = None) -> tuple[list[Thread], str | None]:
        return await self._open.readers.run(lambda db: select.list_threads(db, owner, limit=limit, after=after))

    async def thread(self, owner: str, name: str) -> Thread:
        return await self._open.readers.run(lambda db: select.find_thread(db, owner, name))

    async def last_turn(self, owner: str, name: str) -> Job | None:
        return await self._open.readers.run(lambda db: select.find_last_turn(db, owner, name))

    async def fork_of(self, owner: str, name: str) -> Fork | None:
        return await self._open.readers.run(lambda db: select.find_fork(db, owner, name))

    async def fork(self, fork: Fork) -> None:
        await self._open.writer.run(lambda tx: tx.fork(fork))

    async def rename_thread(self, owner: str, name: str, new: str) -> None:
        await self._open.writer.run(lambda tx: tx.rename_thread(owner, name, new))

    async def delete_thread(self, owner: str, name: str, event: Cancelled) -> list[Job]:
        return await self._open.writer.run(lambda tx: tx.delete_thread(owner, name, event))

    async def forget_forks(self, *, owner: str | None, before: float) -> int:
        return await self._open.writer.run(lambda tx: tx.forget_forks(owner=owner, before=before))

    async def old(self, *, owner: str | None, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
        return await self._open.readers.run(
            lambda db: pruning.old_jobs(db, owner=owner, before=before, unread=unread, limit=limit)
        )

    async def announce(self, jobs: Sequence[ExpiredJob], *, at: float) -> None:
        await self._open.writer.run(lambda tx: tx.tidy(lambda db: pruning.announce(db, jobs, at=at)))

    async def size(self, *, owner: str | None) -> int:
        return await self._open.readers.run(lambda db: pruning.size(db, owner=owner))

    async def tidy(self) -> bool:
        parts = self._open
        if found := await parts.readers.run(segments.next_segments):
            await parts.writer.run(lambda tx: tx.tidy(lambda db: segments.join(db, found)), light=True)
        elif await parts.readers.run(pruning.has_spare_pages):
            await parts.writer.run(lambda tx: tx.tidy(pruning.give_back), light=True)
        else:
            return False
        return True

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._feed.subscribe()

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise UnavailableError("The store is not open.")
        return self._parts


def _close_unwanted(opening: asyncio.Future[tuple[ExitStack, Files, int, Readers]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop was closed before the store
        loop.call_soon_threadsafe(event.set)
