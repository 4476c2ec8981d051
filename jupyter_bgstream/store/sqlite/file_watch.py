"""Detection of deleted, moved or replaced files of an open database."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from ...core.errors import UnavailableError
from .connection import Journal

FDS = Path("/proc/self/fd")
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})  # ESTALE: deleted on the file server

# Suffixes of a database's files. A process that has lost one of these names writes where no other process reads.
_PARTS: dict[Journal, tuple[str, ...]] = {"wal": ("", "-wal", "-shm"), "rollback": ("",)}

Identity = tuple[int, int]  # device and inode


class LostFileError(UnavailableError):
    """A file of the database was deleted, moved or replaced while this server uses it."""


class FileWatch:
    """The files of an open database, as they were when it was opened. Thread-safe.

    It uses ``stat`` alone: opening and closing one of these files would drop SQLite's locks on it.
    """

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._known: list[tuple[str, Identity]] = []
        for suffix in _PARTS[journal]:
            name = str(path) + suffix
            if (identity := _identity(name)) is not None:
                self._known.append((name, identity))

    def check(self) -> None:
        """Raise LostFileError if one of the files no longer has its name."""
        for name, identity in self._known:
            if not _is_there(name, identity):
                raise LostFileError(self._sentence(name, identity))

    def may_checkpoint(self) -> bool:
        """Return whether a checkpoint is safe: no other process can have begun a log of its own."""
        return not any(os.path.lexists(name) and _identity(name) != identity for name, identity in self._known[1:])

    def _sentence(self, name: str, identity: Identity) -> str:
        there = os.path.lexists(name)
        if name != str(self._path):
            return (
                f"The file {name}, a part of the database, was {'replaced' if there else 'deleted'} while this server"
                " uses it. Nothing more is stored. Restart the Jupyter servers that use it: what was stored before is"
                " then there."
            )
        fd, place = _open_file(identity)
        if place is not None:
            return (
                f"The database {name} was moved to {place} while this server uses it"
                f"{', and another file has its name' if there else ''}. Nothing more is stored until it is moved back."
                " Or restart Jupyter, which then uses what is at that path, or begins a new database there."
            )
        what = "replaced by another file" if there else "deleted, or its disk was unmounted,"
        copy = "" if fd is None else f": cp /proc/{os.getpid()}/fd/{fd} COPY"
        return (
            f"The database {name} was {what} while this server uses it. Nothing more is stored, and if it was deleted,"
            f" its jobs are lost when this server ends. To keep them, copy the open file before{copy}. Then stop"
            " Jupyter, put the copy at that path if you want its jobs, and start Jupyter again."
        )


def _identity(name: str) -> Identity | None:
    try:
        status = os.stat(name)  # noqa: PTH116 - faster; each commit needs three
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_there(name: str, identity: Identity) -> bool:
    try:
        status = os.stat(name)  # noqa: PTH116
    except OSError as error:
        return error.errno not in GONE  # other errors, such as a folder without search permission, are no loss
    return (status.st_dev, status.st_ino) == identity


def _open_file(identity: Identity) -> tuple[int | None, str | None]:
    """Return the descriptor and present path of an open file of this process, as far as the system reveals them."""
    with suppress(OSError):
        for link in FDS.iterdir():
            with suppress(OSError):
                if _identity(str(link)) == identity:
                    place = str(link.readlink())
                    return int(link.name), place if _identity(place) == identity else None
    return None, None
