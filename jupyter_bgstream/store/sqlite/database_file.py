"""Names and opens the database file of this host: modes, locks, lease, migrations, quarantine of a damaged file."""

import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ...core.errors import UnavailableError
from .availability import Availability
from .connection import ELSEWHERE, DamagedError, Journal, NoWriteAheadLogError, check, open_for_writing
from .errors import Troubles
from .file_permissions import secure_files
from .file_watch import FileWatch
from .lease import NAME as LEASE
from .lease import Lease, Machine
from .network_filesystem import network_file_system
from .quarantine import PARTS, quarantine, warning_of
from .server_locks import ServerLocks

CHECK = 0.1  # seconds of the check for damage at each start
CHECK_AFTER_DEATH = 2.0  # seconds if a server died without closing: its machine may have crashed
MARK = "damaged"  # file in the servers' folder: damage was found, so the next check reads everything

log = logging.getLogger(__name__)

_SQLITE = b"SQLite format 3\0"  # first bytes of every database that is not empty


class Settings(NamedTuple):
    """How a database is opened; see ``SQLiteDatabase``."""

    server: str
    journal: Journal | None
    host: str | None
    patience: float  # seconds
    machine: Machine
    missing: float  # seconds without a lock file after which a server is considered dead
    watch: float  # seconds without a renewal after which another machine has lost the lease


class Files(NamedTuple):
    """An open database and what belongs to it."""

    path: Path
    journal: Journal
    db: sqlite3.Connection
    liveness: ServerLocks
    guard: Availability
    troubles: Troubles


def file_of_host(path: Path, host: str | None) -> Path:
    """Return the database file of a host if ``path`` is on a file system that several hosts share."""
    return path.with_name(f"{path.stem}.{quote(host or default_host(), safe='')}{path.suffix}")


