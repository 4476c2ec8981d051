"""Resolve job references (id, prefix of an id, variable), and list the unfinished jobs of this kernel."""

import sys
from collections.abc import Sequence
from typing import Any

from ...core.schemas.jobs import JobInfo
from ..job_handle import Job
from ..job_list import Comparison, Jobs
from ..job_source import job_source
from ..job_table import short
from ..jobs_api import State, job_handle, list_jobs
from ..jobs_api import job as find
from .errors import MagicError

_SEARCHED = 500  # newest jobs of a status
UNFINISHED: tuple[State, ...] = ("queued", "running", "waiting")


def resolve(ref: str, variables: dict[str, Any]) -> list[Job]:
    """Return the jobs of a variable, or the job of an id or a prefix of it.

    Raises:
        MagicError: the variable is a batch.
        NotFoundError: no job matches.
        InvalidRequestError: several jobs match.

    """
    value = variables.get(ref)
    if isinstance(value, Job):
        return [value]
    if isinstance(value, Comparison | Jobs):
        return list(value)
    batches = sys.modules.get("jupyter_bgstream.client.batch")
    if batches is not None and isinstance(value, batches.Batch):  # not a job whose id begins like the variable
        raise MagicError(f"{ref} is a batch. Use {ref}.wait(), .cancel(), .retry() or .resume().")
    return [find(ref)]


def resolve_one(ref: str, variables: dict[str, Any]) -> Job:
    """Return exactly one job, as ``resolve`` does; raises MagicError if the variable has none or several."""
    jobs = resolve(ref, variables)
    if not jobs:
        raise MagicError(f"{ref} has no jobs.")
    if len(jobs) != 1:
        raise MagicError(f"{ref} has {len(jobs)} jobs. Name one of them, such as {short(jobs[0].id)}.")
    return jobs[0]


def kernel_id() -> str | None:
    """Return the id of this kernel, or None outside a kernel."""
    return (job_source() or {}).get("kernel")


def unfinished(started: Sequence[Job]) -> list[Job]:
    """Return the unfinished jobs of this kernel and of ``started``, oldest first."""
    kernel = kernel_id()
    ids = {job.id for job in started}
    found = [info for status in UNFINISHED for info in list_jobs(status=status, limit=_SEARCHED)]
    chosen = {info.id: info for info in found if info.id in ids or _is_of(info, kernel)}
    return [job_handle(info) for info in sorted(chosen.values(), key=lambda info: info.created_at)]


def _is_of(info: JobInfo, kernel: str | None) -> bool:
    return kernel is not None and info.source.kernel == kernel
