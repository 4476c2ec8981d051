"""Who is alive, told by OS locks: every server holds one on a file of its own, and the OS frees it when it dies.

No clocks and no process ids: a stopped or sleeping server still holds its lock, a killed one does not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from ...core.errors import Unavailable

SUFFIX = ".lock"
OPENING = "opening"  # held for a moment by whoever opens or replaces the database
PATIENCE = 0.2  # seconds; somebody who asks whether we are alive holds our lock for some microseconds

# flock, not lockf: it belongs to this open file, so that it survives any other close() in this process.
if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Liveness:
    """Shows that this server is alive for as long as it is entered, and tells which others are not.

    A lock file is only ever removed by who holds its lock, and who gets a lock checks that its file is still the one
    under that name. So nobody removes a living server's file or holds the lock of a removed one.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self._folder = folder
        self._server = server
        self._fd: int | None = None
        self.found_dead = False  # whether another server had died here without closing, as of entering

    def __enter__(self) -> Liveness:
        """Take this server's lock; raises Unavailable if a living server has this id."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._fd = self._take(self._path(self._server), PATIENCE)
        except OSError as error:
            raise self._no_lock(error) from error
        if self._fd is None:
            raise Unavailable(f"A server with the id {self._server!r} already runs on this database.")
        self.found_dead = bool([path for path in self._others() if _is_free(path)])  # all are looked at, and removed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._fd is not None:
            _remove(self._path(self._server), self._fd)
            self._fd = None

    def is_dead(self, server: str) -> bool:
        """Whether nobody holds this server's lock. Its file, if there is one, is removed then."""
        return _is_free(self._path(server))

    def is_alone(self) -> bool:
        """Whether no other server is alive."""
        return all(_is_free(path) for path in self._others())

    @contextmanager
    def opening(self, *, patience: float) -> Iterator[None]:
        """Keep other servers from opening the database meanwhile; raises Unavailable if one of them takes too long."""
        path = self._folder / OPENING
        try:
            fd = self._take(path, patience)
        except OSError as error:
            raise self._no_lock(error) from error
        if fd is None:
            raise Unavailable(
                f"Another server has been opening the database of {self._folder} for too long; try again."
            )
        try:
            yield
        finally:
            _remove(path, fd)

    def _others(self) -> list[Path]:
        return [path for path in self._folder.glob("*" + SUFFIX) if path != self._path(self._server)]

    def _no_lock(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"No lock can be had in {self._folder}: {error}. The folder must be writable and its file system must know "
            "locks; else choose another place for the database."
        )

    def _path(self, server: str) -> Path:
        return self._folder / (quote(server, safe="") + SUFFIX)

    @staticmethod
    def _take(path: Path, patience: float) -> int | None:
        deadline = time.monotonic() + patience
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                taken = _try_lock(fd) and _is_the_file(path, fd)
            except OSError:
                os.close(fd)
                raise
            if taken:
                return fd
            os.close(fd)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.001)


def _is_free(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True  # a server makes its file before it can have a job
    except OSError:
        return False  # not ours to open, so not ours to call dead
    with suppress(OSError):  # no lock can be had: nobody is called dead for that
        if _try_lock(fd) and _is_the_file(path, fd):
            _remove(path, fd)
            return True
    os.close(fd)
    return False


def _is_the_file(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
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
