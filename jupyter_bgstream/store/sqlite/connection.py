"""Opens the database file: who may read it, how it is written, and whether this version can."""

from __future__ import annotations

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
from .queries import migrations

READER_PATIENCE = 5.0  # seconds, while somebody opens or closes the file or, with a rollback journal, commits
_MODES = {"wal": "wal", "rollback": "truncate"}

# What SQLite says where a write-ahead log has no memory to share.
_NO_SHARED_MEMORY = frozenset({sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_SHMLOCK})

ELSEWHERE = "Make it and its folder writable, or set BgStreamApp.database to another path."

Journal = Literal["wal", "rollback"]
T = TypeVar("T")

_creating = threading.Lock()


class DamagedError(UnavailableError):
    """The file is damaged, or no database at all."""


class NoWriteAheadLogError(UnavailableError):
    """The file system cannot hold a write-ahead log."""


def patiently(action: Callable[[], T], until: Callable[[], float]) -> T:
    """Try, once at least, while another process has the database locked; its error is raised in the end.

    ``until`` tells when that is, in monotonic seconds; it is asked after each try, since it may be sooner by then.

    SQLite's own busy handler backs off to 100 ms between tries, and so loses every race for a file whose writer only
    pauses for some milliseconds.
    """
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until():
                raise
        time.sleep(random.uniform(0.0003, 0.0015))  # noqa: S311  # jitter, so that two who wait do not keep step


def until_stopped(patience: float, stop: threading.Event | None) -> Callable[[], float]:
    """Return when a wait ends, in monotonic seconds: after ``patience`` seconds, or as soon as ``stop`` is set."""
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
    """Create the file if need be, bring it up to date and return the one connection that writes it.

    ``alone`` tells whether no other server has it open: only then is an older one brought up to date. ``stop`` ends the
    waits for a locked file.

    Raises UnavailableError if it cannot be had, is no database of this package, or was written by a newer version of
    it. A file that cannot be used is left as it is.
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
    """Return a connection that does not write."""
    db = _connect(path)
    # Not opened read-only: where a server was killed in its commit, whoever reads first has to roll that back.
    db.execute("PRAGMA query_only = ON")
    return db


def check(db: sqlite3.Connection, *, seconds: float | None) -> str | None:
    """Look for damage for some seconds, or all through if None; returns what is wrong with the file, if anything."""
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
        timer.join()  # else it might still interrupt what comes next
    return None if found == "ok" else str(found).splitlines()[-1]


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


def _create(path: Path) -> None:
    # Before SQLite does, for the mode: its -wal and -shm files take theirs from this one. Under a lock, since closing a
    # file drops all POSIX locks that this process holds on it, those of another store's connection too.
    with _creating, suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
    # Before SQLite opens it, since that would leave a log beside it that is as read-only as the file is.
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, "it is read-only")


def _set_up(db: sqlite3.Connection, path: Path, journal: Journal, until: Callable[[], float]) -> None:
    version = patiently(lambda: _check_version(db, path, newest=len(migrations())), until)
    if version == 0:
        # Only a file without tables takes it: then deleted jobs' space can be given back step by step (see pruning).
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
        # Automatic checkpoints would run beside other processes' writes; ours (see Writer) keeps them out.
        db.execute("PRAGMA wal_autocheckpoint = 0")
    else:
        db.execute("PRAGMA mmap_size = 0")  # another machine's write would not be seen in it
        # Else a large transaction would need the file for itself before its commit, in the middle of an operation.
        db.execute("PRAGMA cache_spill = OFF")


def _bring_up_to_date(
    db: sqlite3.Connection, path: Path, until: Callable[[], float], alone: Callable[[], bool]
) -> None:
    steps = migrations()
    patiently(lambda: db.execute("BEGIN IMMEDIATE"), until)
    try:
        version = _check_version(db, path, newest=len(steps))  # another server may have been faster
        if 0 < version < len(steps) and not alone():
            raise UnavailableError(
                f"The database {path} is of an older version of jupyter_bgstream, and a Jupyter server that runs it "
                "still uses it; stop that server, then start this one again."
            )
        for statements in steps[version:]:
            for statement in statements:
                db.execute(statement)
        # In any case: a file that cannot be written is found now, and not by the first job.
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
