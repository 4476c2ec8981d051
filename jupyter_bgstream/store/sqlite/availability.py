"""Checks before each access to the database, and the thread that keeps this server's lock and lease."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ...core.errors import UnavailableError
from .errors import Troubles
from .file_watch import FileWatch, LostFileError
from .lease import RENEWAL, Lease, TakenOverError
from .quarantine import warning_of
from .server_locks import ServerLocks

PULSE = 0.5  # seconds between checks
QUARANTINE_PULSE = 10.0  # seconds between checks for quarantined databases
STOPPING = 1.0  # seconds that a check may take when the store is closed; a network disk may hang

log = logging.getLogger(__name__)


class Availability:
    """Refuses access to files that are lost or belong to another machine, and keeps this server's lock and lease alive.

    It has a thread of its own: a server whose writer waits for a lock or a disk must not look dead. A problem in this
    thread is a warning as long as it lasts, and does not stop the other checks.
    """

    def __init__(self, path: Path, *, liveness: ServerLocks, lease: Lease | None, troubles: Troubles) -> None:
        self._path = path
        self._liveness = liveness
        self._lease = lease
        self._watch: FileWatch | None = None  # None until the files are open
        self._troubles = troubles
        self._renewal = 0.0  # monotonic seconds; when the lease is due
        self._taken_over: str | None = None  # the message
        self._on_taken: Callable[[], None] = lambda: None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bgstream-guard", daemon=True)

    def __enter__(self) -> Availability:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STOPPING)

    def watch(self, watch: FileWatch | None) -> None:
        """Check these files from now on, because they are open; None: none, because they are being closed."""
        self._watch = watch

    def when_taken_over(self, call: Callable[[], None]) -> None:
        """Set what is called, in some thread, when another machine has taken the database; at once if it has."""
        self._on_taken = call
        if self._taken_over is not None:
            call()

    def check_access(self) -> None:
        """Raise UnavailableError if another machine has the database, so that it may not even be read."""
        if self._taken_over is not None:
            raise TakenOverError(self._taken_over)
        if self._lease is not None:
            try:
                self._lease.check()
            except TakenOverError as error:
                self._note_taken(error)
                raise

    def check_commit(self) -> None:
        """Raise UnavailableError if a commit would be lost or would overwrite another machine's data."""
        self._check_files()
        self.check_access()

    def may_checkpoint(self) -> bool:
        """Return whether a checkpoint is safe: no other process can have begun a log of its own."""
        watch = self._watch
        return watch is None or watch.may_checkpoint()

    def _check_files(self) -> None:
        if (watch := self._watch) is None:
            return
        try:
            watch.check()
        except LostFileError as error:
            if self._watch is None:  # SQLite has removed its log at the close
                return
            self._troubles.state("files", error.message, level=logging.CRITICAL)
            raise

    def _run(self) -> None:
        quarantine_check = 0.0
        while not self._stop.wait(PULSE):
            if time.monotonic() >= quarantine_check:
                quarantine_check = time.monotonic() + QUARANTINE_PULSE
                self._safely("quarantine", lambda: self._troubles.state("quarantine", warning_of(self._path)))
            if self._taken_over is not None or not self._safely("lease", self.check_access):
                continue  # the other machine now decides about the lock
            # If the files are gone, new locks would only hinder their return.
            if self._safely("files", self._check_files):
                self._safely("lock", self._hold_lock)
                self._safely("renewal", self._renew)

    def _safely(self, topic: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except (LostFileError, TakenOverError):
            pass  # already reported
        except (OSError, UnavailableError) as error:
            self._troubles.state(topic, f"{_SENTENCES[topic].format(path=self._path)} {error}")
        except Exception:
            log.exception("the check of the store's %s failed, trying again", topic)
        else:
            if topic != "quarantine":
                self._troubles.state(topic, None)
            return True
        return False

    def _renew(self) -> None:
        if self._lease is not None and time.monotonic() >= self._renewal:
            self._lease.renew()
            self._renewal = time.monotonic() + RENEWAL

    def _hold_lock(self) -> None:
        if self._liveness.hold():
            log.critical(
                "The lock of this server in %s.servers was deleted while it runs, and was made again. Do not delete"
                " that folder: other servers may have considered this one dead and taken its jobs.",
                self._path,
            )

    def _note_taken(self, error: TakenOverError) -> None:
        if self._taken_over is None:
            self._taken_over = error.message
            self._troubles.state("lease", error.message, level=logging.CRITICAL)
            self._on_taken()


_SENTENCES = {
    "files": "The files of the database {path} cannot be checked.",
    "lock": "This server's lock beside {path} was deleted and cannot be made again; make its folder writable.",
    "lease": "The lease of the database {path} cannot be checked.",
    "renewal": "The lease of the database {path} cannot be renewed, so that another machine may take it.",
    "quarantine": "The folder of the database {path} cannot be read.",
}
