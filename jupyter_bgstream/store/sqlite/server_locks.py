"""Who is alive, told by OS locks: every server holds one on a file of its own, and the OS frees it when it dies.

No clocks and no process ids: a stopped or sleeping server still holds its lock, a killed one does not. A lock file that
is free proves a death; one that is missing proves nothing, because somebody may have deleted it under a living server.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import quote, unquote

from ...core.errors import UnavailableError
from .file_locks import is_same_file, try_lock

SUFFIX = ".lock"
OPENING = "opening"  # held for a moment by whoever opens or replaces the database
PATIENCE = 0.2  # seconds; somebody who asks whether we are alive holds our lock for some microseconds
MISSING = 10.0  # seconds without a lock file after which a server is dead; a living one makes it again within one
CLOSED = b"closed\n"  # in the file of a server that has ended in good order


class ServerLocks:
    """Shows that this server is alive for as long as it is entered, and tells which others are not.

    A server leaves its lock file behind, unlocked: that is how others know that it is dead. Whoever gets the lock of a
    file checks that the file is still the one under that name, so that nobody holds the lock of a removed one. A file
    is removed only by who holds its lock, once no unfinished job names its server.

    ``missing`` is how long a lock file must have been missing, in seconds, before its server is called dead.
    """

    def __init__(self, folder: Path, server: str, *, missing: float = MISSING) -> None:
        self._folder = folder
        self._server = server
        self._missing = missing
        self._missing_since: dict[str, float] = {}  # monotonic seconds, by server
        self._fd: int | None = None
        self._changing = threading.Lock()  # around _fd
        self._disturbed = False  # whether this server's own lock file was deleted in its life
        self.found_dead = False  # whether another server had died here without closing, as of entering

    def __enter__(self) -> ServerLocks:
        """Take this server's lock; raises UnavailableError if a living server has this id."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._fd = self._take(self._path(self._server), PATIENCE)
            if self._fd is not None:
                os.ftruncate(self._fd, 0)
            self.found_dead = any(_state_of(path) == "free" and not _is_closed(path) for path in self._others())
        except OSError as error:
            self._let_go(remove=True)
            raise self._no_lock(error) from error
        if self._fd is None:
            raise UnavailableError(f"A server with the id {self._server!r} already runs on this database.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._let_go(remove=error is not None)  # a server that never was has no jobs

    def hold(self) -> bool:
        """Make this server's lock file again if somebody has deleted it; returns whether that was so.

        From then on a missing file proves no death, for as long as this server lives: the servers beside it may be
        frozen, and so cannot make theirs again. Raises OSError if it cannot be made.
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
        """Whether this server's lock is free, or its file has been missing for long."""
        state = _state_of(self._path(server))
        if state != "missing":
            self._missing_since.pop(server, None)
            return state == "free"
        if self._disturbed or not self._is_held():
            return False
        since = self._missing_since.setdefault(server, time.monotonic())
        return time.monotonic() - since >= self._missing

    def is_alone(self) -> bool:
        """Whether no other server is alive."""
        return not any(_state_of(path) == "held" for path in self._others())

    def dead_servers(self) -> set[str]:
        """Return the servers whose lock files are there and free."""
        return {unquote(path.name.removesuffix(SUFFIX)) for path in self._others() if _state_of(path) == "free"}

    def forget(self, servers: set[str]) -> None:
        """Remove the lock files of dead servers that have no jobs left."""
        for server in servers:
            _remove_if_free(self._path(server))

    def bury_others(self) -> None:
        """Call every other server of this moment dead, whatever its lock says: its machine has lost the database."""
        for path in self._others():
            with suppress(OSError):  # a new file: the lock of the old one may be held by a machine that hangs
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
        """Keep other servers from opening the database meanwhile.

        Raises UnavailableError if one of them takes too long.
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
            f"No lock can be had in {self._folder}: {error}. The folder must be writable and its file system must know "
            "locks; else choose another place for the database."
        )

    def _path(self, server: str) -> Path:
        return self._folder / (quote(server, safe="") + SUFFIX)

    @staticmethod
    def _take(path: Path, patience: float, stop: threading.Event | None = None) -> int | None:
        deadline = time.monotonic() + patience
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                taken = try_lock(fd) and is_same_file(path, fd)
            except OSError:
                os.close(fd)
                raise
            if taken:
                return fd
            os.close(fd)
            if time.monotonic() > deadline or (stop is not None and stop.is_set()):
                return None
            time.sleep(0.001)


def _state_of(path: Path) -> Literal["missing", "held", "free"]:
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
        return "held", None  # not ours to open, so not ours to call dead
    with suppress(OSError):  # no lock can be had: nobody is called dead for that
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
    """Remove a lock file whose lock we hold, then let go of it."""
    if sys.platform == "win32":  # an open file cannot be removed there: whoever takes it meanwhile keeps it
        os.close(fd)
        with suppress(OSError):
            path.unlink()
    else:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(fd)
