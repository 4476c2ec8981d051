"""Delivery of outcomes and changes from the writer's thread to the event loop."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...core.errors import UnavailableError
from ..port_values import Change
from .job_writes import Transaction

SQLITE_CALL_SECONDS = 5.0  # seconds that one SQLite call may take, in addition to the patience with locks
CHECK_SECONDS = 1.0  # seconds between checks for operations that wait too long
NOT_RESPONDING = "The store does not respond: its disk may hang. Nothing was stored. Try again when the disk is back."

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Item:
    """An operation that waits for its transaction."""

    operation: Callable[[Transaction], Any]
    light: bool
    future: asyncio.Future[Any]
    asked: float  # monotonic seconds
    # The event loop writes ``withdrawn``, then reads ``committing``; the writer's thread writes ``committing``, then
    # reads ``withdrawn``. So at least one of them sees the other's value.
    withdrawn: bool = False  # it must not be committed
    committing: bool = False  # it can no longer be withdrawn


@dataclass(eq=False)
class Outcome:
    """The result or error of an operation."""

    item: Item
    result: Any = None
    error: Exception | None = None


class Delivery:
    """Sets the futures of operations and calls ``publish`` with changes, in order, in the event loop that created it.

    Everything is delivered exactly once, even if the event loop cannot be notified at that moment: see ``notify_loop``.
    If the thread hangs, as on a disk that does not respond, operations that wait longer than ``patience`` plus
    SQLITE_CALL_SECONDS are withdrawn.
    """

    def __init__(self, publish: Callable[[Sequence[Change]], None], *, patience: Callable[[], float]) -> None:
        self._publish = publish
        self._patience = patience
        self._expected: dict[Item, None] = {}  # operations without an outcome, oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Sequence[Outcome], Sequence[Change]]] = deque()
        self._must_notify = False  # whether the event loop was not yet notified of the newest

    def expect(self, operation: Callable[[Transaction], Any], *, light: bool) -> Item:
        """Register an operation whose outcome will be put; called on the event loop."""
        item = Item(operation, light, self._loop.create_future(), time.monotonic())
        self._expected[item] = None
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK_SECONDS, self._withdraw)
        return item

    def _withdraw(self) -> None:
        late = time.monotonic() - self._patience() - SQLITE_CALL_SECONDS
        for item in [item for item in self._expected if item.asked < late and not item.withdrawn]:
            item.withdrawn = True
            if not item.committing:  # else it may be stored, and only the writer knows
                del self._expected[item]
                if not item.future.done():
                    item.future.set_exception(UnavailableError(NOT_RESPONDING))
        self._timer = self._loop.call_later(CHECK_SECONDS, self._withdraw) if self._expected else None

    def put(self, outcomes: Sequence[Outcome], changes: Sequence[Change]) -> None:
        """Queue outcomes and changes; called in the writer's thread."""
        self._waiting.append((outcomes, changes))
        self._must_notify = True

    def notify_loop(self) -> None:
        """Notify the event loop if something is queued; call again if this raises."""
        if self._must_notify:
            with suppress(RuntimeError):  # the loop was closed before the store
                self._loop.call_soon_threadsafe(self._deliver_waiting)
            self._must_notify = False

    def _deliver_waiting(self) -> None:
        while self._waiting:
            outcomes, changes = self._waiting.popleft()
            for outcome in outcomes:
                self._expected.pop(outcome.item, None)
                future = outcome.item.future
                if future.done():  # the caller was cancelled
                    continue
                if outcome.error is None:
                    future.set_result(outcome.result)
                else:
                    future.set_exception(outcome.error)
            try:
                self._publish(changes)
            except Exception:
                log.exception("the changes of a commit could not be published")
