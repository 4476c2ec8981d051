"""Which job a user means, and which are this notebook's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ...core.schemas import JobInfo
from ..job_handle import Job
from ..job_list import Comparison, Jobs
from ..job_table import short
from ..session import State, held, list_jobs
from ..session import job as find
from ..source import origin
from .errors import MagicError

_SEARCHED = 500  # newest jobs of a state
UNFINISHED: tuple[State, ...] = ("queued", "running", "waiting")


def named(which: str, variables: dict[str, Any]) -> list[Job]:
    """Return the job of an id, of its beginning, or of a variable, which may hold several; raises as ``job`` does."""
    value = variables.get(which)
    if isinstance(value, Job):
        return [value]
    if isinstance(value, Comparison | Jobs):
        return list(value)
    tables = sys.modules.get("jupyter_bgstream.client.batch")
    if tables is not None and isinstance(value, tables.Batch):  # and no job whose id happens to begin like that
        raise MagicError(f"{which} is a batch: {which}.wait(), .cancel(), .retry() and .resume() are for all of it.")
    return [find(which)]


def one(which: str, variables: dict[str, Any]) -> Job:
    """Return the one job that is meant; raises MagicError, or as ``job`` does."""
    jobs = named(which, variables)
    if not jobs:
        raise MagicError(f"{which} holds no jobs.")
    if len(jobs) != 1:
        raise MagicError(f"{which} holds {len(jobs)} jobs: name one of them, such as {short(jobs[0].id)}.")
    return jobs[0]


def kernel_id() -> str | None:
    """Return the id of the kernel that this is, or None outside of one."""
    return (origin() or {}).get("kernel")


def unfinished(started: Sequence[Job]) -> list[Job]:
    """Return the jobs of this kernel that go on, and those of ``started``, oldest first."""
    kernel = kernel_id()
    ours = {job.id for job in started}
    going = [info for status in UNFINISHED for info in list_jobs(status=status, limit=_SEARCHED)]
    chosen = {info.id: info for info in going if info.id in ours or _is_of(info, kernel)}
    return [held(info) for info in sorted(chosen.values(), key=lambda info: info.created_at)]


def _is_of(info: JobInfo, kernel: str | None) -> bool:
    return kernel is not None and info.source.kernel == kernel
