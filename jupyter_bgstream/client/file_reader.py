"""Reader of a user's files, bounded in memory and time."""

import errno
import os
import stat
from pathlib import Path
from typing import Literal

from ..core.errors import InvalidRequestError


def read_input(path: str, limit: int, what: Literal["file", "image"]) -> bytes:
    """Return the content of a file for a prompt, as ``read_file`` does; raise InvalidRequestError."""
    scheme, _, rest = path.partition(":")
    if rest.startswith("//") and len(scheme) > 1:  # one letter is a drive
        raise InvalidRequestError(f"{path[:100]} is a URL. Download the {what} and use its path.", field=f"{what}s")
    try:
        return read_file(path, limit)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"Cannot read the {what} {repr(path)[:200]}: {reason}."
        raise InvalidRequestError(message, field=f"{what}s") from None


def read_file(path: str, limit: int) -> bytes:
    """Return the content of a regular file, or its first ``limit`` + 1 bytes if it has more.

    A device such as ``/dev/zero`` never ends, and opening a pipe waits for its writer. Neither is read.

    Raises:
        OSError: The file is missing, not readable or not a regular file; ``strerror`` says which.
        ValueError: The path holds a NUL character.
    """
    with open(Path(path).expanduser(), "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        return file.read(limit + 1)


def _open_without_waiting(path: str, flags: int) -> int:
    # Windows has neither flag, and no such files.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
