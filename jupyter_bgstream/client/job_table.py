"""Jobs as a table, for ``%bg``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType

from ..core.pauses import Paused
from ..core.schemas import JobInfo
from ..core.state import Status
from ..core.terminal_text import visible_line
from .costs import usd
from .text_table import grid

_SHORT = 8  # characters of an id; any unique beginning will do to name a job
_ROW = re.compile(r"(?:-\d+)?-r\d+$")  # with which the ids of a batch's rows end, which all begin alike
_WORDS = 48  # characters of a title
_NAME = 24  # characters of a person's name
_TEXTS = ("id", "state", "model", "prompt")
_NUMBERS = ("time", "tokens", "cost")
NO_PAUSES: Mapping[str, Paused] = MappingProxyType({})


def is_meant(which: str, id: str) -> bool:
    """Whether somebody who writes this may mean the job of this id: it is its beginning, or what is shown of it."""
    return bool(which) and (id.startswith(which) or short(id) == which)


def table(jobs: Sequence[JobInfo], now: float, *, paused: Mapping[str, Paused] = NO_PAUSES) -> dict[str, str]:
    """Return the display bundle of a table, newest first as given.

    ``now`` is in Unix seconds. ``paused`` are the groups that are paused: below the table is why.
    """
    if not jobs:
        empty = "No jobs yet."
        return {"text/plain": empty, "text/html": f"<p>{empty}</p>"}
    # Only a shared server names people: elsewhere the column would be empty.
    named = any(job.submitted_by for job in jobs)
    texts = (*_TEXTS, "by") if named else _TEXTS
    rows = [_row(job, now, named=named, paused=job.group in paused) for job in jobs]
    shown = grid((*texts, *_NUMBERS), rows, numbers=len(texts), code=True)
    notes = [_note(group, why) for group, why in paused.items()]
    return {
        "text/plain": "\n".join([shown["text/plain"], *map(visible_line, notes)]),
        "text/html": shown["text/html"] + "".join(f"<p>{escape(note)}</p>" for note in notes),
    }


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


def _note(group: str, why: Paused) -> str:
    return (
        f"Batch {group} is paused ({why.code}): {why.message} Go on with jupyter_bgstream.batch({group!r}).resume(),"
        " or .retry() to ask again what has failed."
    )


def _row(job: JobInfo, now: float, *, named: bool, paused: bool) -> tuple[str, ...]:
    elapsed = duration((job.ended_at or now) - job.started_at) if job.started_at else ""
    tokens = job.usage.get("output_tokens") if job.usage else None
    held = paused and job.status in ("queued", "waiting")
    said = "paused" if held else state(job.status, job.not_before, now)
    cost = usd(job.cost.usd, estimated=job.cost.estimated) if job.cost else ""
    texts = (short(job.id), said, job.model, _cut(job.title, _WORDS))
    name = (_cut(job.submitted_by or "", _NAME),) if named else ()
    return *texts, *name, elapsed, "" if tokens is None else f"{tokens:,}", cost


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
