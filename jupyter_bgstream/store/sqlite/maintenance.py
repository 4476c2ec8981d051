"""Maintenance of the database: expired jobs, compressed logs, and space that is given back to the disk.

One row per append is quick to write but slow to read. Once a job has ended, or its log is long, ``join`` replaces its
rows by *segments*: compressed rows of about SEGMENT_EVENTS whole events. No byte of an event changes. Nothing else
changes stored rows, and a log is joined from its beginning without gaps. So one number per log, ``packed_seq``, tells
where its loose rows begin, and whether what was read before a transaction is still valid within it.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from ..port_values import ExpiredJob
from .rows import place_of, places_of
from .sql_files import one, run

SEGMENT_EVENTS = 256
SEGMENT_BYTES = 256 * 1024  # of events, about; a larger row is not split
STEP_ROWS = 512  # joined by one transaction, about, so that it takes a few ms
STEP_BYTES = 1024 * 1024  # of events
LONG = 1024  # loose events from which on the log of an unfinished job is joined as well

SPARE_PAGES = 1024  # free pages that stay in the file for new rows: 4 MiB
STEP_PAGES = 64  # given back by one transaction, within some ms


class Segment(NamedTuple):
    """Adjacent rows of a log as one row."""

    n: int  # jobs.n
    first: int  # seq of its first event
    last: int
    body: bytes  # compressed
    rows: int  # that it replaces
    size: int  # bytes of events


def expired_jobs(
    db: sqlite3.Connection, *, owner: str | None, before: float, unread: bool, limit: int
) -> list[ExpiredJob]:
    """Return ended jobs that may be deleted, oldest first; see ``MaintenanceStore``."""
    return [
        ExpiredJob(
            owner=row["owner"],
            id=row["id"],
            log=row["log"],
            ended_at=row["ended_at"],
            announced_at=row["announced_at"],
            bytes=one(db, "bytes_of_job", **places_of(row["n"]), n=row["n"])[0],
        )
        for row in run(db, "old_jobs", owner=owner, before=before, unread=unread, limit=limit).fetchall()
    ]


def announce(db: sqlite3.Connection, jobs: Sequence[ExpiredJob], *, at: float) -> None:
    """Store when the deletion of jobs was first announced."""
    for job in jobs:
        run(db, "announce", owner=job.owner, id=job.id, log=job.log, at=at)


def size(db: sqlite3.Connection, *, owner: str | None) -> int:
    """Return the bytes of the database in use, without free pages.

    If the database has other owners, return the bytes of this owner's texts, without the overhead of the database.
    """
    if owner is not None and one(db, "has_other_owners", owner=owner)[0]:
        return int(one(db, "bytes_of_owner", owner=owner)[0])
    pages, free, page = (_pragma(db, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * page


def has_spare_pages(db: sqlite3.Connection) -> bool:
    """Return whether pages can be given back: the file has many and was made with incremental auto-vacuum."""
    return _pragma(db, "freelist_count") > SPARE_PAGES and _pragma(db, "auto_vacuum") == 2


def give_back(db: sqlite3.Connection) -> None:
    """Cut some free pages off the file, in the current transaction; the next checkpoint shortens it."""
    for _ in range(min(STEP_PAGES, _pragma(db, "freelist_count") - SPARE_PAGES)):
        db.execute("PRAGMA incremental_vacuum(1)")  # sqlite3 steps it once, so a larger number has no more effect


def next_segments(db: sqlite3.Connection) -> list[Segment]:
    """Return the segments of the next step, compressed, from any logs with loose rows; change nothing."""
    found: list[Segment] = []
    for n, seq, packed_seq, ended in run(db, "logs_to_pack", long=LONG, limit=STEP_ROWS).fetchall():
        with closing(run(db, "loose_events", **places_of(n, after=packed_seq))) as rows:
            for segment in _segments(n, rows, tail=seq if ended else None):
                found.append(segment)
                if sum(it.rows for it in found) >= STEP_ROWS or sum(it.size for it in found) >= STEP_BYTES:
                    return found
    return found


def join(db: sqlite3.Connection, segments: Sequence[Segment]) -> None:
    """Replace rows by their segments, in the current transaction.

    A segment is skipped if its log was deleted, or joined by another server in the meantime.
    """
    for segment in segments:
        row = one(db, "packed_seq", n=segment.n)
        if row is None or row["packed_seq"] != segment.first - 1:
            continue
        place = place_of(segment.n, segment.last)
        run(db, "delete_events", **{"from": place_of(segment.n, segment.first), "to": place})
        run(db, "insert_packed_events", place=place, first=segment.first, body=segment.body)
        run(db, "set_packed_seq", n=segment.n, seq=segment.last)


def _segments(n: int, rows: Iterable[sqlite3.Row], *, tail: int | None) -> Iterator[Segment]:
    # The last rows of a log that still grows wait for more.
    bodies: list[bytes] = []
    first = size = 0
    for row in rows:
        last = row["place"] - place_of(n, 0)
        first = first or row["first"]
        bodies.append(row["body"])
        size += len(row["body"])
        if last - first + 1 >= SEGMENT_EVENTS or size >= SEGMENT_BYTES or last == tail:
            yield Segment(n, first, last, zlib.compress(b"\n".join(bodies)), rows=len(bodies), size=size)
            bodies, first, size = [], 0, 0


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
