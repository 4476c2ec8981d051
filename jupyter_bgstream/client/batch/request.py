"""Request for a batch: find the batch of the same content, estimate it, or submit its rows."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.errors import InvalidRequestError, NotFoundError
from ...core.schemas.batches import BatchInfo
from ..default_connection import default_background
from ..job_options import JobOptions
from ..job_source import job_source
from ..text_table import cut
from .content_ids import content_id, numbered_id
from .estimate import Estimate, tokens_in, tokens_of
from .handle import Batch
from .json_schema import Schema
from .row_prompts import Prompt, Requests
from .table import Rows
from .upload import Upload, bodies

if TYPE_CHECKING:
    from ..rest_client import Api

MAX_CONCURRENCY = 1000  # rows
DEFAULT_TITLE = 80  # characters of the prompt
GAP = 2  # batches of the same content that may be missing before the next one
_SLICE = 0.2  # seconds; Windows delivers Ctrl-C only between two waits


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Question for every row of a table, validated."""

    rows: Rows
    requests: Requests
    schema: Schema | None  # of the answers
    options: JobOptions  # of every job; its params include the schema
    title: str
    max_concurrency: int | None

    def resolved(self) -> BatchRequest:
        """Return the request with the full name of its model instead of an alias or the default."""
        price = default_background.run(lambda api: api.price(self.options.model))
        return msgspec.structs.replace(self, options=msgspec.structs.replace(self.options, model=price.model))

    def estimate(self) -> Estimate:
        """Return the expected tokens and cost of the rows that have not been answered; sends nothing."""
        existing, _ = self._find(fresh=False)
        answered = 0 if existing is None else existing.counts.completed
        unanswered = max(0, len(self.rows) - answered)
        params = self.options.params or {}
        schema = tokens_in(str(params["schema"])) if "schema" in params else 0.0
        average = tokens_of(self.requests) / len(self.rows) + schema
        limit = params.get("max_tokens")
        limit = limit if isinstance(limit, int) and limit > 0 else None
        model = self._model
        price = default_background.run(
            lambda api: api.price(model, input_tokens=max(1, round(average)), output_tokens=limit or 0)
        )
        return Estimate(
            model=model,
            rows=len(self.rows),
            answered=answered,
            input_tokens=round(average * unanswered),
            input_usd=None if price.input_usd is None else price.input_usd * unanswered,
            output_tokens=None if limit is None else limit * unanswered,
            output_usd=None if limit is None or price.output_usd is None else price.output_usd * unanswered,
        )

    def submit(self, *, fresh: bool) -> Batch:
        """Submit the rows that the server does not have yet, and return the batch.

        Args:
            fresh: submit all rows as a new batch.

        """
        existing, batch_id = self._find(fresh=fresh)
        requests: Iterable[Any] = self.requests
        if existing is not None:
            print(_found_message(existing, len(self.rows)))  # noqa: T201 - beside the batch in the cell
            is_submitted = existing.submitted >= len(self.rows)
            if existing.ended or (is_submitted and existing.concurrency == self.max_concurrency):
                batch = self._handle(existing)
                batch._show()
                return batch
            requests = () if is_submitted else requests
        announcement = {
            "id": batch_id,
            "total": len(self.rows),
            "title": self.title,
            "source": job_source() or {},
            "concurrency": self.max_concurrency,
        }
        return self._upload(Upload(bodies(announcement, self.options.encoded(), requests)))

    @property
    def _model(self) -> str:
        assert self.options.model is not None  # the request is resolved
        return self.options.model

    def _handle(self, info: BatchInfo) -> Batch:
        return Batch(info, default_background, rows=self.rows, schema=self.schema)

    def _find(self, *, fresh: bool) -> tuple[BatchInfo | None, str]:
        """Return the newest batch of the same content, if there is one, and the id to use."""
        content = content_id(self._model, dict(self.options.params or {}), self.requests)
        return default_background.run(lambda api: _find_newest(api, content, fresh=fresh))

    def _upload(self, upload: Upload) -> Batch:
        future = default_background.start(upload.run)
        try:
            while not (future.done() or upload.begun.wait(_SLICE)):
                pass
            if upload.info is None:
                future.result()  # raises the refusal
            assert upload.info is not None  # the server has taken a part
            batch = self._handle(upload.info)
            batch._show()
            while not (future.done() or upload.stalled.is_set()):
                concurrent.futures.wait((future,), timeout=_SLICE)
            if future.done():
                batch._info = future.result()
        except KeyboardInterrupt:
            future.cancel()
            print(  # noqa: T201
                "Interrupted before all rows were submitted. Submitted rows continue. Run the cell again for the rest."
            )
            raise
        if not future.done():
            batch._upload = (upload, future)
            print(  # noqa: T201
                f"The server's queue is full: {upload.info.submitted:,} of {upload.info.total:,} rows are submitted."
                " This kernel submits the rest as the queue drains. If the kernel stops, run the cell again."
            )
        return batch


