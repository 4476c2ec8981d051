"""Owners and modes of the database's files and folders: checks them and restores modes.

docs/explanation/decisions/0012-permissions-of-database-files.md lists which permissions are refused or only logged.
"""

import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...core.errors import UnavailableError
from .quarantine import PARTS, quarantined_files

OTHERS = stat.S_IRWXG | stat.S_IRWXO  # the rights of all users but the owner
ROOT = 0

_ELSEWHERE = "set BgStreamApp.database to another path"

log = logging.getLogger(__name__)


class ForeignError(UnavailableError):
    """A file or folder of the database belongs to another user."""


class Wide(NamedTuple):
    """A file or folder that other users may access."""

    path: Path
    mode: int  # including the rights of other users

    @property
    def right(self) -> int:
        """The mode without the rights of other users."""
        return self.mode & ~OTHERS


def secure_files(path: Path, locks: Path) -> None:
    """Refuse files of other users, and remove the rights of other users on this user's files.

    A mode that cannot be changed, as on a file system without modes, is logged.

    Raises:
        ForeignError: A file or folder belongs to another user.
    """
    if (problem := foreign_owner(path, locks)) is not None:
        raise ForeignError(problem)
    for wide in wide_files(path, locks):
        if not _narrow(wide):
            break  # the other files fail for the same reason
    if (warning := writable_folder(path)) is not None:
        log.warning("%s", warning)


def foreign_owner(path: Path, locks: Path) -> str | None:
    """Return a sentence if the database, one of its files or its folder belongs to another user, else None.

    Args:
        path: The database, without symbolic links.
        locks: The folder of the servers' locks.
    """
    if sys.platform == "win32" or not path.parent.exists():
        return None
    folder = path.parent.stat()
    if not _is_own_folder(path.parent, folder.st_uid):
        return (
            f"The folder {path.parent} of the database belongs to another user ({_name(folder.st_uid)}). That user"
            f" could replace the database: {_ELSEWHERE}, in a folder of your own."
        )
    for file, status in _files(path, locks):
        if status.st_uid not in (os.geteuid(), ROOT, folder.st_uid):
            return (
                f"The file {file} of the database belongs to another user ({_name(status.st_uid)}) and was left as it"
                f" is: make it your own with chown, move it away, or {_ELSEWHERE}."
            )
    return None


def wide_files(path: Path, locks: Path) -> Iterator[Wide]:
    """Yield files that other users may read or write, including quarantined databases."""
    if sys.platform == "win32":
        return
    quarantined = [part for database in quarantined_files(path) for part in _parts(database)]
    for file, status in (*_files(path, locks), *quarantined):
        if status.st_mode & OTHERS and not stat.S_ISLNK(status.st_mode):
            yield Wide(file, stat.S_IMODE(status.st_mode))


def writable_folder(path: Path) -> str | None:
    """Return a sentence if others may replace the database by another file, else None."""
    if sys.platform == "win32" or not path.parent.exists():
        return None
    folder = path.parent.stat()
    # A group with the number of the owner belongs, by convention, to that user alone.
    by_group = folder.st_mode & stat.S_IWGRP and folder.st_gid != folder.st_uid
    if folder.st_mode & stat.S_ISVTX or not (by_group or folder.st_mode & stat.S_IWOTH):
        return None
    return (
        f"Other users may write to the folder {path.parent} (mode {stat.S_IMODE(folder.st_mode):o}), and so replace the"
        f" database: take that right from them with chmod go-w, or {_ELSEWHERE}."
    )


def _narrow(wide: Wide) -> bool:
    """Remove the rights of other users; return whether that had an effect."""
    try:
        wide.path.chmod(wide.right)
        left = stat.S_IMODE(wide.path.stat().st_mode) & OTHERS
    except FileNotFoundError:  # removed by another server in the meantime
        return True
    except OSError as error:
        log.warning(
            "Other users may use %s (mode %o), and that cannot be changed: %s.", wide.path, wide.mode, error.strerror
        )
        return False
    if left:
        log.warning(
            "Other users may use %s (mode %o): its file system keeps no modes. Keep the database on another one: %s.",
            wide.path,
            wide.mode,
            _ELSEWHERE,
        )
        return False
    log.warning("Other users could use %s (mode %o): its mode is %o now.", wide.path, wide.mode, wide.right)
    return True


def _files(path: Path, locks: Path) -> Iterator[tuple[Path, os.stat_result]]:
    yield from _parts(path)
    yield from _there([locks])
    if locks.is_dir():
        yield from _there(sorted(locks.iterdir()))


def _parts(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    return _there(path.with_name(path.name + suffix) for suffix in PARTS)


def _there(files: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for file in files:
        with suppress(FileNotFoundError):  # other servers come and go
            yield file, file.lstat()


def _is_own_folder(folder: Path, owner: int) -> bool:
    # Root may use a user's files, as in a container with that user's volume.
    if os.geteuid() in (owner, ROOT) or owner == ROOT:
        return True
    try:  # some network disks and mounts give all files one owner
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bgstream-") as probe:
            return os.fstat(probe.fileno()).st_uid == owner
    except OSError:
        return False


def _name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - does not exist on Windows

    try:
        return f"{pwd.getpwuid(uid).pw_name}, uid {uid}"
    except KeyError:
        return f"uid {uid}"
