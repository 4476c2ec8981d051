"""Joins the rows of a log into segments and compresses them; not one byte of an event changes.

A row per append is quick to write and slow to read again. Once a job has ended, or its log is long, its rows become
rows of about SEGMENT_EVENTS whole events. Rows that are there never change but by this, and a log is joined from its
beginning, without gaps. So one number per log, ``packed_seq``, tells where its loose rows begin, and also whether
what was read before a transaction is still so within it.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from .queries import QUERIES
from .rows import place_of, places_of

SEGMENT_EVENTS = 256
SEGMENT_BYTES = 256 * 1024  # of events, about; a larger row stays as large as it is
STEP_ROWS = 512  # of a step, about, so that its transaction takes a few ms
STEP_BYTES = 1024 * 1024  # of events
LONG = 1024  # loose events from which on an unfinished job's log is joined as well


class Segment(NamedTuple):
    """Adjacent rows of a log as one."""

    n: int  # jobs.n
    first: int  # seq of its first event
    last: int
    body: bytes  # compressed
    rows: int  # that it was made of
    size: int  # bytes of events


def next_segments(db: sqlite3.Connection) -> list[Segment]:
    """Return what the next step can join, compressed, of whatever logs have loose rows; changes nothing."""
    found: list[Segment] = []
    for n, seq, packed_seq, ended in db.execute(QUERIES["logs_to_pack"], {"long": LONG, "limit": STEP_ROWS}).fetchall():
        with closing(db.execute(QUERIES["loose_events"], places_of(n, after=packed_seq))) as rows:
            for segment in _joined(n, rows, tail=seq if ended else None):
                found.append(segment)
                if sum(it.rows for it in found) >= STEP_ROWS or sum(it.size for it in found) >= STEP_BYTES:
                    return found
    return found


def _joined(n: int, rows: Iterable[sqlite3.Row], *, tail: int | None) -> Iterator[Segment]:
    # What is left at the end of a log that still grows waits for more.
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


def join(db: sqlite3.Connection, segments: Sequence[Segment]) -> None:
    """Put segments in the place of their rows, in the transaction under way.

    A segment whose log has gone, or was joined by another server meanwhile, is left out.
    """
    for segment in segments:
        row = db.execute(QUERIES["packed_seq"], {"n": segment.n}).fetchone()
        if row is None or row["packed_seq"] != segment.first - 1:
            continue
        place = place_of(segment.n, segment.last)
        db.execute(QUERIES["delete_events"], {"from": place_of(segment.n, segment.first), "to": place})
        db.execute(QUERIES["insert_packed_events"], {"place": place, "first": segment.first, "body": segment.body})
        db.execute(QUERIES["set_packed_seq"], {"n": segment.n, "seq": segment.last})
