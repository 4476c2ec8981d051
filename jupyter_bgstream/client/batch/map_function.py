"""``map`` asks the same question for every row of a table; ``batch`` finds such a batch again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...core.errors import BgStreamError, NotFoundError
from ...core.job import OnRestart, Priority, RetryPolicy
from ...core.schemas.batches import BatchInfo
from ..default_connection import default_background
from ..job_options import JobOptions
from .content_ids import job_id
from .handle import Batch
from .json_schema import Schema
from .request import BatchRequest, check_concurrency, default_title, with_schema
from .row_prompts import Prompt, Requests
from .table import read_rows

if TYPE_CHECKING:
    from ..rest_client import Api

CONCURRENCY = 10  # rows that run at the same time
_TITLE = 200  # characters; the server takes no more


def map(
    table: Any,
    prompt: Prompt,
    *,
    model: str | None = None,
    schema: Any = None,
    system: str | None = None,
    images: Any = None,
    params: Mapping[str, Any] | None = None,
    max_concurrency: int | None = CONCURRENCY,
    title: str | None = None,
    tags: Sequence[str] = (),
    fresh: bool = False,
    dry_run: bool = False,
    priority: Priority = "bulk",
    on_restart: OnRestart = "retry",
    retry_policy: RetryPolicy = "before_first_token",
    idle_timeout: float | None = None,
) -> Any:
    """Ask the same question for every row of a table, as one batch on the server, and return its handle.

    The same rows, prompt, model and parameters are the same batch, also in another kernel or after a restart: rows that
    have been answered are not sent, or paid for, again. A row whose answer broke off may have been paid for. It is sent
    again only by ``retry``, or with ``retry_policy="always"``.

    Args:
        table: a DataFrame or Series of pandas or polars, a list of dicts, or any iterable, whose items are then
            ``{row}``; at most 1,000,000 rows.
        prompt: a text with columns in braces, such as ``"Classify: {text}"``, or a function that returns a text or a
            list of messages for a row. ``{price:.2f}``, ``{meta[size]}`` and ``{when.year}`` format or look into a
            value; ``{{`` and ``}}`` are braces.
        model: ``provider/name`` or an alias; default: the server's default model.
        schema: JSON schema that every answer must follow: a dict, a pydantic class, a ``msgspec.Struct``, a dataclass
            or a TypedDict.
        system: system prompt of every row.
        images: name of a column of images, a function of a row, or one image for all rows.
        params: parameters for the provider, as for ``submit``.
        max_concurrency: rows that run at the same time, 1 to 1,000; None: no limit other than the server's.
        title: title in lists and notices; default: the beginning of the prompt.
        tags: tags of every job.
        fresh: send all rows again as a new batch.
        dry_run: send nothing; return an ``Estimate`` of tokens and cost.
        priority: ``bulk`` runs after all ``interactive`` jobs.
        on_restart: what happens to running rows when the server dies: ``retry`` or ``interrupt``.
        retry_policy: when a failed attempt is repeated: ``before_first_token``, ``always`` or ``never``.
        idle_timeout: seconds without data from the provider until an attempt fails, 1 to 3600.

    Returns:
        A ``Batch``, or an ``Estimate`` if ``dry_run`` is set.

    Raises:
        InvalidRequestError: before anything is sent, for example for a column that is missing or has empty cells.
        QueueFullError: the server's queue is full.
        UnavailableError: the server cannot run jobs.
        ServerConnectionError: no server was found, or it does not answer.

    >>> reviews = [{"text": "Good."}, {"text": "Too small."}]
    >>> bg.map(reviews, "Judge: {text}", model="demo/echo").wait().to_frame()
    [{'text': 'Good.', 'answer': '...Judge: Good...', 'status': 'completed', 'error': None}, {'text': ...}]
    >>> bg.map(reviews, "Judge: {text}", model="demo/echo").counts["completed"]
    Found batch map-...: 2 of 2 rows have been answered and are not sent again. fresh=True sends all rows again.
    2
    >>> bg.map(reviews, "Translate: {text}", model="demo/echo", dry_run=True).rows
    2
    """
    try:
        options = JobOptions(
            model=model,
            params=params,
            tags=tags,
            priority=priority,
            on_restart=on_restart,
            retry_policy=retry_policy,
            idle_timeout=idle_timeout,
        )
        rows = read_rows(table)
        requests = Requests(rows, prompt, system=system, images=images)
        answers = None if schema is None else Schema(schema)
        request = BatchRequest(
            rows=rows,
            requests=requests,
            schema=answers,
            options=with_schema(options, answers),
            title=(title or default_title(prompt))[:_TITLE],
            max_concurrency=check_concurrency(max_concurrency),
        ).resolved()
        return request.estimate() if dry_run else request.submit(fresh=fresh)
    except BgStreamError as error:
        raise error.with_traceback(None) from None  # the caller's line is enough


def batch(id: str) -> Batch:
    """Find a batch by its id, from any kernel.

    Without the table the rows are numbers. ``map`` with the same table finds the batch as well.

    Raises:
        NotFoundError: there is no such batch.

    >>> asked = bg.map(["Mars", "Venus"], "What is {row}?", model="demo/echo")
    >>> bg.batch(asked.id).wait().to_frame()[1]
    {'row': 1, 'answer': '...What is Venus?...', 'status': 'completed', 'error': None}
    """
    info = default_background.run(lambda api: api.batch(id))
    return Batch(info, default_background, schema=default_background.run(lambda api: _read_schema(api, info)))


async def _read_schema(api: Api, info: BatchInfo) -> Schema | None:
    """Return the schema of the first row, which all rows have in common."""
    try:
        schema = ((await api.detail(job_id(info.id, 0))).params or {}).get("schema")
    except NotFoundError:
        return None
    return Schema(schema) if isinstance(schema, dict) else None
