"""The one thread that writes the database: all that waits is one transaction, and others get their turn between two."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ...core.errors import BgStreamError, Unavailable
from ..base import Change
from .database import patiently
from .reads import changes_since, revision
from .trouble import Troubles
from .writes import Transaction

PAUSE = 0.002  # seconds, at least, in which the lock is free after a commit
FOLLOWING = 0.02  # seconds between looks for other processes' commits, while there are some
IDLE = 0.5  # seconds between looks otherwise
FOLLOWED_FOR = 5.0  # seconds after another process's commit in which more are expected
CHECKPOINT_BYTES = 8 * 1024 * 1024  # of write-ahead log
CHECKPOINT_IDLE = 1.0  # seconds without a commit
CHECKPOINT_PATIENCE = 200  # milliseconds

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class _Item:
    """An operation that waits for its transaction."""

    operation: Callable[[Transaction], Any]
    light: bool
    future: asyncio.Future[Any]


@dataclass
class _Outcome:
    """What became of an operation."""

    item: _Item
    result: Any = None
    error: Exception | None = None


class _FaultyError(Exception):
    """An operation failed in a way it should not have, perhaps half done."""

    def __init__(self, item: _Item, error: Exception) -> None:
        super().__init__(str(error))
        self.item = item
        self.error = error


class Writer:
    """Runs operations in its thread, in order, and tells everybody's commits to ``publish`` on the event loop.

    - A commit starts at once when the writer has been idle. After one that held the lock for d seconds it leaves the
      lock free for max(d, PAUSE): commits back to back would starve the other servers on this file.
    - Each telling commit raises the number in ``revision``. The writer compares it with the last it knows, at the start
      of each transaction and in between every 20 ms, or every 500 ms if no other process has committed for 5 s: one
      read of 4 µs, as quick as ``PRAGMA data_version``, that also says where to begin. What is new is told before this
      process's own next commit, so that the order is the one of the commits.
    - Transactions of light operations alone are not synced to disk (``synchronous=NORMAL``), unless ``full``.
    - With a rollback journal there is nothing to check-point, and every commit is synced: one that is not may damage
      the whole file in a power cut.
    - Checkpoints are ours, from this connection, and exclude writers (SQLite before 3.51.3 has a WAL-reset bug).
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        path: Path,
        troubles: Troubles,
        rev: int,
        publish: Callable[[Sequence[Change]], None],
        full: bool,
        patience: Callable[[], float],
    ) -> None:
        self._db = db
        self._wal = path.with_name(path.name + "-wal")
        self._troubles = troubles
        self._publish = publish
        self._full = full
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()  # None: close
        self._closing = False
        self._closed_by = float("inf")  # monotonic seconds, like all times here
        self._rev = rev
        self._light: bool | None = None  # whether the connection is set to light transactions
        self._free_until = 0.0
        self._followed_until = 0.0
        self._checkpoint_at: float | None = None
        self._checkpoint_bytes = CHECKPOINT_BYTES
        self._thread = threading.Thread(target=self._run, name="bgstream-writer", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[Transaction], T], *, light: bool = False) -> T:
        """Run an operation in the next transaction; returns what it returns once that is committed.

        Raises what the operation raises, and Unavailable if the transaction failed: then none of it has happened.
        """
        if self._closing:
            raise Unavailable("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Item(operation, light and not self._full, future))
        return await future

    async def close(self, *, patience: float) -> None:
        """Finish what waits, if another process leaves the file free within ``patience`` seconds, and checkpoint."""
        self._closing = True
        self._closed_by = time.monotonic() + patience
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        items: list[_Item] | None = []
        while items is not None:
            try:
                if items:
                    self._commit(items)
                else:
                    self._look_around()
            except Exception:  # those who wait have their outcomes by now, and the next ones must get theirs
                log.exception("the store failed between two transactions")
            items = self._next()
        self._checkpoint()

    def _next(self) -> list[_Item] | None:
        # Everything that waits, nothing if it is time to look around, None to close.
        pause = FOLLOWING if time.monotonic() < self._followed_until else IDLE
        try:
            item = self._queue.get(timeout=pause)
        except Empty:
            return []
        time.sleep(max(0.0, self._free_until - time.monotonic()))
        items = []
        while item is not None:
            items.append(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                return items
        if items:
            self._queue.put(None)  # nothing comes after it
        return items or None

    def _commit(self, items: list[_Item]) -> None:
        outcomes: list[_Outcome] = []
        changes: Sequence[Change] = ()
        while items:
            try:
                done, changes = self._transact(items)
                outcomes += done
                break
            except _FaultyError as fault:
                self._roll_back()
                log.error("an operation on the store failed in an unexpected way", exc_info=fault.error)
                outcomes.append(_Outcome(fault.item, error=self._unavailable(fault.error)))
                items = [item for item in items if item is not fault.item]
            except Exception as error:
                self._roll_back()
                if not isinstance(error, sqlite3.Error):
                    log.exception("a transaction failed in an unexpected way")
                outcomes += [_Outcome(item, error=self._unavailable(error)) for item in items]
                break
        self._deliver(outcomes, changes)
        self._checkpoint_at = time.monotonic() + CHECKPOINT_IDLE
        if self._wal_size() > self._checkpoint_bytes:
            self._checkpoint()

    def _transact(self, items: Sequence[_Item]) -> tuple[list[_Outcome], Sequence[Change]]:
        light = all(item.light for item in items)
        if light is not self._light:
            self._db.execute(f"PRAGMA synchronous = {'NORMAL' if light else 'FULL'}")
            self._light = light
        asked = time.monotonic()
        self._wait_for("BEGIN IMMEDIATE", asked)
        began = time.monotonic()
        try:
            self._catch_up()
            transaction = Transaction(self._db, self._rev + 1)
            outcomes = [self._try(item, transaction) for item in items]
            transaction.finish()
            self._wait_for("COMMIT", asked)  # with a rollback journal, for those who read
        finally:
            now = time.monotonic()
            self._free_until = now + max(now - began, PAUSE)
        if transaction.changes:
            self._rev = transaction.rev
        return outcomes, transaction.changes

    def _wait_for(self, statement: str, asked: float) -> None:
        patiently(lambda: self._db.execute(statement), lambda: min(asked + self._patience(), self._closed_by))

    @staticmethod
    def _try(item: _Item, transaction: Transaction) -> _Outcome:
        try:
            return _Outcome(item, result=item.operation(transaction))
        except BgStreamError as error:
            return _Outcome(item, error=error)
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.IntegrityError):  # about what it wrote, not about the file
                raise _FaultyError(item, error) from error
            raise
        except Exception as error:
            raise _FaultyError(item, error) from error

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite has rolled back by itself after some errors
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _catch_up(self) -> None:
        rev = revision(self._db)
        if rev != self._rev:
            changes = changes_since(self._db, self._rev)
            self._rev = rev
            self._followed_until = time.monotonic() + FOLLOWED_FOR
            self._deliver((), changes)

    def _look_around(self) -> None:
        # An error is not lost here: whoever reads or writes next gets it.
        with suppress(sqlite3.Error):
            self._catch_up()
        if self._checkpoint_at is not None and time.monotonic() > self._checkpoint_at:
            self._checkpoint()

    def _deliver(self, outcomes: Sequence[_Outcome], changes: Sequence[Change]) -> None:
        with suppress(RuntimeError):  # the loop was closed before the store: nobody is left to tell
            self._loop.call_soon_threadsafe(self._tell, outcomes, changes)

    def _tell(self, outcomes: Sequence[_Outcome], changes: Sequence[Change]) -> None:
        for outcome in outcomes:
            future = outcome.item.future
            if future.done():  # whoever asked has gone
                continue
            if outcome.error is None:
                future.set_result(outcome.result)
            else:
                future.set_exception(outcome.error)
        self._publish(changes)

    def _wal_size(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _checkpoint(self) -> None:
        # With SQLite's busy handler, since without the write lock it would make do with a passive one.
        busy = 1
        with suppress(sqlite3.Error):
            self._db.execute(f"PRAGMA busy_timeout = {CHECKPOINT_PATIENCE}")
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._db.execute("PRAGMA busy_timeout = 0")
        if busy:  # somebody reads an old snapshot: later, and not after every commit
            self._checkpoint_at = time.monotonic() + CHECKPOINT_IDLE
            self._checkpoint_bytes = self._wal_size() + CHECKPOINT_BYTES
        else:
            self._checkpoint_at = None
            self._checkpoint_bytes = CHECKPOINT_BYTES

    def _unavailable(self, error: Exception) -> Unavailable:
        return self._troubles.unavailable(error, action="written")
