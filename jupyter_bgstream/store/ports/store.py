"""Port: the whole store, and how it opens and closes."""

from pathlib import Path
from typing import Protocol

from .batches import BatchStore
from .changes import ChangeSource
from .costs import UsageStore
from .inbox import InboxStore
from .jobs import JobStore
from .logs import LogStore
from .maintenance import MaintenanceStore
from .threads import ThreadStore


class Store(
    JobStore, LogStore, BatchStore, ThreadStore, InboxStore, UsageStore, MaintenanceStore, ChangeSource, Protocol
):
    """Jobs, their logs and their notices. ``tests/store/contract/`` tests every promise on every backend.

    Rules for all methods:

    - A write is one transaction and is durable when it returns. Any method raises UnavailableError if the store
      cannot be used; a write has then changed nothing.
    - A job, batch, thread or notice of another owner is NotFoundError, as if it did not exist. So is a malformed id.
    - ``owner=None``, where it is allowed, means every owner. A server that runs and deletes jobs with one user's keys
      and settings passes that user; only a worker for all users passes None.
    - A deleted id may be submitted again. It is then another job with another log. A method that takes a ``Job`` means
      the job with that log: for a new job of the same id a read raises NotFoundError and a write FencedError.
    """

    kind: str  # such as sqlite
    path: Path | None  # of the file, once it is open; None for a store without a file
    patience: float  # seconds a write waits for a locked store; a new value also applies to writes that already wait

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the server's administrator, each with what to do."""

    async def open(self) -> None:
        """Open the store; never falls back to another one. After a failure it may be tried again.

        Raises:
            UnavailableError: The store cannot be opened; nothing is left behind.
        """

    async def close(self) -> None:
        """Finish waiting writes within about 2 s, then close. Closing twice does nothing."""

    async def wait_until_taken_over(self) -> None:
        """Wait until another machine has taken the store over; this server can no longer use it."""
