"""Functions of the Python API: submit and find jobs, list models and costs, mute notices."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ..core.batch_pause import Paused
from ..core.costs import By
from ..core.errors import InvalidRequestError, NotFoundError
from ..core.job import OnRestart, Priority, RetryPolicy
from ..core.notices import Mute
from ..core.schemas.batches import BatchInfo
from ..core.schemas.jobs import JobInfo
from .costs import Costs
from .default_connection import default_background
from .job_handle import Job
from .job_list import Jobs
from .job_options import JobOptions
from .job_source import job_source
from .job_table import matches_ref
from .model_table import Models
from .prompt_body import request_of

if TYPE_CHECKING:
    from .rest_client import Api

State = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"]

_SEARCHED = 500  # newest jobs in which a prefix of an id is looked up


def submit(
    prompt: str | Sequence[Mapping[str, Any]],
    *,
    images: Any = (),
    files: Any = (),
    system: str | None = None,
    model: str | None = None,
    params: Mapping[str, Any] | None = None,
    thread: str | None = None,
    title: str | None = None,
    tags: Sequence[str] = (),
    batch: str | None = None,
    priority: Priority | None = None,
    on_restart: OnRestart | None = None,
    retry_policy: RetryPolicy | None = None,
    idle_timeout: float | None = None,
    id: str | None = None,
) -> Job:
    """Submit a job to the server and return its handle at once.

    Submitting two jobs with the same ``id`` is one job.

    Args:
        prompt: a text, or a list of messages ``{"role", "content"}``, where content is a text or a list of texts,
            images and files.
        images: one image or a list: paths, bytes of image files, matplotlib figures, PIL images.
        files: one file or a list: paths of PDF, text or audio files, or ``File``.
        system: system prompt.
        model: ``provider/name`` or an alias; default: the server's default model.
        params: parameters for the provider. ``max_tokens``, ``temperature``, ``top_p``, ``stop``, ``seed``,
            ``reasoning_effort`` and ``schema`` have these names for every provider.
        thread: name of the thread that the job continues.
        title: title in lists and notices; default: the beginning of the prompt.
        tags: words to find the job by.
        batch: id of a batch that the job belongs to.
        priority: ``interactive`` (default), or ``bulk``, which runs after all interactive jobs.
        on_restart: what happens when the server dies: ``interrupt`` (default) or ``retry``.
        retry_policy: when a failed attempt is repeated: ``before_first_token`` (default), ``always`` or ``never``.
        idle_timeout: seconds without data from the provider until an attempt fails, 1 to 3600.
        id: id of the job; default: a random id.

    Raises:
        InvalidRequestError: the request is not valid.
        ConflictError: another job has this id.
        QueueFullError: the server's queue is full; ``retry_after`` is in seconds.
        UnavailableError: the server cannot run jobs.
        ServerConnectionError: no server was found, or it does not answer.

    >>> bg.submit("Say hello.", model="demo/echo").result()
    '...Say hello...'
    >>> history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hi!"}]
    >>> bg.submit([*history, {"role": "user", "content": "Bye."}], model="demo/echo", params={"speed": 10})
    <Job ... demo/echo queued>
    """
    options = JobOptions(
        model=model,
        params=params,
        tags=tags,
        priority=priority,
        on_restart=on_restart,
        retry_policy=retry_policy,
        idle_timeout=idle_timeout,
    )
    optional = {"thread": thread, "title": title, "batch": batch, "source": job_source()}
    request = {
        "id": id or secrets.token_hex(10),
        **request_of(prompt, images=images, files=files, system=system),
        **options.encoded(),
        **{name: value for name, value in optional.items() if value is not None},
    }
    return job_handle(default_background.run(lambda api: api.submit(request)))


def job(id: str) -> Job:
    """Find a job by its id, by a prefix of it, or by the short form in tables.

    A prefix is looked up in the newest 500 jobs.

    Raises:
        NotFoundError: no job matches.
        InvalidRequestError: several jobs match.

    >>> asked = bg.submit("Say hello.", model="demo/echo")
    >>> bg.job(asked.id) == bg.job(asked.id[:8]) == asked
    True
    """
    try:
        return job_handle(default_background.run(lambda api: api.job(id)))
    except NotFoundError:
        found = [info for info in list_jobs(limit=_SEARCHED) if matches_ref(id, info.id)]
        if not found:
            raise
    if len(found) > 1:
        raise InvalidRequestError(f"{len(found)} jobs begin with {id!r}. Use a longer prefix of the id.", field="id")
    return job_handle(found[0])


def jobs(
    *,
    status: State | None = None,
    thread: str | None = None,
    notebook: str | None = None,
    batch: str | None = None,
    submitted_by: str | None = None,
    tag: str | None = None,
    limit: int = 50,
) -> Jobs:
    """List the newest jobs, newest first; the list displays as a table.

    Args:
        status: only jobs with this status.
        thread: only jobs of the thread with this name.
        notebook: only jobs of the notebook with this path below the server's root.
        batch: only jobs of the batch with this id.
        submitted_by: only jobs of this user, on a server with named users.
        tag: only jobs with this tag.
        limit: at most so many jobs, 1 to 500.

    >>> asked = bg.submit("Say hello.", model="demo/echo", thread="greetings").wait()
    >>> bg.jobs(thread="greetings", status="completed")
    id        status      model      prompt      time  tokens...
    >>> [job.title for job in bg.jobs(thread="greetings")]
    ['Say hello.']
    """
    query = {
        "status": status,
        "thread": thread,
        "notebook": notebook,
        "batch": batch,
        "submitted_by": submitted_by,
        "tag": tag,
    }
    return Jobs(job_handle(info) for info in list_jobs(limit=limit, **query))


def costs(by: By = "day", *, since: datetime | float | None = None, until: datetime | float | None = None) -> Costs:
    """Return the summed costs of jobs, as a table.

    Days are in the server's time zone, newest first; all other tables begin with the highest cost.

    Args:
        by: ``day``, ``model``, ``thread``, ``notebook``, ``batch`` or ``submitted_by``.
        since: start of the time in which jobs were submitted: a datetime or Unix seconds, to a quarter of an hour.
        until: end of that time.

    Returns:
        Rows with ``key``, ``jobs``, ``input_tokens``, ``output_tokens``, ``usd`` and ``estimated``; values that are not
        known are None.

    >>> for row in bg.costs("model"):
    ...     print(row.key, row.output_tokens)
    demo/echo ...
    """
    query: dict[str, str | int | None] = {"by": by, "since": _seconds(since), "until": _seconds(until)}
    return Costs(default_background.run(lambda api: api.costs(**query)).costs, by)


def _seconds(when: datetime | float | None) -> int | None:
    return None if when is None else int(when.timestamp() if isinstance(when, datetime) else when)


def models(provider: str | None = None, *, refresh: bool = False) -> Models:
    """Return the models that are available now, and why other providers are not available.

    Args:
        provider: only models of this provider.
        refresh: ask the providers again; otherwise the server's answer may be a minute old.

    Raises:
        InvalidRequestError: unknown provider.

    >>> bg.models("demo").names
    ['demo/...', 'demo/...', 'demo/...', 'demo/...']
    """
    info = default_background.run(lambda api: api.models(refresh=refresh))
    names = [each.name for each in info.providers]
    if provider is not None and provider not in names:
        raise InvalidRequestError(
            f"Unknown provider {provider!r}. Known providers: {', '.join(names)}.", field="provider"
        )
    return Models(info, provider)


def job_handle(info: JobInfo) -> Job:
    """Return a handle of the job that ``info`` describes."""
    return Job(info, default_background)


def notebook_of(kernel_id: str) -> str | None:
    """Ask for the path of a kernel's notebook below the server's root."""
    return default_background.run(lambda api: api.kernel(kernel_id)).notebook


def mutes() -> list[Mute]:
    """Ask for the muted notebooks and threads."""
    return default_background.run(lambda api: api.mutes())


def mute(what: Mute, *, on: bool) -> None:
    """Mute or unmute a notebook or a thread."""
    default_background.run(lambda api: api.mute(what, on=on))


def list_jobs(*, limit: int, **query: str | None) -> list[JobInfo]:
    """Return the descriptions of the newest jobs, in one request."""
    return default_background.run(lambda api: api.jobs(limit=limit, **query)).jobs


def paused_batches(jobs: Iterable[JobInfo]) -> dict[str, Paused]:
    """Ask which batches of these jobs are paused, and why; a pause concerns only jobs that do not run."""
    batches = {job.batch for job in jobs if job.batch is not None and job.status in ("queued", "waiting")}

    async def read(api: Api) -> dict[str, Paused]:
        infos = await asyncio.gather(*map(api.batch, batches), return_exceptions=True)
        # A batch that was never announced, or has been deleted, is not paused.
        return {info.id: info.paused for info in infos if isinstance(info, BatchInfo) and info.paused is not None}

    return default_background.run(read) if batches else {}
