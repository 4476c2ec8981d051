"""Sums of tokens and costs, which outlast deleted jobs.

A job belongs to the quarter of an hour in which it was submitted. The days of all time zones begin with a quarter, so
that sums per quarter can replace deleted jobs without changing any daily sum. Of a deleted job only the quarter and
the model are kept: neither the names that a user gave it nor the submitter's name.
"""

import math
from datetime import datetime

import msgspec

from ..core.job import Job

QUARTER = 900  # seconds

MOST = 500  # rows of a result: the newest days, or the highest costs


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens and cost of an owner's jobs with the same quarter and names."""

    at: int  # Unix seconds, a whole quarter
    model: str
    thread: str | None = None
    notebook: str | None = None
    batch: str | None = None
    submitted_by: str | None = None
    jobs: int = 1
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    estimated: bool = False


def entry_of(job: Job) -> Entry | None:
    """Return the entry of a job; None if neither its tokens nor its cost are known."""
    if job.usage is None and job.cost is None:
        return None
    return Entry(
        at=int(job.created_at // QUARTER) * QUARTER,
        model=job.spec.model,
        thread=job.thread,
        notebook=job.spec.source.notebook,
        batch=job.spec.batch,
        submitted_by=job.submitted_by,
        input_tokens=None if job.usage is None else job.usage.input_tokens,
        output_tokens=None if job.usage is None else job.usage.output_tokens,
        usd=job.cost,
        estimated=job.cost_estimated,
    )


def nameless(entry: Entry) -> Entry:
    """Return an entry without names, as it is kept for a deleted job."""
    return msgspec.structs.replace(entry, thread=None, notebook=None, batch=None, submitted_by=None)


def quarters(since: float | None, until: float | None) -> tuple[int, int]:
    """Return the first quarter of a period and the first one after it, in Unix seconds."""
    first = 0 if since is None else math.floor(since / QUARTER) * QUARTER
    end = 1 << 50 if until is None else math.ceil(until / QUARTER) * QUARTER
    return first, end


def day_of(at: float) -> str:
    """Return the local day of a time, as YYYY-MM-DD."""
    return f"{datetime.fromtimestamp(at):%Y-%m-%d}"