def default_host(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the JupyterHub user and named server, which outlive their machines, else this machine's."""
    parts = [environ.get(name, "") for name in ("JUPYTERHUB_USER", "JUPYTERHUB_SERVER_NAME")]
    if not parts[0]:
        return socket.gethostname()
    return "~".join(part.replace("~", "%7E") for part in parts if part)


@contextmanager
def opened_files(path: Path, settings: Settings, *, stop: threading.Event) -> Iterator[Files]:
    """Open the database for writing.

    With a write-ahead log the file is ``path``; with a rollback journal it is this host's file beside it, such as
    ``jobs.<host>.sqlite``. The journal None decides by the file system.

    Raises:
        UnavailableError: The database cannot be opened, or ``stop`` was set.
    """
    journal = settings.journal
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Resolve links: SQLite puts its log beside the real file, and the locks must be there as well.
        path = path.resolve()
        shared = network_file_system(path.parent) if journal is None else None
    except OSError as error:
        raise UnavailableError(f"The database {path} cannot be opened: {error}. {ELSEWHERE}") from error
    with ExitStack() as stack:
        files = None
        if journal != "rollback" and shared is None:
            with _unless(journal is None):
                files = stack.enter_context(_opened(path, settings, "wal", stop))
        if files is None:
            mine = file_of_host(path, settings.host)
            files = stack.enter_context(_opened(mine, settings, "rollback", stop))
            _warn_of_others(path, files)
        yield files


@contextmanager
def _unless(forgiving: bool) -> Iterator[None]:
    try:
        yield
    except NoWriteAheadLogError:
        if not forgiving:
            raise


@contextmanager
def _opened(path: Path, settings: Settings, journal: Journal, stop: threading.Event) -> Iterator[Files]:
    folder = path.with_name(path.name + ".servers")
    patience = settings.patience
    troubles = Troubles(path, mark=folder / MARK)
    liveness = ServerLocks(folder, settings.server, missing=settings.missing)
    lease = None
    if journal == "rollback":
        lease = Lease(folder, path, settings.server, machine=settings.machine, watch=settings.watch)
    guard = Availability(path, liveness=liveness, lease=lease, troubles=troubles)
    try:
        secure_files(path, folder)
    except OSError as error:
        raise UnavailableError(f"The database {path} cannot be opened: {error}. {ELSEWHERE}") from error
    _refuse_foreign(path, folder)
    ours = _make(folder)
    try:
        with ExitStack() as stack:
            with (
                liveness.opening(patience=patience, stop=stop),
                _left_clean(folder, liveness, ours),
                ExitStack() as parts,
            ):
                parts.enter_context(liveness)
                if lease is not None:
                    parts.enter_context(_leased(lease, liveness, path, stop))
                parts.enter_context(guard)
                db = _open_sound(path, journal, patience, liveness=liveness, troubles=troubles, ours=ours, stop=stop)
                # Closed before the lock is released: closing may remove the log, by name.
                parts.enter_context(closing(db))
                guard.watch(FileWatch(path, journal))
                parts.callback(guard.watch, None)
                stack.push(parts.pop_all())
            yield Files(path, journal, db, liveness, guard, troubles)
    except BaseException:
        if not ours:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _leased(lease: Lease, liveness: ServerLocks, path: Path, stop: threading.Event) -> Iterator[None]:
    """Hold the lease; at the end, release it unless another server of this machine needs it."""
    before = lease.acquire(stop)
    if before is not None:
        log.warning("The database %s belonged to the machine %s until now.", path, before.host)
        liveness.bury_others()
    try:
        yield
    except BaseException:  # under the lock for opening
        if liveness.is_alone():
            lease.release()
        raise
    # Under that lock as well: otherwise a server that has just started here would lose its lease.
    with suppress(UnavailableError), liveness.opening(patience=0.5):
        if liveness.is_alone():
            lease.release()


@contextmanager
def _left_clean(folder: Path, liveness: ServerLocks, ours: bool) -> Iterator[None]:
    """Leave no lease behind if nothing was opened: a remaining folder would mark the database as one of ours."""
    try:
        yield
    except BaseException:
        if not ours and not any(folder.glob("*.lock")):
            for path in folder.glob(f"{LEASE}*"):
                path.unlink(missing_ok=True)
        raise


def _refuse_foreign(path: Path, folder: Path) -> None:
    """Refuse a file that is not a database and never was one of ours, before a folder beside it marks it as ours."""
    if folder.exists():
        return
    with suppress(OSError), path.open("rb") as file:  # an unreadable file is refused later, with a reason
        start = file.read(len(_SQLITE))
        if start and start != _SQLITE:
            raise DamagedError(
                f"The file {path} cannot be used as a database and was left as it is: file is not a database."
            )


def _make(folder: Path) -> bool:
    """Make the servers' folder; return whether it existed, which marks the database as one of ours."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return True
    except OSError as error:
        raise UnavailableError(f"The folder {folder} cannot be made: {error}. {ELSEWHERE}") from error
    return False


def _open_sound(
    path: Path,
    journal: Journal,
    patience: float,
    *,
    liveness: ServerLocks,
    troubles: Troubles,
    ours: bool,
    stop: threading.Event,
) -> sqlite3.Connection:
    try:
        return _open_checked(path, journal, patience, liveness=liveness, troubles=troubles, stop=stop)
    except DamagedError as error:
        if not ours:
            raise
        if not liveness.is_alone():
            raise UnavailableError(
                f"The database {path} is damaged, and other Jupyter servers still use it. Stop them and start this one "
                "again: then it is renamed, and a new one is begun."
            ) from error
        quarantine(path)
        log.critical("The database %s was damaged: %s", path, error.__cause__ or error)
    troubles.mark.unlink(missing_ok=True)
    troubles.state("quarantine", warning_of(path), level=logging.CRITICAL)
    return open_for_writing(path, patience=patience, journal=journal, stop=stop)


def _open_checked(
    path: Path, journal: Journal, patience: float, *, liveness: ServerLocks, troubles: Troubles, stop: threading.Event
) -> sqlite3.Connection:
    if not path.exists() and any(_has_content(path.with_name(path.name + suffix)) for suffix in PARTS):
        quarantine(path)  # SQLite would delete a log without a database
    db = open_for_writing(path, patience=patience, journal=journal, alone=liveness.is_alone, stop=stop)
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
        troubles.state("quarantine", warning_of(path))
    except BaseException:
        db.close()
        raise
    return db


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _warn_of_others(path: Path, files: Files) -> None:
    """Warn where the jobs of other hosts are, as long as this one has no jobs."""
    if files.db.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is not None:
        return
    if names := names_of_others(path, files.path):
        files.troubles.warn(
            f"{path.parent} is on a file system that several machines may share, so each host has a database of its"
            f" own. This one begins with {files.path.name}; earlier jobs are in {names}. To use them, stop all"
            f" Jupyter servers and rename that file to {files.path.name}, and its -journal, if there is one, likewise.",
            level=logging.WARNING,
        )


def names_of_others(path: Path, mine: Path) -> str:
    """Return the names of other hosts' databases beside this one, separated by commas; mark this machine's name."""
    candidates = {path, *path.parent.glob(f"{escape(path.stem)}.*{escape(path.suffix)}")} - {mine}
    others = sorted(other for other in candidates if _has_content(other))
    here = file_of_host(path, socket.gethostname())
    return ", ".join(f"{other.name} (under this machine's name)" if other == here else other.name for other in others)
