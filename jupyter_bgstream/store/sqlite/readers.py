"""Reader threads, each with a connection of its own that does not write."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from ...core.errors import BgStreamError
from .availability import Availability
from .connection import READER_PATIENCE, open_for_reading, patiently
from .errors import Troubles

THREADS = 2

log = logging.getLogger(__name__)

T = TypeVar("T")


class Readers:
    """A pool of reader threads; a context manager."""

    def __init__(self, path: Path, *, troubles: Troubles, guard: Availability) -> None:
        self._path = path
        self._guard = guard
        self._troubles = troubles
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bgstream-reader")

    def __enter__(self) -> Readers:
        with ExitStack() as connections:
            for _ in range(THREADS):
                db = connections.enter_context(closing(open_for_reading(self._path)))
                _touch(db)
                self._idle.put(db)
            self._connections = connections.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown()
        self._connections.close()

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``read`` in one of the threads; raises UnavailableError if the database cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, read)

    def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        db = self._idle.get()  # there are as many as threads
        try:
            self._guard.check_access()
            until = time.monotonic() + READER_PATIENCE
            return patiently(lambda: read(db), lambda: until)
        except BgStreamError:
            raise
        except Exception as error:
            if not isinstance(error, sqlite3.Error):
                log.exception("a read of the store failed in an unexpected way")
            raise self._troubles.unavailable(error, action="read") from error
        finally:
            self._idle.put(db)


def _touch(db: sqlite3.Connection) -> None:
    # The first read opens the log: if the file loses its name later, it can still be read.
    until = time.monotonic() + READER_PATIENCE
    patiently(lambda: db.execute("PRAGMA schema_version").fetchone(), lambda: until)
