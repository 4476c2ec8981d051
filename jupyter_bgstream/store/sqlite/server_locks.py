"""Detection of dead servers: every server locks a file of its own, and the OS frees the lock when the server dies.

No clocks and no process ids: a stopped or sleeping server still holds its lock, a killed one does not. A free lock file
proves a death. A missing one proves nothing: it may have been deleted while its server lives.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from ...core.errors import UnavailableError
from .file_locks import is_same_file, try_lock

SUFFIX = ".lock"
OPENING = "opening"  # locked for a moment by a server that opens or replaces the database
PATIENCE = 0.2  # seconds; a server that checks whether this one is alive holds its lock for some microseconds
MISSING = 10.0  # seconds without a lock file after which a server is considered dead; a living one restores it in 1 s
CLOSED = b"closed\n"  # content of the lock file after a clean shutdown


class ServerLocks:
    """The lock of this server while it is entered, and which other servers are dead.

    A server leaves its lock file behind, unlocked: so others know that it is dead. After locking a file a server checks
    that the file still has its name, so that no server holds the lock of a removed file. A file is removed only by a
    server that holds its lock, once no unfinished job names its server.

    Args:
        folder: The folder of the lock files.
        server: This server's id.
        missing: Seconds for which a lock file must be missing until its server is considered dead.
    """

    def __init__(self, folder: Path, server: str, *, missing: float = MISSING) -> None:
        self._folder = folder
        self._server = server
        self._missing = missing
        self._missing_since: dict[str, float] = {}  # monotonic seconds, by server
        self._fd: int | None = None
        self._changing = threading.Lock()  # around _fd
        self._disturbed = False  # whether this server's own lock file was deleted
        self.found_dead = False  # whether another server had died without closing, at the time of entering

    def __enter__(self) -> ServerLocks:
        """Take this server's lock.

        Raises:
            UnavailableError: A living server has this id, or locks are not possible.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._fd = self._take(self._path(self._server), PATIENCE)
            if self._fd is not None:
                os.ftruncate(self._fd, 0)
            self.found_dead = any(state_of(path) == "free" and not _is_closed(path) for path in self._others())
        except OSError as error:
            self._let_go(remove=True)
            raise self._no_lock(error) from error
        if self._fd is None:
            raise UnavailableError(f"A server with the id {self._server!r} already runs on this database.")
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._let_go(remove=kind is not None)  # a server that did not start has no jobs

    def hold(self) -> bool:
        """Make this server's lock file again if it was deleted; return whether it was.

        From then on this server does not infer a death from a missing file: other servers may be frozen, and so cannot
        restore theirs.

        Raises:
            OSError: The file cannot be made.
        """
        with self._changing:
            if self._fd is None or is_same_file(self._path(self._server), self._fd):
                return False
            self._disturbed = True
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fd = self._take(self._path(self._server), PATIENCE)
            if fd is None:
                raise OSError(f"the lock {self._path(self._server)} is held by another process")
            os.close(self._fd)
            self._fd = fd
            return True

    def is_dead(self, server: str) -> bool:
        """Return whether a server's lock is free, or its file has been missing for long."""
        state = state_of(self._path(server))
        if state != "missing":
            self._missing_since.pop(server, None)
            return state == "free"
        if self._disturbed or not self._is_held():
            return False
        since = self._missing_since.setdefault(server, time.monotonic())
        return time.monotonic() - since >= self._missing

    def is_alone(self) -> bool:
        """Return whether no other server is alive."""
        return not any(state_of(path) == "held" for path in self._others())

    def dead_servers(self) -> set[str]:
        """Return the servers whose lock files exist and are free."""
        return {unquote(path.name.removesuffix(SUFFIX)) for path in self._others() if state_of(path) == "free"}

    def forget(self, servers: set[str]) -> None:
        """Remove the lock files of dead servers that have no jobs left."""
        for server in servers:
            _remove_if_free(self._path(server))

    def bury_others(self) -> None:
        """Mark all other servers as dead, even if their locks are held: their machine has lost the database."""
        for path in self._others():
            with suppress(OSError):  # a new file: a machine that hangs may still lock the old one
                path.unlink()
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

    def _is_held(self) -> bool:
        with self._changing:
            return self._fd is not None and is_same_file(self._path(self._server), self._fd)

    def _let_go(self, *, remove: bool) -> None:
        with self._changing:
            if self._fd is None:
                return
            fd, self._fd = self._fd, None
            if remove:
                _remove(self._path(self._server), fd)
                return
            with suppress(OSError):
                os.write(fd, CLOSED)
            os.close(fd)

    @contextmanager
    def opening(self, *, patience: float, stop: threading.Event | None = None) -> Iterator[None]:
        """Prevent other servers from opening the database at the same time.

        Raises:
            UnavailableError: Another server takes too long.
        """
        path = self._folder / OPENING
        try:
            fd = self._take(path, patience, stop)
        except OSError as error:
            raise self._no_lock(error) from error
        if fd is None:
            raise UnavailableError(
                f"Another server has been opening the database of {self._folder} for too long; try again."
            )
        try:
            yield
        finally:
            _remove(path, fd)

    def _others(self) -> list[Path]:
        return [path for path in self._folder.glob("*" + SUFFIX) if path != self._path(self._server)]

    def _no_lock(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"No file can be locked in {self._folder}: {error}. The folder must be writable and its file system must "
            "support locks. Otherwise choose another place for the database."
        )

    def _path(self, server: str) -> Path:
        return self._folder / (quote(server, safe="") + SUFFIX)

    @staticmethod
    def _take(path: Path, patience: float, stop: threading.Event | None = None) -> int | None:
        deadline = time.monotonic() + patience
        while True:
            if (fd := open_locked(path, os.O_RDWR | os.O_CREAT)) is not None:
                return fd
            if time.monotonic() > deadline or (stop is not None and stop.is_set()):
                return None
            time.sleep(0.001)


def open_locked(path: Path, flags: int) -> int | None:
    """Open and lock a file; return None if another process holds it or has removed it.

    Raises:
        OSError: It cannot be opened, or the file system has no locks.
    """
    fd = os.open(path, flags, 0o600)
    try:
        if try_lock(fd) and is_same_file(path, fd):
            return fd
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


def state_of(path: Path) -> Literal["missing", "held", "free"]:
    """Return whether a running server holds a lock file; keeps the file."""
    state, fd = _lock_if_free(path)
    if fd is not None:
        os.close(fd)
    return state


def _remove_if_free(path: Path) -> None:
    _, fd = _lock_if_free(path)
    if fd is not None:
        _remove(path, fd)


def _lock_if_free(path: Path) -> tuple[Literal["missing", "held", "free"], int | None]:
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return "missing", None
    except OSError:
        return "held", None  # not accessible, so not considered dead
    with suppress(OSError):  # locks are not possible, which proves no death
        if try_lock(fd):
            if is_same_file(path, fd):
                return "free", fd
            os.close(fd)
            return "missing", None
    os.close(fd)
    return "held", None


def _is_closed(path: Path) -> bool:
    with suppress(OSError):
        return path.read_bytes() == CLOSED
    return False


def _remove(path: Path, fd: int) -> None:
    """Remove a lock file that this process has locked, then close it."""
    if sys.platform == "win32":  # an open file cannot be removed there; a server that takes it in the meantime keeps it
        os.close(fd)
        with suppress(OSError):
            path.unlink()
    else:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(fd)
