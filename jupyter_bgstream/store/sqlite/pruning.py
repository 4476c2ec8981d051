"""What may be deleted for its age, how much there is in all, and how space is given back to the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..base import ExpiredJob
from .queries import QUERIES
from .rows import places_of

SPARE_PAGES = 1024  # free pages that stay in the file for what comes next: 4 MiB
STEP_PAGES = 64  # given back by one transaction, within some ms


def old_jobs(db: sqlite3.Connection, *, owner: str | None, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
    """Return ended jobs, the oldest first, as the port says."""
    asked = {"owner": owner, "before": before, "unread": unread, "limit": limit}
    rows = db.execute(QUERIES["old_jobs"], asked).fetchall()
    return [
        ExpiredJob(
            owner=row["owner"],
            id=row["id"],
            log=row["log"],
            ended_at=row["ended_at"],
            announced_at=row["announced_at"],
            bytes=db.execute(QUERIES["bytes_of_job"], places_of(row["n"]) | {"n": row["n"]}).fetchone()[0],
        )
        for row in rows
    ]


def announce(db: sqlite3.Connection, jobs: Sequence[ExpiredJob], *, at: float) -> None:
    """Note when the coming deletion of jobs was first said."""
    for job in jobs:
        db.execute(QUERIES["announce"], {"owner": job.owner, "id": job.id, "log": job.log, "at": at})


def size(db: sqlite3.Connection, *, owner: str | None) -> int:
    """Return the bytes of the database that are in use: free pages count for nothing.

    Beside other owners' jobs an owner has the bytes of its own texts, without what the database takes to keep them.
    """
    if owner is not None and db.execute(QUERIES["has_other_owners"], {"owner": owner}).fetchone()[0]:
        return int(db.execute(QUERIES["bytes_of_owner"], {"owner": owner}).fetchone()[0])
    pages, free, page = (_pragma(db, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * page


def has_spare_pages(db: sqlite3.Connection) -> bool:
    """Whether there is space to give back, in a file that can: one that was made with incremental auto-vacuum."""
    return _pragma(db, "freelist_count") > SPARE_PAGES and _pragma(db, "auto_vacuum") == 2


def give_back(db: sqlite3.Connection) -> None:
    """Cut some free pages off the file, in the transaction under way; the next checkpoint shortens it."""
    for _ in range(min(STEP_PAGES, _pragma(db, "freelist_count") - SPARE_PAGES)):
        db.execute("PRAGMA incremental_vacuum(1)")  # a larger number is not carried through: sqlite3 steps it once


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
