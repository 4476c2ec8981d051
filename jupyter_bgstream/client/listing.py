"""Jobs as a table, for ``%bg``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.machine import Status
from .costs import usd
from .forms import JobForm
from .grid import grid

_SHORT = 8  # characters of an id; any unique beginning will do to name a job
_ROW = re.compile(r"(?:-\d+)?-r\d+$")  # with which the ids of a batch's rows end, which all begin alike
_WORDS = 48  # characters of a title
_HEADINGS = ("id", "state", "model", "prompt", "time", "tokens", "cost")
_NUMBERS = 4  # from this column on


def is_meant(which: str, id: str) -> bool:
    """Whether somebody who writes this may mean the job of this id: it is its beginning, or what is shown of it."""
    return bool(which) and (id.startswith(which) or short(id) == which)


def table(jobs: Sequence[JobForm], now: float) -> dict[str, str]:
    """Return the display bundle of a table, newest first as given; ``now`` is in Unix seconds."""
    if not jobs:
        empty = "No jobs yet."
        return {"text/plain": empty, "text/html": f"<p>{empty}</p>"}
    return grid(_HEADINGS, [_row(job, now) for job in jobs], numbers=_NUMBERS, code=True)


def short(job_id: str) -> str:
    """Return what names a job among the newest."""
    row = _ROW.search(job_id, _SHORT)
    return job_id[:_SHORT] + (row[0] if row else "")


def duration(seconds: float) -> str:
    """Write a duration as a person would: 4 s, 2 min 05 s, 3 h 07 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def state(status: Status, not_before: float | None, now: float) -> str:
    """Write a state, and of a job that waits how long until its next try."""
    return f"{status} {duration(not_before - now)}" if not_before is not None and not_before > now else status


def _row(job: JobForm, now: float) -> tuple[str, ...]:
    elapsed = duration((job.ended_at or now) - job.started_at) if job.started_at else ""
    tokens = job.usage.get("output_tokens") if job.usage else None
    words = job.title if len(job.title) <= _WORDS else job.title[: _WORDS - 1].rstrip() + "…"
    said = state(job.status, job.not_before, now)
    cost = usd(job.cost.usd, estimated=job.cost.estimated) if job.cost else ""
    return short(job.id), said, job.model, words, elapsed, "" if tokens is None else f"{tokens:,}", cost
