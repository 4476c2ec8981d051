"""Opens the database file: who may read it, how it is written, and whether this version can."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ...core.errors import Unavailable
from .queries import migrations

READER_PATIENCE = 5.0  # seconds; in WAL a reader waits only while somebody opens or closes the file

T = TypeVar("T")

_creating = threading.Lock()


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


def open_for_writing(path: Path, *, patience: float) -> sqlite3.Connection:
    """Create the file if need be, bring it up to date and return the one connection that writes it.

    Raises Unavailable if it cannot be had, is no database of this package, or was written by a newer version of it. A
    file that cannot be used is left as it is.
    """
    try:
        _create(path)
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"The database {path} cannot be opened: {error}.") from error
    try:
        db.row_factory = sqlite3.Row
        _bring_up_to_date(db, path, patience)
    except sqlite3.Error as error:
        db.close()
        raise Unavailable(f"The file {path} cannot be used as a database and was left as it is: {error}.") from error
    except BaseException:
        db.close()
        raise
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=READER_PATIENCE, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


def _create(path: Path) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Before SQLite does, for the mode: its -wal and -shm files take theirs from this one. Under a lock, since closing a
    # file drops all POSIX locks that this process holds on it, those of another store's connection too.
    with _creating, suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)


def _bring_up_to_date(db: sqlite3.Connection, path: Path, patience: float) -> None:
    steps = migrations()
    deadline = time.monotonic() + patience
    patiently(lambda: _check_version(db, path, newest=len(steps)), lambda: deadline)
    # Only a file without tables takes it: then deleted jobs' space can be given back step by step (see pruning).
    patiently(lambda: db.execute("PRAGMA auto_vacuum = INCREMENTAL"), lambda: deadline)
    (mode,) = patiently(lambda: db.execute("PRAGMA journal_mode = WAL").fetchone(), lambda: deadline)
    if mode != "wal":
        raise Unavailable(f"The file system of {path} cannot hold a write-ahead log; put the database on a local disk.")
    # Automatic checkpoints would run beside other processes' writes; ours (see Writer) keeps them out.
    db.execute("PRAGMA wal_autocheckpoint = 0")
    patiently(lambda: db.execute("BEGIN IMMEDIATE"), lambda: deadline)
    try:
        version = _check_version(db, path, newest=len(steps))  # another server may have been faster
        for statements in steps[version:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(steps)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _check_version(db: sqlite3.Connection, path: Path, *, newest: int) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise Unavailable(
            f"The database {path} was written by a newer jupyter_bgstream (its version is {version}, this one knows "
            f"{newest}); upgrade this server or choose another file."
        )
    if version == 0 and db.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Unavailable(f"The database {path} belongs to something else; choose another file.")
    return int(version)
