"""Check the database without changing it."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ...engine.retention import megabytes
from ...store.sqlite.database_file import file_of_host, names_of_others
from ...store.sqlite.file_permissions import foreign_owner, wide_files, writable_folder
from ...store.sqlite.lease import CLOSED, RENEWAL, read_heartbeat, read_holder, this_machine
from ...store.sqlite.network_filesystem import network_file_system
from ...store.sqlite.quarantine import warning_of
from ...store.sqlite.server_locks import SUFFIX, state_of
from ...store.sqlite.sql_files import migrations
from ..settings import Settings
from .findings import Finding, ok, problem, warning

CHECK_SECONDS = 10.0  # limit of the search for damage
LOW_SPACE = 500 * 1024**2  # bytes of free disk space
VERY_LOW_SPACE = 50 * 1024**2
WAL = 2  # in the file's header; 1 is a rollback journal (https://sqlite.org/fileformat2.html, 1.3.3)


def check(settings: Settings) -> Iterator[Finding]:
    """Report where jobs are stored, whether the database is writable, and whether it is intact."""
    if settings.app.store == "temporary":
        yield warning("Jobs are stored in a temporary directory until the server stops.")
        return
    configured = path = settings.app.database_path.resolve()
    folder = next(parent for parent in path.parents if parent.exists())
    yield from _disk(folder)
    shared = network_file_system(folder)
    journal = settings.app.database_journal
    if journal == "rollback" or (journal == "auto" and shared is not None):
        path = file_of_host(path, settings.app.database_host or None)
    if shared is not None:
        yield warning(
            f"{folder} is on a network file system ({shared}), where each machine has its own database.",
            "A local disk is faster: set BgStreamApp.database.",
        )
    foreign = foreign_owner(path, _locks(path))
    if foreign is not None:
        yield problem(foreign)
        return
    yield from _others_rights(path)
    if (quarantine := warning_of(path)) is not None:
        yield warning(quarantine)
    if not path.exists():
        if path != configured and (names := names_of_others(configured, path)):
            yield warning(
                f"There is no {path} yet. Earlier jobs are in {names}.",
                f"To use them, stop all Jupyter servers and rename that file to {path.name}.",
            )
            return
        yield ok(f"There is no {path} yet. The server creates it at its first start.")
        return
    if not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        yield problem(
            f"{path} is not writable, or not a file.",
            "Give this user write access, or set BgStreamApp.database to another path.",
        )
        return
    try:
        yield from _file(path)
    except sqlite3.Error as error:
        yield _damaged(path, str(error))
    yield _servers(path)
    yield from _lease(path)


def _disk(folder: Path) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            f"The folder {folder} is not writable.",
            "Give this user write access, or set BgStreamApp.database to another path.",
        )
    free = shutil.disk_usage(folder).free
    if free < LOW_SPACE:
        yield Finding(
            level="problem" if free < VERY_LOW_SPACE else "warning",
            message=f"The disk of {folder} has {megabytes(free)} left. Jobs fail when it is full.",
            advice="Make room: jupyter bgstream prune --dry-run",
        )
    else:
        yield ok(f"The disk has {megabytes(free)} left.")


def _others_rights(path: Path) -> Iterator[Finding]:
    if (folder := writable_folder(path)) is not None:
        yield warning(folder)
    for wide in wide_files(path, _locks(path)):
        yield warning(
            f"Other users have access to {wide.path} (mode {wide.mode:o}).",
            f"The server removes this access at its next start. Now: chmod {wide.right:o} '{wide.path}'",
        )


def _locks(path: Path) -> Path:
    return path.with_name(path.name + ".servers")


def _file(path: Path) -> Iterator[Finding]:
    with closing(_connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
        newest = len(migrations())
        if version > newest:
            yield problem(
                f"{path} was written by a newer jupyter_bgstream (version {version}; this knows {newest}).",
                "pip install --upgrade jupyter_bgstream, or set BgStreamApp.database to another path.",
            )
            return
        if tables and (version == 0 or "revision" not in tables):
            yield problem(f"{path} belongs to another application.", "Set BgStreamApp.database to another path.")
            return
        damage = _damage(db)
        if damage == "not finished":
            yield ok(f"No damage was found in {CHECK_SECONDS:g} s; the check is incomplete.")
        elif damage is not None:
            yield _damaged(path, damage)
            return
        yield ok(f"{path} is intact.")
        if version < newest:
            yield ok(f"Its schema is {version} of {newest}. The server updates it at its next start.")
        if tables:
            yield _contents(db, path, version)


def _contents(db: sqlite3.Connection, path: Path, version: int) -> Finding:
    counts = dict(db.execute("SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status").fetchall())
    jobs = ", ".join(f"{count} {status}" for status, count in counts.items())
    mode = "a write-ahead log" if _header(path)[18] == WAL else "a rollback journal"
    return ok(f"{megabytes(path.stat().st_size)}, schema {version}, {mode}; jobs: {jobs or 'none'}.")


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _connect(path: Path) -> sqlite3.Connection:
    # An existing write-ahead log and its shared memory are used. Otherwise a read-only connection would create them;
    # only an immutable connection does not.
    has_log = path.with_name(path.name + "-wal").exists() and path.with_name(path.name + "-shm").exists()
    mode = "mode=ro" if has_log else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=2, check_same_thread=False)


def _damage(db: sqlite3.Connection) -> str | None:
    timer = threading.Timer(CHECK_SECONDS, db.interrupt)
    timer.start()
    try:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return "not finished"
        raise
    finally:
        timer.cancel()
        timer.join()
    return None if found == "ok" else str(found).partition("\n")[0]


def _damaged(path: Path, what: str) -> Finding:
    return problem(
        f"{path} is damaged, or not a database: {what}.",
        f"Stop the servers and keep a copy. sqlite3 '{path}' .recover | sqlite3 recovered.sqlite saves the"
        " readable part.",
    )


def _servers(path: Path) -> Finding:
    alive = sum(state_of(lock) == "held" for lock in _locks(path).glob("*" + SUFFIX))
    return ok(f"Servers that use it now: {alive}.")


def _lease(path: Path) -> Iterator[Finding]:
    """Report a lease of another machine; reads its heartbeat twice."""
    folder = _locks(path)
    try:
        holder = read_holder(folder)
        if holder is None or (holder.host, holder.boot) == this_machine():
            return
        before = read_heartbeat(folder, holder)
        if before == CLOSED:
            return
        time.sleep(1.5 * RENEWAL)
        alive = read_heartbeat(folder, holder) != before
    except OSError as error:
        yield problem(f"The lease of {path} cannot be read: {error}.")
        return
    yield Finding(
        level="problem" if alive else "warning",
        message=f"{path} is used by a server on another machine, {holder.host}, that "
        + ("is alive, so that no server can start on this one." if alive else "does not renew its lease."),
        advice="Stop that server." if alive else "If it has stopped, a server that starts here takes over its jobs.",
    )
