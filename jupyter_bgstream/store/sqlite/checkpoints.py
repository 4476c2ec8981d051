"""Checkpoints: copy the write-ahead log into the database when the store is idle or the log is large."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BYTES = 8 * 1024 * 1024  # of write-ahead log
IDLE = 1.0  # seconds without a commit
PATIENCE = 200  # milliseconds


class Checkpoints:
    """The checkpoints of one database. Belongs to the writer's thread and connection."""

    def __init__(self, db: sqlite3.Connection, path: Path, *, allowed: Callable[[], bool]) -> None:
        self._db = db
        self._wal = path.with_name(path.name + "-wal")
        self._allowed = allowed
        self._at: float | None = None  # monotonic seconds
        self._bytes = BYTES

    def note_commit(self) -> None:
        """Checkpoint now if the log is large, or else once nothing is written for a while."""
        self._at = time.monotonic() + IDLE
        if self._wal_size() > self._bytes:
            self.run()

    def run_if_due(self) -> None:
        """Checkpoint if nothing has been written for a while."""
        if self._at is not None and time.monotonic() > self._at:
            self.run()

    def run(self) -> bool:
        """Checkpoint; return whether the whole log is in the database now."""
        # With SQLite's busy handler, since without the write lock it would run a passive one.
        busy = 1
        if self._allowed():
            with suppress(sqlite3.Error):
                self._db.execute(f"PRAGMA busy_timeout = {PATIENCE}")
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._db.execute("PRAGMA busy_timeout = 0")
        if busy:  # a reader uses an old snapshot: try later, but not after every commit
            self._at = time.monotonic() + IDLE
            self._bytes = self._wal_size() + BYTES
        else:
            self._at = None
            self._bytes = BYTES
        return not busy

    def _wal_size(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0
