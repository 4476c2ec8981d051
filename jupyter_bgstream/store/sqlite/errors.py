"""Errors of the database file, as sentences that tell a person what to do."""

import logging
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ...core.errors import UnavailableError

log = logging.getLogger(__name__)

DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Temporary: repaired from outside.
PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR})


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code, 0 if the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite found that the file is damaged or not a database."""
    return code_of(error) in DAMAGE


def sentence(error: sqlite3.Error, path: Path) -> str:
    """Return what is wrong and what to do."""
    match code_of(error):
        case sqlite3.SQLITE_FULL:
            return f"the disk of {path} is full ({error}). Free some space there."
        case sqlite3.SQLITE_READONLY:
            return f"{path} or its folder is read-only ({error}). Make both writable."
        case sqlite3.SQLITE_IOERR:
            return f"the disk of {path} refuses ({error}). It may be full, over its quota, gone or failing."
        case sqlite3.SQLITE_BUSY:
            return f"{error}: another process has used {path} for too long. Try again, or find that process."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                f"{path} is damaged ({error}). Restart the Jupyter servers that use it: the file is then checked and, "
                "if it cannot be used, renamed and replaced by a new one."
            )
        case _:
            return f"{error} ({path})."


class Troubles:
    """The problems of one file: errors for callers, and warnings for the server's administrator.

    A warning stays until the server restarts, the state of a topic as long as it lasts. Damage that is found during
    use is also marked beside the file, so that the next server checks the whole file. Thread-safe.
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
        """The warnings, as sentences."""
        with self._lock:
            return (*self._warnings, *self._states.values())

    def warn(self, warning: str, *, level: int = logging.CRITICAL) -> None:
        """Log a warning and show it until the server restarts."""
        log.log(level, warning)
        with self._lock:
            self._warnings.append(warning)

    def state(self, topic: str, warning: str | None, *, level: int = logging.WARNING) -> None:
        """Set the warning of a topic, None if there is no problem; log when it changes."""
        with self._lock:
            before = self._states.pop(topic, None)
            if warning is not None:
                self._states[topic] = warning
        if warning is not None and warning != before:
            log.log(level, warning)
        elif warning is None and before is not None:
            log.warning("This is over: %s", before)

    def unavailable(self, error: BaseException, *, action: Literal["read", "written"]) -> UnavailableError:
        """Return the error for the caller, and note damage."""
        if isinstance(error, sqlite3.Error):
            if is_damage(error):
                self._note_damage(error)
            hint = " No restart is needed then." if code_of(error) in PASSING else ""
            outcome = UnavailableError(f"The store cannot be {action}: {sentence(error, self._path)}{hint}")
        else:
            outcome = UnavailableError(f"The store failed: {type(error).__name__}: {error}. See the server's log.")
        outcome.__cause__ = error
        return outcome

    def _note_damage(self, error: sqlite3.Error) -> None:
        with self._lock:
            first, self._damaged = not self._damaged, True
        if first:
            with suppress(OSError):  # a full or read-only disk: the next server finds the damage itself
                self.mark.touch(mode=0o600)
            self.warn(f"The database {sentence(error, self._path)}")
