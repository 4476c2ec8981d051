"""Jobs as a table, for ``%bg``."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ..core.batch_pause import Paused
from ..core.schemas.jobs import JobInfo
from .costs import usd
from .status_labels import PAUSED, status_label
from .text_table import cut, grid

_SHORT = 8  # characters of an id; any unique prefix identifies a job
_ROW = re.compile(r"(?:-\d+)?-r\d+$")  # suffix of the ids of a batch's rows, whose prefixes are all the same
_WORDS = 48  # characters of a title
_NAME = 24  # characters of a person's name
_TEXTS = ("id", "status", "model", "prompt")
_NUMBERS = ("time", "tokens", "cost")
NO_PAUSES: Mapping[str, Paused] = MappingProxyType({})


def matches_ref(ref: str, job_id: str) -> bool:
    """Return True if ``ref`` is a prefix or the short form of ``job_id``."""
    return bool(ref) and (job_id.startswith(ref) or short(job_id) == ref)


def table(jobs: Sequence[JobInfo], now: float, *, paused: Mapping[str, Paused] = NO_PAUSES) -> dict[str, str]:
    """Return the display bundle of a table of jobs.

    Args:
        jobs: rows, newest first.
        now: Unix seconds.
        paused: pauses by id of the batch; the reasons are below the table.

    """
    # Only a shared server has named users; otherwise the column would be empty.
    named = any(job.submitted_by for job in jobs)
    texts = (*_TEXTS, "by") if named else _TEXTS
    rows = [_row(job, now, named=named, paused=job.batch in paused) for job in jobs]
    notes = [_note(batch_id, pause) for batch_id, pause in paused.items()]
    headings = (*texts, *_NUMBERS)
    return grid(headings, rows, numbers=len(texts), code=True, notes=notes, empty="No jobs yet.")


def short(job_id: str) -> str:
    """Return the short form of an id, which identifies a job among the newest."""
    row = _ROW.search(job_id, _SHORT)
    return job_id[:_SHORT] + (row[0] if row else "")


def duration(seconds: float) -> str:
    """Format a duration: 4 s, 2 min 05 s, 3 h 07 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def with_delay(status: str, not_before: float | None, now: float) -> str:
    """Return a status or its label, with the time until the next attempt of a waiting job."""
    return f"{status} {duration(not_before - now)}" if not_before is not None and not_before > now else status


def _note(batch_id: str, pause: Paused) -> str:
    return (
        f"Batch {batch_id} is paused ({pause.code}): {pause.message} Call jupyter_bgstream.batch({batch_id!r}).resume()"
        " to continue, or .retry() to retry failed rows as well."
    )


def _row(job: JobInfo, now: float, *, named: bool, paused: bool) -> tuple[str, ...]:
    elapsed = duration((job.ended_at or now) - job.started_at) if job.started_at else ""
    tokens = job.usage.get("output_tokens") if job.usage else None
    is_paused = paused and job.status in ("queued", "waiting")
    label = PAUSED if is_paused else with_delay(status_label(job.status, job.finish_reason), job.not_before, now)
    cost = usd(job.cost.usd, estimated=job.cost.estimated) if job.cost else ""
    texts = (short(job.id), label, job.model, cut(job.title, _WORDS))
    name = (cut(job.submitted_by or "", _NAME),) if named else ()
    return *texts, *name, elapsed, "" if tokens is None else f"{tokens:,}", cost
