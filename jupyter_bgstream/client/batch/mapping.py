"""Ask the same of every row of a table: ``map``, and ``batch``, which finds one again."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...core.costs import Price
from ...core.errors import BgStreamError, InvalidRequestError, NotFoundError
from ...core.job import OnRestart, Priority, Retries
from ...core.schemas import BatchInfo
from ..default_connection import default_background
from ..session import check_options
from ..source import origin
from .estimate import Estimate, tokens_in, tokens_of
from .handle import Batch
from .identity import asked_again, content_id, job_id
from .json_schema import Schema
from .prompts import Prompt, Requests
from .table import read_rows
from .upload import Upload, bodies

if TYPE_CHECKING:
    from ..api import Api

CONCURRENCY = 10  # rows at a time
TITLE = 80  # characters
GAP = 2  # batches of the same content that may be missing before the next
_SLICE = 0.2  # seconds; Windows delivers Ctrl-C only between two waits


def map(
    table: Any,
    prompt: Prompt,
    *,
    model: str | None = None,
    schema: Any = None,
    system: str | None = None,
    images: Any = None,
    params: Mapping[str, Any] | None = None,
    concurrency: int | None = CONCURRENCY,
    name: str | None = None,
    tags: Sequence[str] = (),
    fresh: bool = False,
    dry_run: bool = False,
    priority: Priority = "batch",
    on_restart: OnRestart = "retry",
    retries: Retries = "before_first_token",
    idle_timeout: float | None = None,
) -> Any:
    """Ask the same of every row of a table, as one batch on the server, and return its handle.

    ``table`` is a DataFrame or Series of pandas or polars, a list of dicts, or anything to iterate over, of which each
    item is then ``{row}``; at most 1,000,000 rows. ``prompt`` is a text with columns in braces, ``"Classify: {text}"``
    (``{{`` and ``}}`` are braces, ``{price:.2f}``, ``{meta[size]}`` and ``{when.year}`` look into a value), or a
    function that makes a text or a list of messages of a row. ``images`` is the name of a column of pictures, or a
    function of a row; ``schema`` a JSON schema that every answer must follow, or a class of pydantic, a msgspec.Struct
    or a dataclass; ``model``, ``system``, ``params``, ``tags``, ``priority``, ``idle_timeout`` are as of ``submit``.

    At most ``concurrency`` rows are asked at a time (None: as many as the server lets). Rows that were running when the
    server died are asked again unless ``on_restart`` is ``interrupt``. A row whose answer broke off may have been paid
    for, so it is asked again only by ``retry``, or with ``retries="always"``.

    The same rows, prompt, model and parameters are the same batch, also in another kernel or after a restart: what was
    answered is not asked, nor paid, again. ``fresh=True`` asks all rows again. ``dry_run=True`` asks nothing and
    returns an Estimate of the tokens and the cost. Raises InvalidRequestError before anything is sent, for a column
    that is not there or has gaps and the like, QueueFullError, UnavailableError, or ServerNotFoundError and its kin.

    >>> reviews = [{"text": "Good."}, {"text": "Too small."}]
    >>> bg.map(reviews, "Judge: {text}", model="demo/echo").wait().frame()
    [{'text': 'Good.', 'answer': '...Judge: Good...', 'status': 'completed', 'error': None}, {'text': ...}]
    >>> bg.map(reviews, "Judge: {text}", model="demo/echo").counts["completed"]
    Picked up batch map-...: 2 of 2 rows are answered already; nothing is asked twice. fresh=True asks all again.
    2
    >>> bg.map(reviews, "Translate: {text}", model="demo/echo", dry_run=True).rows
    2
    """
    try:
        return _mapped(
            table,
            prompt,
            model=model,
            schema=schema,
            system=system,
            images=images,
            params=params,
            concurrency=concurrency,
            name=name,
            tags=tags,
            fresh=fresh,
            dry_run=dry_run,
            priority=priority,
            on_restart=on_restart,
            retries=retries,
            idle_timeout=idle_timeout,
        )
    except BgStreamError as error:
        raise error.with_traceback(None) from None  # it is about what was given, not about how it was looked at


def batch(id: str) -> Batch:
    """Find a batch by its id, from any kernel; raises NotFoundError.

    Without its table the rows are numbers. ``map`` with the same table finds it as well.

    >>> asked = bg.map(["Mars", "Venus"], "What is {row}?", model="demo/echo")
    >>> bg.batch(asked.id).wait().frame()[1]
    {'row': 1, 'answer': '...What is Venus?...', 'status': 'completed', 'error': None}
    """
    info = default_background.run(lambda api: api.group(id))
    return Batch(info, default_background, schema=default_background.run(lambda api: _schema_of(api, info)))


def _mapped(
    table: Any,
    prompt: Prompt,
    *,
    model: str | None,
    schema: Any,
    system: str | None,
    images: Any,
    params: Mapping[str, Any] | None,
    concurrency: int | None,
    name: str | None,
    tags: Sequence[str],
    fresh: bool,
    dry_run: bool,
    priority: Priority,
    on_restart: OnRestart,
    retries: Retries,
    idle_timeout: float | None,
) -> Any:
    check_options(params, tags)
    rows = read_rows(table)
    requests = Requests(rows, prompt, system=system, images=images)
    checked = None if schema is None else Schema(schema)
    asked_params = _params(params, checked)
    if concurrency is not None and (not isinstance(concurrency, int) or not 1 <= concurrency <= 1000):
        raise InvalidRequestError("concurrency is a number from 1 to 1,000, or None.", field="concurrency")
    full = default_background.run(lambda api: api.price(model)).model
    there, batch_id = default_background.run(_finding(content_id(full, asked_params, requests), fresh=fresh))
    if dry_run:
        return _estimated(full, asked_params, requests, there)
    announced = {
        "id": batch_id,
        "total": len(rows),
        "title": (name or _title(prompt))[:200],
        "source": origin() or {},
        "concurrency": concurrency,
    }
    common = {
        "model": full,
        "params": asked_params,
        "tags": list(tags),
        "priority": priority,
        "on_restart": on_restart,
        "retries": retries,
        "idle_timeout": idle_timeout,
    }
    if there is not None:
        print(_picked_up(there, len(rows)))  # noqa: T201 - beside the batch in the cell
        if there.ended or (there.submitted >= len(rows) and there.concurrency == concurrency):
            found = Batch(there, default_background, rows=rows, schema=checked)
            found._show()
            return found
    return _sent(announced, common, requests if there is None or there.submitted < len(rows) else (), rows, checked)


def _sent(announced: Mapping[str, Any], common: Mapping[str, Any], requests: Any, rows: Any, schema: Any) -> Batch:
    given = {name: value for name, value in common.items() if value not in (None, [], {})}
    sending = Upload(bodies(announced, given, requests))
    future = default_background.start(sending.run)
    try:
        while not (future.done() or sending.begun.wait(_SLICE)):
            pass
        if sending.info is None:
            future.result()  # refused
        assert sending.info is not None  # a part was taken
        made = Batch(sending.info, default_background, rows=rows, schema=schema)
        made._show()
        while not (future.done() or sending.stalled.is_set()):
            concurrent.futures.wait((future,), timeout=_SLICE)
        if future.done():
            made._info = future.result()
    except KeyboardInterrupt:
        future.cancel()
        words = "Not all rows were submitted. What was goes on; run the cell again for the rest."
        print(words)  # noqa: T201
        raise
    if not future.done():
        made._sending = (sending, future)
        info = sending.info
        print(  # noqa: T201
            f"The server's queue is full: {info.submitted:,} of {info.total:,} rows are submitted, the rest follows"
            " from this kernel as there is room. Should the kernel stop, run the cell again."
        )
    return made


def _finding(content: str, *, fresh: bool) -> Any:
    async def find(api: Api) -> tuple[BatchInfo | None, str]:
        # What was asked afresh has the content of the first, and a number: the newest is the one that is meant. The
        # oldest may have been deleted, by retention or by hand.
        found: list[tuple[float, int, BatchInfo]] = []
        missing = times = 0
        while missing < GAP:
            try:
                info = await api.group(asked_again(content, times))
            except NotFoundError:
                missing += 1
            else:
                found.append((info.created_at, times, info))
                missing = 0
            times += 1
        _, last, newest = max(found, default=(0.0, -1, None))
        return (None, asked_again(content, last + 1)) if fresh or newest is None else (newest, newest.id)

    return find


def _params(params: Mapping[str, Any] | None, schema: Schema | None) -> dict[str, Any]:
    if schema is None:
        return dict(params or {})
    if params and "schema" in params:
        raise InvalidRequestError("There is a schema in params as well; give it once, as schema.", field="schema")
    return {**(params or {}), "schema": schema.json}


def _title(prompt: Prompt) -> str:
    words = " ".join(prompt.split()) if isinstance(prompt, str) else getattr(prompt, "__name__", "").strip("<>")
    return words if len(words) <= TITLE else words[: TITLE - 1].rstrip() + "…"


def _picked_up(info: BatchInfo, rows: int) -> str:
    words = [
        f"Picked up batch {info.id} of {_when(info.created_at)}: {info.counts.completed:,} of {rows:,} rows are"
        " answered already; nothing is asked twice."
    ]
    again = info.counts.ended - info.counts.completed
    if info.ended and info.submitted < rows:
        words.append(f"It was cancelled when {info.submitted:,} rows were submitted.")
    if info.paused is not None:
        words.append(f"It is paused ({info.paused.message}): resume() goes on with what is left.")
    if info.ended and again:
        words.append(f"{again:,} {'has' if again == 1 else 'have'} no whole answer: retry() asks these again.")
    return "\n".join([*words, "fresh=True asks all again."])


def _when(at: float) -> str:
    pattern = "%H:%M:%S" if time.strftime("%Y-%m-%d") == f"{datetime.fromtimestamp(at):%Y-%m-%d}" else "%Y-%m-%d %H:%M"
    return f"{datetime.fromtimestamp(at):{pattern}}"


def _estimated(model: str, params: Mapping[str, Any], requests: Requests, there: BatchInfo | None) -> Estimate:
    answered = 0 if there is None else there.counts.completed
    asked = max(0, len(requests) - answered)
    schema = tokens_in(str(params["schema"])) if "schema" in params else 0.0
    average = tokens_of(requests) / len(requests) + schema
    limit = params.get("max_tokens")
    limit = limit if isinstance(limit, int) and limit > 0 else None
    price: Price = default_background.run(
        lambda api: api.price(model, input_tokens=max(1, round(average)), output_tokens=limit or 0)
    )
    return Estimate(
        model=model,
        rows=len(requests),
        answered=answered,
        input_tokens=round(average * asked),
        input_usd=None if price.input_usd is None else price.input_usd * asked,
        output_tokens=None if limit is None else limit * asked,
        output_usd=None if limit is None or price.output_usd is None else price.output_usd * asked,
    )


async def _schema_of(api: Api, info: BatchInfo) -> Schema | None:
    # What the rows were asked for, from the first that is there.
    try:
        asked = ((await api.detail(job_id(info.id, 0))).params or {}).get("schema")
    except NotFoundError:
        return None
    return Schema(asked) if isinstance(asked, dict) else None
