"""Opens and closes a SQLite database: its files, its writer and its readers."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from ...core.errors import UnavailableError
from ..changefeed import Changefeed
from ..port_values import Change
from . import queries
from .connection import Journal
from .database_file import Files, Settings, opened_files
from .errors import Troubles
from .lease import WATCH, Machine, this_machine
from .readers import Readers
from .server_locks import MISSING, ServerLocks
from .writer import Writer

CLOSING_PATIENCE = 2.0  # seconds in all for writes that still wait when the store is closed


class _Parts(NamedTuple):
    """The parts of an open database."""

    liveness: ServerLocks
    readers: Readers
    writer: Writer
    resources: ExitStack  # closed after the writer


class SQLiteDatabase:
    """One SQLite file (mode 0600), with the servers' locks in ``<path>.servers`` beside it.

    Belongs to the event loop it was opened in. With the journal ``rollback`` each host has a file of its own,
    ``<stem>.<host><suffix>``, which belongs to one machine at a time.

    Args:
        path: The file.
        server: This server's id, a new one at each start.
        full: Whether to sync every commit to disk. Without it a power cut may take the last moment of a text, but no
            submit and no end.
        patience: Seconds a write waits while another process holds the file; may be changed at any time.
        journal: ``wal`` for processes of one machine, ``rollback`` where machines share the file system; None: by the
            file system.
        host: The owner of the file with a rollback journal; None: a JupyterHub's user and server name, elsewhere the
            machine's name.
        machine: This machine; None: as the operating system names it.
        watch: Seconds a start waits for the lease of another machine that may be dead.
        missing: Seconds the lock file of another server must be missing until its jobs are abandoned.
    """

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
        """Open the files in a thread and start the writer.

        Raises:
            UnavailableError: The database cannot be opened; nothing is left behind.
        """
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
        files.guard.when_taken_over(lambda: _set_soon(loop, self._taken_over))

    def _open_files(self, stop: threading.Event) -> tuple[ExitStack, Files, int, Readers]:
        with ExitStack() as resources:
            # The connection that writes is the last to be closed: then SQLite removes the write-ahead log.
            settings = self._settings._replace(patience=self.patience)
            files = resources.enter_context(opened_files(self._database, settings, stop=stop))
            try:
                readers = resources.enter_context(Readers(files.path, troubles=files.troubles, guard=files.guard))
                rev = queries.revision(files.db)
            except sqlite3.Error as error:
                raise files.troubles.unavailable(error, action="read") from error
            return resources.pop_all(), files, rev, readers

    async def wait_until_taken_over(self) -> None:
        """Wait until another machine has taken the database over."""
        await self._taken_over.wait()

    async def close(self) -> None:
        """Finish waiting writes within CLOSING_PATIENCE, then close all files."""
        if self._parts is None:
            return
        parts, self._parts = self._parts, None
        await parts.writer.close(patience=min(self.patience, CLOSING_PATIENCE))
        self._feed.close()
        await asyncio.to_thread(parts.resources.close)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about the database for its administrator, such as damage or files of other hosts."""
        return self._troubles.warnings if self._troubles is not None else ()

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        """Return an iterator over every commit from now on."""
        return self._feed.subscribe()

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise UnavailableError("The store is not open.")
        return self._parts


def _close_unwanted(opening: asyncio.Future[tuple[ExitStack, Files, int, Readers]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop was closed before the store
        loop.call_soon_threadsafe(event.set)
