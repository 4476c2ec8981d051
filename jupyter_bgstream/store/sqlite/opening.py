"""Decides which file is the database, opens it and, if it is damaged, keeps it aside and begins a new one."""

from __future__ import annotations

import logging
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ...core.errors import Unavailable
from .aside import PARTS, set_aside, warning_of
from .database import DamagedError, Journal, NoWriteAheadLogError, check, open_for_writing
from .filesystem import network_file_system
from .liveness import Liveness
from .trouble import Troubles

CHECK = 0.1  # seconds of looking for damage at each start
CHECK_AFTER_DEATH = 2.0  # seconds after a server died without closing: it may have been the machine
MARK = "damaged"  # in the servers' folder: damage was met, so the next check goes all through

log = logging.getLogger(__name__)


class Files(NamedTuple):
    """An open database and what belongs to it."""

    path: Path
    journal: Journal
    db: sqlite3.Connection
    liveness: Liveness
    troubles: Troubles


def file_of_host(path: Path, host: str | None) -> Path:
    """Return where a host keeps its jobs if ``path`` is on a file system that several hosts share."""
    return path.with_name(f"{path.stem}.{quote(host or socket.gethostname(), safe='')}{path.suffix}")


@contextmanager
def opened_files(
    path: Path, *, server: str, journal: Journal | None, host: str | None, patience: float
) -> Iterator[Files]:
    """Open the database for writing; raises Unavailable if it cannot be had.

    With a write-ahead log the file is ``path``; with a rollback journal it is the one of this host beside it, such as
    ``jobs.<host>.sqlite``. ``journal`` None decides by the file system.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never by another name: SQLite puts its log beside the file itself, and so do we with the locks.
        path = path.resolve()
        shared = network_file_system(path.parent) if journal is None else None
    except OSError as error:
        raise Unavailable(f"The database {path} cannot be opened: {error}.") from error
    with ExitStack() as stack:
        files = None
        if journal != "rollback" and shared is None:
            with _unless(journal is None):
                files = stack.enter_context(_opened(path, server=server, journal="wal", patience=patience))
        if files is None:
            mine = file_of_host(path, host)
            new = not mine.exists()
            files = stack.enter_context(_opened(mine, server=server, journal="rollback", patience=patience))
            if new:
                _tell_of_others(path, files)
        yield files


@contextmanager
def _unless(forgiving: bool) -> Iterator[None]:
    try:
        yield
    except NoWriteAheadLogError:
        if not forgiving:
            raise


@contextmanager
def _opened(path: Path, *, server: str, journal: Journal, patience: float) -> Iterator[Files]:
    folder = path.with_name(path.name + ".servers")
    troubles = Troubles(path, mark=folder / MARK)
    with ExitStack() as stack:
        liveness = Liveness(folder, server)
        ours = _make(folder)
        try:
            with liveness.opening(patience=patience):
                stack.enter_context(liveness)
                db = _open_sound(path, journal, patience, liveness=liveness, troubles=troubles, ours=ours)
                # Closed before the lock is let go of: until then it may remove its log, by name.
                stack.enter_context(closing(db))
        except BaseException:
            stack.close()
            if not ours:
                with suppress(OSError):
                    folder.rmdir()
            raise
        yield Files(path, journal, db, liveness, troubles)


def _make(folder: Path) -> bool:
    """Make the servers' folder; returns whether it was there, which shows that the database is one of ours."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return True
    except OSError as error:
        raise Unavailable(f"The folder {folder} cannot be made: {error}. The database needs it.") from error
    return False


def _open_sound(
    path: Path, journal: Journal, patience: float, *, liveness: Liveness, troubles: Troubles, ours: bool
) -> sqlite3.Connection:
    try:
        return _open_checked(path, journal, patience, liveness, troubles)
    except DamagedError as error:
        if not ours:
            raise
        if not liveness.is_alone():
            raise Unavailable(
                f"The database {path} is damaged, and other Jupyter servers still use it. Stop them and start this one "
                "again: then it is kept aside, and a new one is begun."
            ) from error
        set_aside(path)
        log.critical("The database %s was damaged: %s", path, error.__cause__ or error)
    troubles.mark.unlink(missing_ok=True)
    troubles.state("aside", warning_of(path), level=logging.CRITICAL)
    return open_for_writing(path, patience=patience, journal=journal)


def _open_checked(
    path: Path, journal: Journal, patience: float, liveness: Liveness, troubles: Troubles
) -> sqlite3.Connection:
    if not path.exists() and any(_has_content(path.with_name(path.name + suffix)) for suffix in PARTS):
        set_aside(path)  # SQLite would delete a log without its database
    db = open_for_writing(path, patience=patience, journal=journal, alone=liveness.is_alone)
    try:
        marked = troubles.mark.exists()
        seconds = None if marked else CHECK_AFTER_DEATH if liveness.found_dead else CHECK
        damage = check(db, seconds=seconds) if liveness.is_alone() else None
        if damage is not None:
            raise DamagedError(f"The database {path} is damaged and was left as it is: {damage}.") from ValueError(
                damage
            )
        if marked and liveness.is_alone():
            troubles.mark.unlink(missing_ok=True)
        troubles.state("aside", warning_of(path))
    except BaseException:
        db.close()
        raise
    return db


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _tell_of_others(path: Path, files: Files) -> None:
    """Say where the jobs of other hosts are, now that this one begins without them."""
    candidates = {path, *path.parent.glob(f"{escape(path.stem)}.*{escape(path.suffix)}")} - {files.path}
    others = sorted(other.name for other in candidates if _has_content(other))
    if others:
        files.troubles.warn(
            f"{path.parent} is on a file system that several machines may share, so each host has a database of its "
            f"own. This one begins with {files.path.name}; earlier jobs are in {', '.join(others)}. To go on with "
            f"them, stop all Jupyter servers and rename that file to {files.path.name}.",
            level=logging.WARNING,
        )
