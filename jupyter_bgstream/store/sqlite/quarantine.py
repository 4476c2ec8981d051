"""Damaged databases that were set aside: renaming, listing and the warning about them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path

# Suffixes of a database's files, in the order in which they are renamed. A server that is killed in between leaves the
# log without its database, which the next start still renames, but never a database without its log.
PARTS = ("", "-wal", "-journal", "-shm")


def set_aside(path: Path) -> Path:
    """Rename a database and its log, which no process may have open."""
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    for suffix in PARTS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def kept_aside(path: Path) -> list[Path]:
    """Return the databases that were set aside for this one, oldest first."""
    return sorted(path.parent.glob(f"{escape(path.name)}.corrupt-*Z"))


def warning_of(path: Path) -> str | None:
    """Return where the damaged databases are; None if there are none."""
    if not (files := kept_aside(path)):
        return None
    newest = files[-1]
    older = len(files) - 1
    others = f" So {'is 1 older one' if older == 1 else f'are {older} older ones'}, under like names." if older else ""
    return (
        f"The database {path} was damaged. It is kept as {newest}, and a new one was begun, so that earlier jobs are"
        f" not shown.{others} What can be read of it is saved by: sqlite3 '{newest}' .recover | sqlite3"
        " recovered.sqlite. This is said until the file is moved elsewhere or deleted."
    )