def check_concurrency(limit: int | None) -> int | None:
    """Return the limit if it is valid; raises InvalidRequestError."""
    if limit is not None and (not isinstance(limit, int) or not 1 <= limit <= MAX_CONCURRENCY):
        raise InvalidRequestError(
            f"max_concurrency must be a number from 1 to {MAX_CONCURRENCY:,}, or None, not {limit!r:.50}.",
            field="max_concurrency",
        )
    return limit


def default_title(prompt: Prompt) -> str:
    """Return the beginning of a prompt, or the name of a function."""
    words = " ".join(prompt.split()) if isinstance(prompt, str) else getattr(prompt, "__name__", "").strip("<>")
    return cut(words, DEFAULT_TITLE)


def with_schema(options: JobOptions, schema: Schema | None) -> JobOptions:
    """Return options whose ``params`` include the schema; raises InvalidRequestError if they have one already."""
    params = dict(options.params or {})
    if schema is not None:
        if "schema" in params:
            raise InvalidRequestError(
                "The schema is given twice: as schema= and in params. Remove it from params.", field="schema"
            )
        params["schema"] = schema.json
    return msgspec.structs.replace(options, params=params)


async def _find_newest(api: Api, content: str, *, fresh: bool) -> tuple[BatchInfo | None, str]:
    # Each fresh=True adds a numbered batch of the same content. Older ones may have been deleted, by retention or by
    # the user, so that a few missing numbers do not end the search.
    found: list[tuple[float, int, BatchInfo]] = []
    missing = number = 0
    while missing < GAP:
        try:
            info = await api.batch(numbered_id(content, number))
        except NotFoundError:
            missing += 1
        else:
            found.append((info.created_at, number, info))
            missing = 0
        number += 1
    _, last, newest = max(found, default=(0.0, -1, None))
    return (None, numbered_id(content, last + 1)) if fresh or newest is None else (newest, newest.id)


def _found_message(info: BatchInfo, rows: int) -> str:
    completed = info.counts.completed
    sentences = [
        f"Found batch {info.id} of {_time_text(info.created_at)}: {completed:,} of {rows:,} rows have been answered and"
        " are not sent again."
    ]
    incomplete = info.counts.ended - completed
    if info.ended and info.submitted < rows:
        sentences.append(f"It was cancelled after {info.submitted:,} rows had been submitted.")
    if info.paused is not None:
        sentences.append(f"It is paused: {info.paused.message} resume() continues with the remaining rows.")
    if info.ended and incomplete:
        sentences.append(f"Rows without a complete answer: {incomplete:,}. retry() sends them again.")
    return "\n".join([*sentences, "fresh=True sends all rows again."])


def _time_text(at: float) -> str:
    pattern = "%H:%M:%S" if time.strftime("%Y-%m-%d") == f"{datetime.fromtimestamp(at):%Y-%m-%d}" else "%Y-%m-%d %H:%M"
    return f"{datetime.fromtimestamp(at):{pattern}}"
