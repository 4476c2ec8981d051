"""Single writer thread with group commit; it pauses between commits so that other processes can take the lock."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from ...core.errors import BgStreamError, UnavailableError
from ..port_values import Change
from .availability import Availability
from .checkpoints import Checkpoints
from .connection import patiently
from .errors import Troubles, code_of
from .file_watch import LostFileError
from .job_writes import Transaction
from .loop_bridge import NOT_RESPONDING, Delivery, Item, Outcome
from .queries import changes_since, revision

MIN_UNLOCKED_SECONDS = 0.002  # for which the lock is free after a commit, at least
MAX_UNLOCKED_SECONDS = 0.1  # a commit may have held the lock for long because this process was frozen in it
POLL_SECONDS = 0.02  # between checks for commits of other processes while there are some
IDLE_POLL_SECONDS = 0.5  # between checks otherwise
FAST_POLL_SECONDS = 5.0  # after another process's commit, in which more are expected
MAX_FAILURES = 5  # consecutive unexpected failures after which the thread ends
FAILURE_PAUSE_SECONDS = 0.05  # between a failure and the next step

T = TypeVar("T")

log = logging.getLogger(__name__)


class _FaultyError(Exception):
    """An operation failed unexpectedly, perhaps half done."""

    def __init__(self, item: Item, error: Exception) -> None:
        super().__init__(str(error))
        self.item = item
        self.error = error


class _WithdrawnError(Exception):
    """An operation was reported as not done, so it must not be committed."""


class Writer:
    """Runs operations in its thread, in order, and calls ``publish`` with the changes of all processes' commits.

    - A commit starts at once when the writer has been idle. After a commit that held the lock for d seconds the writer
      leaves it free for max(d, MIN_UNLOCKED_SECONDS), at most MAX_UNLOCKED_SECONDS: consecutive commits would starve
      other servers on this file.
    - Each operation waits for at most ``patience`` seconds: behind others, for the lock and, with a rollback journal,
      for readers.
    - Each commit with changes raises the number in ``revision``. The writer compares it with the last known number at
      the start of each transaction, and in between every 20 ms, or every 500 ms if no other process has committed for
      5 s. One read takes 4 µs, like ``PRAGMA data_version``, but also shows which changes are new. They are published
      before this process's own next commit, so that the order is that of the commits.
    - Transactions with only light operations are not synced to disk (``synchronous=NORMAL``), unless ``full``.
    - With a rollback journal there are no checkpoints, and every commit is synced: a power cut after an unsynced commit
      may damage the whole file.
    - Before each commit ``guard`` checks that the files still have their names: else the commit would be lost.
    - After any failure in the thread every waiting operation gets an outcome. After the thread has ended, every later
      operation fails at once.
    - Checkpoints run on this connection only and exclude writers (SQLite before 3.51.3 has a WAL-reset bug).
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        path: Path,
        troubles: Troubles,
        guard: Availability,
        rev: int,
        publish: Callable[[Sequence[Change]], None],
        full: bool,
        patience: Callable[[], float],
    ) -> None:
        self._db = db
        self._troubles = troubles
        self._guard = guard
        self._checkpoints = Checkpoints(db, path, allowed=guard.may_checkpoint)
        self._delivery = Delivery(publish, patience=patience)
        self._full = full
        self._patience = patience
        self._queue: SimpleQueue[Item | None] = SimpleQueue()  # None: close
        self._taken: list[Item] = []  # taken from the queue, without an outcome
        self._broken: str | None = None  # why the thread has ended
        self._closing = False
        self._close_deadline = float("inf")  # monotonic seconds, like all times here
        self._rev = rev
        self._is_synchronous_normal: bool | None = None  # setting of the connection; None: not yet set
        self._rescued = False  # whether the log was copied into a deleted or moved database file
        self._next_begin_at = 0.0  # the lock is free for other processes until then
        self._fast_poll_until = 0.0
        self._thread = threading.Thread(target=self._run, name="bgstream-writer", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[Transaction], T], *, light: bool = False) -> T:
        """Run an operation in the next transaction; return its result after the commit.

        Args:
            operation: Runs in the writer's thread; its exceptions are raised here.
            light: Whether its loss in a power cut is acceptable: a transaction of light operations is not synced.

        Raises:
            UnavailableError: The transaction failed; nothing was stored.
        """
        if self._closing:
            raise UnavailableError("The store is closed.")
        item = self._delivery.expect(operation, light=light and not self._full)
        self._queue.put(item)
        if self._broken is not None:  # after the put: the thread may have ended in between
            item.future.cancel()
            raise UnavailableError(self._broken)
        outcome: T = await item.future
        return outcome

    async def close(self, *, patience: float) -> None:
        """Finish waiting operations if other processes free the file within ``patience`` seconds, then checkpoint."""
        self._closing = True
        self._close_deadline = time.monotonic() + patience
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                if not self._step():
                    self._checkpoints.run()
                    return
                failures = 0
            except BaseException as error:
                failures += 1
                if not isinstance(error, Exception) or failures == MAX_FAILURES:
                    self._break_off(error)
                    return
                try:
                    self._refuse(error)
                except BaseException as another:
                    self._break_off(another)
                    return
                time.sleep(FAILURE_PAUSE_SECONDS)

    def _step(self) -> bool:
        """Commit the waiting operations, or else check for commits of other processes; return whether to continue."""
        self._delivery.notify_loop()
        if not self._next():
            return False
        if self._taken:
            self._commit(self._taken)
        else:
            self._poll_other_commits()
        return True

    def _next(self) -> bool:
        # Take everything that waits; nothing if it is time to check for other commits. False: close.
        pause = POLL_SECONDS if time.monotonic() < self._fast_poll_until else IDLE_POLL_SECONDS
        try:
            item = self._queue.get(timeout=pause)
        except Empty:
            return True
        if item is not None:
            self._taken.append(item)
            time.sleep(max(0.0, self._next_begin_at - time.monotonic()))
        while item is not None:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return True
            if item is not None:
                self._taken.append(item)
        if self._taken:
            self._queue.put(None)  # the last item
        return bool(self._taken)

    def _refuse(self, error: BaseException) -> None:
        """Refuse the taken operations after a failure outside of them."""
        log.error("the store's writer failed between two transactions and continues", exc_info=error)
        self._roll_back()
        self._deliver([Outcome(item, error=self._unavailable(error)) for item in self._taken], ())

    def _break_off(self, error: BaseException) -> None:
        """End the thread: refuse all waiting and all later operations."""
        message = (
            f"The store's writer has ended ({type(error).__name__}: {error}). Nothing can be stored until Jupyter is"
            " restarted; what was stored is kept. See the server's log."
        )
        with suppress(BaseException):
            log.critical("the store's writer has ended", exc_info=error)
            self._troubles.state("writer", message, level=logging.CRITICAL)
        self._broken = message
        while True:
            try:
                self._roll_back()
                while not self._queue.empty():
                    if (item := self._queue.get_nowait()) is not None:
                        self._taken.append(item)
                self._deliver([Outcome(item, error=UnavailableError(message)) for item in self._taken], ())
                return
            except BaseException:  # such as MemoryError: waiting operations still need an outcome
                time.sleep(FAILURE_PAUSE_SECONDS)

    def _commit(self, items: list[Item]) -> None:
        refused: Sequence[Item]
        error: BgStreamError
        while items:
            try:
                self._deliver(*self._transact(items))
                break
            except _FaultyError as fault:
                self._roll_back()
                log.error("an operation on the store failed in an unexpected way", exc_info=fault.error)
                refused, error = [fault.item], self._unavailable(fault.error)
            except _WithdrawnError:
                self._roll_back()
                refused, error = [item for item in items if item.withdrawn], UnavailableError(NOT_RESPONDING)
            except BgStreamError as lost:
                self._roll_back()
                refused, error = items, lost
            except Exception as failure:
                self._roll_back()
                if not isinstance(failure, sqlite3.Error):
                    log.exception("a transaction failed in an unexpected way")
                refused, error = items, self._lost() or self._unavailable(failure)
                if code_of(failure) == sqlite3.SQLITE_BUSY:
                    refused = self._overdue(items)
            for item in items:
                item.committing = False
            # At once: the other operations may have to wait.
            self._deliver([Outcome(item, error=error) for item in refused], ())
            items = self._taken
        self._checkpoints.note_commit()

    def _overdue(self, items: Sequence[Item]) -> list[Item]:
        now = max(time.monotonic(), min(map(self._deadline, items)))
        return [item for item in items if self._deadline(item) <= now]

    def _deadline(self, item: Item) -> float:
        return min(item.asked + self._patience(), self._close_deadline)

    def _transact(self, items: Sequence[Item]) -> tuple[list[Outcome], Sequence[Change]]:
        self._guard.check_access()
        light = all(item.light for item in items)
        if light is not self._is_synchronous_normal:
            self._db.execute(f"PRAGMA synchronous = {'NORMAL' if light else 'FULL'}")
            self._is_synchronous_normal = light
        first = min(items, key=lambda item: item.asked)
        self._wait_for("BEGIN IMMEDIATE", first)
        began = time.monotonic()
        try:
            self._catch_up()
            transaction = Transaction(self._db, self._rev + 1)
            outcomes = [self._try(item, transaction) for item in items]
            transaction.finish()
            self._check_commit()
            self._mark_committing(items)
            self._wait_for("COMMIT", first)  # with a rollback journal, for readers
        finally:
            now = time.monotonic()
            self._next_begin_at = now + min(max(now - began, MIN_UNLOCKED_SECONDS), MAX_UNLOCKED_SECONDS)
        if transaction.changes:
            self._rev = transaction.rev
        return outcomes, transaction.changes

    @staticmethod
    def _mark_committing(items: Sequence[Item]) -> None:
        for item in items:
            item.committing = True
        if any(item.withdrawn for item in items):
            raise _WithdrawnError

    def _check_commit(self) -> None:
        try:
            self._guard.check_commit()
        except LostFileError:
            self._roll_back()
            self._rescue()
            raise
        self._rescued = False

    def _lost(self) -> BgStreamError | None:
        # SQLite detects some of these cases as well, but without a useful message.
        try:
            self._check_commit()
        except BgStreamError as lost:
            return lost
        return None

    def _rescue(self) -> None:
        # Copy the log into the database file while both are open here: a user may still copy that file.
        self._rescued = self._rescued or self._checkpoints.run()

    def _wait_for(self, statement: str, item: Item) -> None:
        patiently(lambda: self._db.execute(statement), lambda: self._deadline(item))

    @staticmethod
    def _try(item: Item, transaction: Transaction) -> Outcome:
        try:
            return Outcome(item, result=item.operation(transaction))
        except BgStreamError as error:
            return Outcome(item, error=error)
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.IntegrityError):  # caused by the operation, not by the file
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
            self._fast_poll_until = time.monotonic() + FAST_POLL_SECONDS
            self._deliver((), changes)

    def _poll_other_commits(self) -> None:
        # An error is not lost here: the next read or write raises it.
        try:
            self._check_commit()
        except BgStreamError:
            return
        with suppress(sqlite3.Error):
            self._catch_up()
        self._checkpoints.run_if_due()

    def _deliver(self, outcomes: Sequence[Outcome], changes: Sequence[Change]) -> None:
        self._delivery.put(outcomes, changes)
        if outcomes:  # these items have their outcomes now, even if ``notify_loop`` fails
            done = {outcome.item for outcome in outcomes}
            self._taken = [item for item in self._taken if item not in done]
        self._delivery.notify_loop()

    def _unavailable(self, error: BaseException) -> UnavailableError:
        return self._troubles.unavailable(error, action="written")
