"""Quarantine of damaged databases: renaming, listing and the warning about them."""

from contextlib import suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path

# Suffixes of a database's files, in the order in which they are renamed. A server that is killed in between leaves the
# log without its database, which the next start still renames, but never a database without its log.
PARTS = ("", "-wal", "-journal", "-shm")


def quarantine(path: Path) -> Path:
    """Rename a database and its log, which no process may have open."""
    target = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    for suffix in PARTS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


def quarantined_files(path: Path) -> list[Path]:
    """Return the databases quarantined instead of this one, oldest first."""
    return sorted(path.parent.glob(f"{escape(path.name)}.corrupt-*Z"))


def warning_of(path: Path) -> str | None:
    """Return where the damaged databases are; None if there is no such file."""
    if not (files := quarantined_files(path)):
        return None
    newest = files[-1]
    older = len(files) - 1
    others = f" So {'is 1 older one' if older == 1 else f'are {older} older ones'}, under like names." if older else ""
    return (
        f"The database {path} was damaged. It is kept as {newest}, and a new one was begun, so that earlier jobs are"
        f" not shown.{others} What can be read of it is saved by: sqlite3 '{newest}' .recover | sqlite3"
        " recovered.sqlite. This warning stays until the file is moved elsewhere or deleted."
    )
