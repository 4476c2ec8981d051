"""What jobs cost, added up; and what is kept of it when a job is deleted.

A job belongs to the quarter of an hour in which it was submitted: every day of every time zone begins with one, and so
what is deleted can be kept as sums without changing any day's. Of a deleted job only its quarter and its model are
kept, not the names that a user gave it nor the name of the person who submitted it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from ..core.costs import By, CostRow
from ..core.job import Job

QUARTER = 900  # seconds
N = TypeVar("N", int, float)

MOST = 500  # rows of an answer: the newest days, or what cost most


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What jobs of one owner took that have the same quarter and names."""

    at: int  # Unix seconds, a whole quarter
    model: str
    thread: str | None = None
    notebook: str | None = None
    group: str | None = None
    submitted_by: str | None = None
    jobs: int = 1
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    estimated: bool = False


def entry_of(job: Job) -> Entry | None:
    """Return what a job took, if anything is known of that."""
    if job.usage is None and job.cost is None:
        return None
    return Entry(
        at=int(job.created_at // QUARTER) * QUARTER,
        model=job.spec.model,
        thread=job.thread,
        notebook=job.spec.source.notebook,
        group=job.spec.group,
        submitted_by=job.submitted_by,
        input_tokens=None if job.usage is None else job.usage.input_tokens,
        output_tokens=None if job.usage is None else job.usage.output_tokens,
        usd=job.cost,
        estimated=job.cost_estimated,
    )


def nameless(entry: Entry) -> Entry:
    """Return what is kept of a deleted job's."""
    return msgspec.structs.replace(entry, thread=None, notebook=None, group=None, submitted_by=None)


def quarters(since: float | None, until: float | None) -> tuple[int, int]:
    """Return the first whole quarter of a time, in Unix seconds, and the first one after it."""
    first = 0 if since is None else math.floor(since / QUARTER) * QUARTER
    end = 1 << 50 if until is None else math.ceil(until / QUARTER) * QUARTER
    return first, end


def summed(entries: Iterable[Entry], *, by: By, since: float | None, until: float | None) -> list[CostRow]:
    """Add up entries; the newest day first, or what cost most."""
    first, end = quarters(since, until)
    rows: dict[str | None, CostRow] = {}
    for entry in entries:
        if first <= entry.at < end:
            key = day_of(entry.at) if by == "day" else getattr(entry, by)
            row = rows.get(key) or CostRow(
                key=key, jobs=0, input_tokens=None, output_tokens=None, usd=None, estimated=False
            )
            rows[key] = CostRow(
                key=key,
                jobs=row.jobs + entry.jobs,
                input_tokens=_sum(row.input_tokens, entry.input_tokens),
                output_tokens=_sum(row.output_tokens, entry.output_tokens),
                usd=_sum(row.usd, entry.usd),
                estimated=row.estimated or entry.estimated,
            )
    if by == "day":
        return [rows[key] for key in sorted(rows, key=str, reverse=True)[:MOST]]
    dearest = sorted(rows.values(), key=lambda row: (row.usd is None, -(row.usd or 0), row.key is None, row.key or ""))
    return dearest[:MOST]


def day_of(at: float) -> str:
    """Return the day in which a time lies here, as YYYY-MM-DD."""
    return f"{datetime.fromtimestamp(at):%Y-%m-%d}"


def _sum(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
