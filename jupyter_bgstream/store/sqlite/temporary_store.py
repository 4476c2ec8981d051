"""A store for as long as its server runs: SQLite in a private directory that is removed when the store closes."""

import logging
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ...core.errors import UnavailableError
from .database_file import Files
from .readers import Readers
from .server_locks import open_locked
from .store import SQLiteStore

PREFIX = "jupyter-bgstream-"
CREATIONS = 10  # directories made until one is ours: another server may remove one that is not locked yet

log = logging.getLogger(__name__)


class TemporaryStore(SQLiteStore):
    """A SQLite store in a directory of its own (mode 0700) that is removed at the close.

    The directory is locked while the store is open. Directories of servers that died are not locked any more; the next
    store of the same user removes them when it opens.

    Args:
        server: This server's id.
        parent: Where the directory is made; None: the system's directory for temporary files.
    """

    kind = "temporary"

    def __init__(self, *, server: str, parent: Path | None = None) -> None:
        super().__init__(Path(), server=server)
        self.path = None
        self._parent = parent

    def _open_files(self, stop: threading.Event) -> tuple[ExitStack, Files, int, Readers]:
        parent = self._parent or Path(tempfile.gettempdir())
        remove_leftovers(parent)
        with ExitStack() as resources:
            self._database = resources.enter_context(private_directory(parent)) / "jobs.sqlite"
            database, files, rev, readers = super()._open_files(stop)
            resources.push(database)  # closed before the directory is removed
            return resources.pop_all(), files, rev, readers


@contextmanager
def private_directory(parent: Path) -> Iterator[Path]:
    """Make a locked directory for this user alone, and remove it in the end.

    Raises:
        UnavailableError: It cannot be made or locked.
    """
    try:
        directory, fd = _make(parent)
    except OSError as error:
        raise UnavailableError(
            f"No temporary directory can be made in {parent}: {error}. Set TMPDIR to a writable directory."
        ) from error
    try:
        yield directory
    finally:
        _remove(directory, fd)


def remove_leftovers(parent: Path) -> None:
    """Remove this user's temporary directories whose servers have died."""
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another server may remove it at the same time
            if _is_mine(directory) and (fd := _lock(directory)) is not None:
                _remove(directory, fd)
                log.warning("Removed %s, which a server that died had left behind.", directory)


def _make(parent: Path) -> tuple[Path, int]:
    for _ in range(CREATIONS):
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # mode 0700
        try:
            fd = _lock(directory)
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        if fd is not None:
            return directory, fd
    raise OSError("other servers keep removing it")


def _lock(directory: Path) -> int | None:
    # POSIX: the directory itself, so that systemd-tmpfiles, which skips locked directories, does not age its files.
    if sys.platform == "win32":
        target, flags = directory / "lock", os.O_RDWR | os.O_CREAT
    else:
        target, flags = directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return open_locked(target, flags)
    except FileNotFoundError:
        return None


def _is_mine(directory: Path) -> bool:
    status = directory.lstat()
    return stat.S_ISDIR(status.st_mode) and (sys.platform == "win32" or status.st_uid == os.geteuid())


def _remove(directory: Path, fd: int) -> None:
    if sys.platform == "win32":  # an open file cannot be removed there
        os.close(fd)
        shutil.rmtree(directory, ignore_errors=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(fd)
