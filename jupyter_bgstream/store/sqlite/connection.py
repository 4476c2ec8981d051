"""SQLite connections: file mode, journal, migrations and the check for damage."""

import errno
import math
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from ...core.errors import UnavailableError
from .errors import is_damage, sentence
from .sql_files import migrations

READER_PATIENCE = 5.0  # seconds, while a process opens or closes the file or, with a rollback journal, commits
_MODES = {"wal": "wal", "rollback": "truncate"}

# SQLite's codes where a write-ahead log cannot share memory.
_NO_SHARED_MEMORY = frozenset({sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_SHMLOCK})

ELSEWHERE = "Make it and its folder writable, or set BgStreamApp.database to another path."

Journal = Literal["wal", "rollback"]
T = TypeVar("T")

_creating = threading.Lock()


class DamagedError(UnavailableError):
    """The file is damaged or not a database."""


class NoWriteAheadLogError(UnavailableError):
    """The file system cannot hold a write-ahead log."""


def patiently(action: Callable[[], T], until: Callable[[], float]) -> T:
    """Repeat an action while another process has the database locked; raise the error in the end.

    SQLite's own busy handler backs off to 100 ms between calls, and so never gets a file whose writer only pauses for
    some milliseconds.

    Args:
        action: Is called at least once.
        until: Returns the deadline in monotonic seconds; called after each failure, because it may change.
    """
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until():
                raise
        time.sleep(random.uniform(0.0003, 0.0015))  # noqa: S311  # jitter, so that two processes do not wait in step


def until_stopped(patience: float, stop: threading.Event | None) -> Callable[[], float]:
    """Return the deadline of a wait, in monotonic seconds: after ``patience`` seconds, or once ``stop`` is set."""
    deadline = time.monotonic() + patience
    return lambda: -math.inf if stop is not None and stop.is_set() else deadline


def open_for_writing(
    path: Path,
    *,
    patience: float,
    journal: Journal = "wal",
    alone: Callable[[], bool] = lambda: True,
    stop: threading.Event | None = None,
) -> sqlite3.Connection:
    """Create the file if needed, migrate it and return the one connection that writes it.

    Args:
        path: The file.
        patience: Seconds to wait for a locked file.
        journal: How the file is written.
        alone: Returns whether no other server has the file open; only then is it migrated.
        stop: Ends the waits for a locked file.

    Raises:
        UnavailableError: The file cannot be opened, is not a database of this package, or was written by a newer
            version. It is left as it is.
    """
    try:
        _create(path)
        db = _connect(path)
    except (OSError, sqlite3.Error) as error:
        raise UnavailableError(f"The database {path} cannot be opened: {error}. {ELSEWHERE}") from error
    try:
        _set_up(db, path, journal, until_stopped(patience, stop))
        _bring_up_to_date(db, path, until_stopped(patience, stop), alone)
    except sqlite3.Error as error:
        db.close()
        if is_damage(error):
            raise DamagedError(
                f"The file {path} cannot be used as a database and was left as it is: {error}."
            ) from error
        raise UnavailableError(
            f"The database cannot be opened and was left as it is: {sentence(error, path)}"
        ) from error
    except BaseException:
        db.close()
        raise
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads."""
    db = _connect(path)
    # Not opened read-only: after a server was killed in a commit, the first reader must roll it back.
    db.execute("PRAGMA query_only = ON")
    return db


def check(db: sqlite3.Connection, *, seconds: float | None) -> str | None:
    """Check the file for damage.

    Args:
        db: A connection.
        seconds: How long to check; None: until the whole file is checked.

    Returns:
        What is wrong; None if no damage was found.
    """
    query = "PRAGMA integrity_check(1)" if seconds is None else "PRAGMA quick_check(1)"
    # Not by a progress handler: up to SQLite 3.40, at least, none is called while the pages of a table are checked.
    timer = threading.Timer(3600 if seconds is None else seconds, db.interrupt)
    timer.start()
    try:
        (found,) = db.execute(query).fetchone()
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        timer.cancel()
        timer.join()  # it might still interrupt the next statement otherwise
    return None if found == "ok" else str(found).splitlines()[-1]


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


def _create(path: Path) -> None:
    # Before SQLite does, for the mode: the -wal and -shm files inherit it. Under a lock: closing a file drops all POSIX
    # locks of this process on it, including those of another store's connection.
    with _creating, suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
    # Before SQLite opens it, which would leave a read-only log beside a read-only file.
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, "it is read-only")


def _set_up(db: sqlite3.Connection, path: Path, journal: Journal, until: Callable[[], float]) -> None:
    version = patiently(lambda: _check_version(db, path, newest=len(migrations())), until)
    if version == 0:
        # Only possible without tables; lets maintenance.py give back the space of deleted jobs step by step.
        patiently(lambda: db.execute("PRAGMA auto_vacuum = INCREMENTAL"), until)
    try:
        (mode,) = patiently(lambda: db.execute(f"PRAGMA journal_mode = {_MODES[journal]}").fetchone(), until)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in _NO_SHARED_MEMORY:
            raise
        mode = "none"
    if mode != _MODES[journal]:
        raise NoWriteAheadLogError(
            f"The file system of {path} cannot hold the journal of a database ({journal}); put it on a local disk."
        )
    if journal == "wal":
        # Automatic checkpoints would run beside other processes' writes; those of Writer exclude them.
        db.execute("PRAGMA wal_autocheckpoint = 0")
    else:
        db.execute("PRAGMA mmap_size = 0")  # a memory map would not show another machine's writes
        # A large transaction would otherwise need an exclusive lock before its commit, within an operation.
        db.execute("PRAGMA cache_spill = OFF")


def _bring_up_to_date(
    db: sqlite3.Connection, path: Path, until: Callable[[], float], alone: Callable[[], bool]
) -> None:
    steps = migrations()
    patiently(lambda: db.execute("BEGIN IMMEDIATE"), until)
    try:
        version = _check_version(db, path, newest=len(steps))  # another server may have migrated it
        if 0 < version < len(steps) and not alone():
            raise UnavailableError(
                f"The database {path} is of an older version of jupyter_bgstream, and a Jupyter server that runs it "
                "still uses it; stop that server, then start this one again."
            )
        for statements in steps[version:]:
            for statement in statements:
                db.execute(statement)
        # In any case: an unwritable file is detected now and not by the first job.
        db.execute(f"PRAGMA user_version = {len(steps)}")
        end = "COMMIT" if version < len(steps) else "ROLLBACK"
        patiently(lambda: db.execute(end), until)
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself after some errors
            db.execute("ROLLBACK")
        raise


def _check_version(db: sqlite3.Connection, path: Path, *, newest: int) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise UnavailableError(
            f"The database {path} was written by a newer jupyter_bgstream (its version is {version}, this one knows "
            f"{newest}); upgrade this server or choose another file."
        )
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master").fetchall()}
    if tables and (version == 0 or "revision" not in tables):
        raise UnavailableError(f"The database {path} belongs to something else; choose another file.")
    return int(version)
