"""What can go wrong with the database file, said in sentences that a person can act on."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ...core.errors import UnavailableError

log = logging.getLogger(__name__)

DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR})  # mended from outside


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code, 0 if the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite has found the file to be damaged, or to be no database."""
    return code_of(error) in DAMAGE


def sentence(error: sqlite3.Error, path: Path) -> str:
    """Say what is wrong and what to do about it."""
    match code_of(error):
        case sqlite3.SQLITE_FULL:
            return f"the disk of {path} is full ({error}). Free some space there."
        case sqlite3.SQLITE_READONLY:
            return f"{path} or its folder is read-only ({error}). Make both writable."
        case sqlite3.SQLITE_IOERR:
            return f"the disk of {path} refuses ({error}). It may be full, over its quota, gone or failing."
        case sqlite3.SQLITE_BUSY:
            return f"{error}: another process has used {path} for too long. Try again, or look who has it open."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                f"{path} is damaged ({error}). Restart the Jupyter servers that use it: the file is then checked and, "
                "if it cannot be used, kept aside and replaced by a new one."
            )
        case _:
            return f"{error} ({path})."


class Troubles:
    """What has gone wrong with one file: errors for who asks now, and warnings for whoever looks after the server.

    A warning stays until the server is restarted, the state of a topic for as long as it lasts.

    Damage that is found while the file is in use is also noted beside it, so that the next server checks all of it.
    May be used from any thread.
    """

    def __init__(self, path: Path, *, mark: Path) -> None:
        self.mark = mark
        self._path = path
        self._lock = threading.Lock()
        self._damaged = False
        self._warnings: list[str] = []
        self._states: dict[str, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know, as sentences."""
        with self._lock:
            return (*self._warnings, *self._states.values())

    def warn(self, warning: str, *, level: int = logging.CRITICAL) -> None:
        """Log a sentence and keep it to be shown."""
        log.log(level, warning)
        with self._lock:
            self._warnings.append(warning)

    def state(self, topic: str, warning: str | None, *, level: int = logging.WARNING) -> None:
        """Say how it is with a topic from now on, None if all is well; logged when that changes."""
        with self._lock:
            before = self._states.pop(topic, None)
            if warning is not None:
                self._states[topic] = warning
        if warning is not None and warning != before:
            log.log(level, warning)
        elif warning is None and before is not None:
            log.warning("This is over: %s", before)

    def unavailable(self, error: BaseException, *, action: Literal["read", "written"]) -> UnavailableError:
        """Make the error for who asked."""
        if isinstance(error, sqlite3.Error):
            if is_damage(error):
                self._note_damage(error)
            hint = " No restart is needed then." if code_of(error) in PASSING else ""
            outcome = UnavailableError(f"The store cannot be {action}: {sentence(error, self._path)}{hint}")
        else:
            outcome = UnavailableError(
                f"The store failed: {type(error).__name__}: {error}. The server's log says more."
            )
        outcome.__cause__ = error
        return outcome

    def _note_damage(self, error: sqlite3.Error) -> None:
        with self._lock:
            first, self._damaged = not self._damaged, True
        if first:
            with suppress(OSError):  # a disk that is full or read-only: the next server finds it as we did
                self.mark.touch(mode=0o600)
            self.warn(f"The database {sentence(error, self._path)}")
