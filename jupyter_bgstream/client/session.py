"""Submit jobs and find them again, from a kernel, a script or a thread."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..core.costs import By
from ..core.errors import InvalidRequestError, NotFoundError
from ..core.job import OnRestart, Priority, Retries
from ..core.pauses import Paused
from ..core.schemas import BatchInfo, JobInfo, Mute
from .costs import Costs
from .default_connection import default_background
from .job_handle import Job
from .job_list import Jobs
from .job_table import is_meant
from .model_table import Models
from .prompt_body import request_of
from .source import origin

if TYPE_CHECKING:
    from .api import Api

T = TypeVar("T")

State = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"]

_SEARCHED = 500  # newest jobs among which the beginning of an id is looked up


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
    group: str | None = None,
    priority: Priority | None = None,
    on_restart: OnRestart | None = None,
    retries: Retries | None = None,
    idle_timeout: float | None = None,
    id: str | None = None,
) -> Job:
    """Start a job on the server and return its handle at once.

    ``prompt`` is a text or a list of ``{"role", "content"}``, where a content is a text or a list of texts, images and
    files. ``images`` go with a text: paths, bytes of files, matplotlib figures, PIL images, or a single one of these;
    so do ``files``: paths of PDF, text or audio files, or ``File``.
    ``system`` is what the model is told beforehand; ``model`` is ``provider/name``, else the server's default;
    ``params`` go to the provider, and ``max_tokens``, ``temperature``, ``top_p``, ``stop``, ``seed``,
    ``reasoning_effort`` and ``schema`` are so called for every one; ``thread`` names a conversation to go on with.
    ``on_restart`` (``interrupt`` or ``retry``) is what becomes of it when its server dies; ``retries``
    (``before_first_token``, ``always`` or ``never``) when a try that failed is made again; ``idle_timeout`` (1-3600)
    the seconds for which the provider may be silent. A job submitted twice with one ``id`` is one job. Raises
    InvalidRequestError, ConflictError, QueueFullError (with ``retry_after``, in seconds), UnavailableError, or
    ServerNotFoundError and its kin.

    >>> bg.submit("Say hello.", model="demo/echo").result()
    '...Say hello...'
    >>> said = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hi!"}]
    >>> bg.submit([*said, {"role": "user", "content": "Bye."}], model="demo/echo", params={"speed": 10})
    <Job ... demo/echo queued>
    """
    check_options(params, tags)
    request = {
        "id": id or secrets.token_hex(10),
        **request_of(prompt, images=images, files=files, system=system),
        "model": model,
        "params": dict(params) if params else None,
        "thread": thread,
        "title": title,
        "tags": list(tags) or None,
        "group": group,
        "priority": priority,
        "on_restart": on_restart,
        "retries": retries,
        "idle_timeout": idle_timeout,
        "source": origin(),
    }
    given = {name: value for name, value in request.items() if value is not None}
    return held(default_background.run(lambda api: api.submit(given)))


def check_options(params: Any, tags: Any) -> None:
    """Raise InvalidRequestError for what would be taken for something else, or end in a traceback."""
    if params is not None and not isinstance(params, Mapping):
        raise InvalidRequestError(f"params is a dict, not a {type(params).__name__}.", field="params")
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise InvalidRequestError(
            f'tags is a list of texts: write tags=["…"], not a {type(tags).__name__}.', field="tags"
        )


def job(id: str) -> Job:
    """Find a job by its id, or by what tables show of it.

    The beginning of an id is looked up among the newest 500 jobs. Raises NotFoundError, or InvalidRequestError if
    several jobs match.

    >>> asked = bg.submit("Say hello.", model="demo/echo")
    >>> bg.job(asked.id) == bg.job(asked.id[:8]) == asked
    True
    """
    try:
        return held(default_background.run(lambda api: api.job(id)))
    except NotFoundError:
        found = [info for info in list_jobs(limit=_SEARCHED) if is_meant(id, info.id)]
        if not found:
            raise
    if len(found) > 1:
        raise InvalidRequestError(f"{len(found)} jobs begin with {id}: give more of the id.", field="id")
    return held(found[0])


def jobs(
    *,
    status: State | None = None,
    thread: str | None = None,
    notebook: str | None = None,
    group: str | None = None,
    submitted_by: str | None = None,
    tag: str | None = None,
    limit: int = 50,
) -> Jobs:
    """List the newest jobs, newest first, at most ``limit`` (1-500). It shows itself as a table.

    ``submitted_by`` is a person's name, on a server that names people.

    >>> asked = bg.submit("Say hello.", model="demo/echo", thread="greetings").wait()
    >>> bg.jobs(thread="greetings", status="completed")
    id        state      model      prompt      time  tokens...
    >>> [job.title for job in bg.jobs(thread="greetings")]
    ['Say hello.']
    """
    query = {
        "status": status,
        "thread": thread,
        "notebook": notebook,
        "group": group,
        "submitted_by": submitted_by,
        "tag": tag,
    }
    return Jobs(held(info) for info in list_jobs(limit=limit, **query))


def costs(by: By = "day", *, since: datetime | float | None = None, until: datetime | float | None = None) -> Costs:
    """Add up what jobs cost, as a table: ``by`` day, model, thread, notebook, group or submitted_by.

    Each row has ``key``, ``jobs``, ``input_tokens``, ``output_tokens``, ``usd`` and ``estimated``; what is not known is
    None. Of the jobs submitted in that time (a datetime, or Unix seconds), to the quarter of an hour. Days are the
    server's, the newest first; all else begins with what cost most.

    >>> for spent in bg.costs("model"):
    ...     print(spent.key, spent.output_tokens)
    demo/echo ...
    """
    query: dict[str, str | int | None] = {"by": by, "since": _seconds(since), "until": _seconds(until)}
    return Costs(default_background.run(lambda api: api.costs(**query)).costs, by)


def _seconds(when: datetime | float | None) -> int | None:
    return None if when is None else int(when.timestamp() if isinstance(when, datetime) else when)


def models(provider: str | None = None, *, refresh: bool = False) -> Models:
    """Return what can be asked right now, of one provider or of all, and why the rest cannot.

    The server remembers what providers said for a minute; ``refresh`` asks them again. Raises InvalidRequestError for a
    provider that there is not.

    >>> bg.models("demo").names
    ['demo/...', 'demo/...', 'demo/...', 'demo/...']
    """
    info = default_background.run(lambda api: api.models(refresh=refresh))
    names = [each.name for each in info.providers]
    if provider is not None and provider not in names:
        raise InvalidRequestError(f"There is no provider {provider!r}; there are {', '.join(names)}.", field="provider")
    return Models(info, provider)


def held(info: JobInfo) -> Job:
    """Return the handle of a job that the server has described."""
    return Job(info, default_background)


def later(ask: Callable[[Api], Coroutine[Any, Any, T]]) -> Future[T]:
    """Ask the server without waiting for it here."""
    return default_background.start(ask)


def notebook_of(kernel_id: str) -> str | None:
    """Ask where a kernel's notebook is, as a path below the server's root."""
    return default_background.run(lambda api: api.kernel(kernel_id)).notebook


def mutes() -> list[Mute]:
    """Ask which notebooks and threads make no notices."""
    return default_background.run(lambda api: api.mutes())


def mute(what: Mute, *, on: bool) -> None:
    """Mute a notebook or a thread, or call again for it."""
    default_background.run(lambda api: api.mute(what, on=on))


def list_jobs(*, limit: int, **query: str | None) -> list[JobInfo]:
    """List the newest jobs as the server describes them, in one request."""
    return default_background.run(lambda api: api.jobs(limit=limit, **query)).jobs


def paused_groups(jobs: Iterable[JobInfo]) -> dict[str, Paused]:
    """Ask which groups of these jobs are paused, and why; only jobs that do not run can be held up by it."""
    groups = {job.group for job in jobs if job.group is not None and job.status in ("queued", "waiting")}

    async def ask(api: Api) -> dict[str, Paused]:
        infos = await asyncio.gather(*map(api.group, groups), return_exceptions=True)
        # Not every group was announced, and one may be gone by now: such a one is not paused.
        return {info.id: info.paused for info in infos if isinstance(info, BatchInfo) and info.paused is not None}

    return default_background.run(ask) if groups else {}
