"""``Batch``, the handle of a batch: its state, rows, results and actions."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...core.costs import Cost
from ...core.errors import BgStreamError, NotFoundError
from ...core.schemas.batches import BatchInfo, BatchUsage
from ...core.state import ErrorInfo
from ...core.terminal_text import visible_line
from ...outputs.batch import batch_bundle, batch_words
from ..background_loop import Background
from ..costs import usd
from ..default_connection import default_background
from ..errors import BatchPausedError
from ..job_handle import Job
from .display import BatchDisplay, show, this_run
from .frame import joined_frame
from .json_schema import Schema
from .results import Results, Row
from .table import ListRows, Rows
from .upload import Upload
from .wait import until

if TYPE_CHECKING:
    from ...core.batch_pause import Paused
    from ...core.state import Status  # as in ..job_handle
    from ..rest_client import Api

_RETRIES_AT_ONCE = 20  # requests


class Batch:
    """Handle of a batch on the server: the same question for every row of a table.

    Dropping the handle, or interrupting code that waits for it, never ends the batch. ``bg.batch(id)`` finds it again,
    and so does the cell that created it. ``wait`` returns the handle however the rows ended; ``to_frame`` returns the
    table with the answers so far, at any time. Every method that asks the server raises ServerUnreachableError if it
    does not answer.

    >>> batch = bg.map(range(1, 4), "Count to {row}.", model="demo/echo", title="Counting")
    >>> batch.wait()
    <Batch map-... Counting: 3 of 3 answered>
    >>> [row.text for row in batch]
    ['...Count to 1...', '...Count to 2...', '...Count to 3...']
    >>> batch[2].status, len(batch), batch.errors
    ('completed', 3, {})
    """

    def __init__(
        self, info: BatchInfo, background: Background[Api], *, rows: Rows | None = None, schema: Schema | None = None
    ) -> None:
        self._info = info
        self._background = background
        self._rows = rows
        self._schema = schema
        self._answers = Results(info.id, schema, background)
        self._upload: tuple[Upload, concurrent.futures.Future[BatchInfo]] | None = None
        self._shown_in: object = None  # run of a cell that has displayed the batch already

    @property
    def id(self) -> str:
        """Id of the batch on its server."""
        return self._info.id

    @property
    def info(self) -> BatchInfo:
        """Last description that the server sent, see PROTOCOL.md; asks nothing."""
        return self._info

    @property
    def title(self) -> str:
        """Title in lists and notices."""
        return self._info.title

    @property
    def status(self) -> Status:
        """Ask for the status of the batch: queued or running, then completed, failed, interrupted or cancelled."""
        return self._now().status

    @property
    def counts(self) -> dict[str, int]:
        """Ask for the number of rows by status."""
        info = self._now()
        ends = info.counts
        return {
            "completed": ends.completed,
            "failed": ends.failed,
            "interrupted": ends.interrupted,
            "cancelled": ends.cancelled,
            "running": info.running,
            "waiting": info.waiting,
            "queued": info.queued + max(0, info.total - info.submitted),
        }

    @property
    def usage(self) -> BatchUsage:
        """Ask for the ``input_tokens`` and ``output_tokens`` of all rows so far; unknown counts are None."""
        return self._now().usage

    @property
    def cost(self) -> Cost | None:
        """Ask for the cost of all rows so far, including retries; None if it is not known."""
        return self._now().cost

    @property
    def errors(self) -> dict[int, ErrorInfo]:
        """Ask why rows have no complete or no valid answer, by row number, counted from 0."""
        return {row.number: row.error for row in self._read_rows() if row.error is not None and row.ended}

    @property
    def paused(self) -> Paused | None:
        """Ask why the batch is paused: ``code``, ``message`` and ``at``; None if it is not paused."""
        return self._now().paused

    def done(self) -> bool:
        """Ask whether every row has ended."""
        return self._now().ended

    def wait(self, timeout: float | None = None) -> Batch:
        """Wait until every row has ended, and return the handle; neither a timeout nor an interrupt stops the batch.

        Raises:
            BatchPausedError: the batch is paused because its rows failed with the same error.
            TimeoutError: the batch has not ended after ``timeout`` seconds.

        """
        self._background.run(lambda api: self._end(api, timeout))
        return self

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait until every row has ended, and return ``to_frame()``."""
        return self._to_frame_async().__await__()

    def to_frame(self) -> Any:
        """Return a copy of the table, of the same kind, with the answers so far.

        New columns are ``answer`` (the text), or one for each property of the schema, ``status``, and ``error``: why a
        row has no complete or no valid answer. A name that the table has already gets the prefix ``answer_``.

        >>> batch = bg.map([{"n": 1, "status": "new"}], "How many is {n}?", model="demo/echo")
        >>> list(batch.wait().to_frame()[0])
        ['n', 'status', 'answer', 'answer_status', 'error']
        """
        return self._joined(self._read_rows())

    def frame(self) -> Any:
        """Return ``to_frame()``, by the former name that the scripts of reported bugs call."""
        return self.to_frame()

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows) if self._rows is not None else self._info.total

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows in order, each when it has ended."""
        for number in range(len(self)):
            yield self._background.run(lambda api, number=number: self._ended_row(api, number))  # type: ignore[misc]

    def __getitem__(self, number: int) -> Row:
        """Return a row with its answer so far, by number, counted from 0."""
        place = range(len(self))[number]
        self._background.run(self._catch_up)
        return self._row(place)

    def job(self, number: int) -> Job:
        """Return the newest job of a row, by row number, counted from 0.

        Raises:
            NotFoundError: the row has not been submitted, or its job was deleted.

        """
        row = self[number]
        if row.job is None:
            raise NotFoundError(f"Row {row.number:,} has no job: {row.error.message if row.error else row.status}")
        job_id = row.job
        return Job(self._background.run(lambda api: api.job(job_id)), self._background)

    def retry(self) -> Batch:
        """Retry the rows without a complete or valid answer; the others stay as they are.

        >>> batch = bg.map(["a", "b"], "Say {row}.", model="demo/echo", schema={"type": "object"}).wait()
        >>> sorted(batch.errors), batch.retry().wait().counts["completed"]
        ([0, 1], 2)
        """
        self._info = self._background.run(self._retry)
        return self

    def resume(self) -> Batch:
        """Resume a paused batch with its remaining rows; ``retry`` also retries failed rows."""
        self._info = self._background.run(lambda api: api.change_batch(self.id, "resume"))
        return self

    def cancel(self) -> Batch:
        """Cancel the rows that have not ended, and keep all answers."""
        if self._upload is not None:
            self._upload[1].cancel()
        self._info = self._background.run(lambda api: api.change_batch(self.id, "cancel"))
        return self

    def view(self) -> Any:
        """Return a live widget of the batch."""
        from ..widgets.batch import BatchWidget  # noqa: PLC0415 - with it come ipywidgets and anywidget

        return BatchWidget(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._info, self._rows, None if self._schema is None else self._schema.json)

    def __repr__(self) -> str:
        info = self._info
        cost = f", {usd(info.cost.usd, estimated=info.cost.estimated)}" if info.cost else ""
        return visible_line(f"<Batch {info.id} {batch_words(info)}{cost}>")

    def placeholder(self, *, unended: str = "") -> dict[str, Any]:
        """Return the display bundle of what is known, without asking the server; ``unended`` as of ``batch_bundle``."""
        return batch_bundle(self._info, unended=unended)

    def _display_content(self) -> BatchDisplay:
        return BatchDisplay(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        with suppress(BgStreamError):  # an old display is better than a traceback
            self._now()
        return self.placeholder()

    def _ipython_display_(self) -> None:
        # ``map`` has displayed the batch in the cell that created it: do not display it again as its last expression.
        run, self._shown_in = self._shown_in, None
        if run is None or run != this_run():
            with suppress(BgStreamError):  # an old display is better than a traceback
                self._now()
            show(self)

    def _show(self) -> None:
        if (run := this_run()) is not None:
            show(self)
            self._shown_in = run

    def _now(self) -> BatchInfo:
        if not self._info.ended:
            self._background.run(self._refresh)
        return self._info

    async def _refresh(self, api: Api) -> BatchInfo:
        self._info = await api.batch(self.id)
        return self._info

    def _read_rows(self) -> list[Row]:
        self._background.run(self._catch_up)
        return list(map(self._row, range(len(self))))

    async def _catch_up(self, api: Api) -> None:
        await self._refresh(api)  # before the answers, so that they include all submitted rows
        await self._answers.read(api)

    def _row(self, number: int) -> Row:
        # Rows are submitted in order; after a cancel no more rows are submitted.
        return self._answers.row(number, unsent=number >= self._info.submitted, over=self._info.ended)

    def _raise_upload_error(self) -> None:
        if self._upload is not None and self._upload[1].done():
            future, self._upload = self._upload[1], None
            if not future.cancelled():
                future.result()

    async def _end(self, api: Api, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await until(lambda: self._info.ended, lambda: self._refresh_or_raise(api), self._raise_upload_error)
        except TimeoutError:
            raise TimeoutError(f"The batch {self.id} has not ended after {seconds:g} s; it continues.") from None

    async def _refresh_or_raise(self, api: Api) -> None:
        await self._refresh(api)
        self._raise_if_paused()

    def _raise_if_paused(self) -> None:
        info = self._info
        if info.paused is not None:
            raise BatchPausedError(info.id, info.paused, left=info.total - info.counts.ended, failed=info.counts.failed)

    async def _to_frame_async(self) -> Any:
        await self._background.call(lambda api: self._end(api, None))
        await self._background.call(self._catch_up)
        return self._joined(list(map(self._row, range(len(self)))))

    def _joined(self, rows: list[Row]) -> Any:
        table = ListRows(list(range(len(self)))) if self._rows is None else self._rows
        return joined_frame(table, rows, self._schema)

    async def _ended_row(self, api: Api, number: int) -> Row:
        async def step() -> None:
            await self._catch_up(api)
            if not self._row(number).ended and self._row(number).status != "running":
                self._raise_if_paused()

        await until(lambda: self._row(number).ended, step, self._raise_upload_error)
        return self._row(number)

    async def _retry(self, api: Api) -> BatchInfo:
        await self._catch_up(api)
        info = await api.change_batch(self.id, "retry")
        invalid = [row.job for row in map(self._row, range(len(self))) if row.status == "invalid" and row.job]
        for start in range(0, len(invalid), _RETRIES_AT_ONCE):
            await asyncio.gather(*(api.retry(job) for job in invalid[start : start + _RETRIES_AT_ONCE]))
        return await api.batch(self.id) if invalid else info


def _restored(info: BatchInfo, rows: Rows | None, schema: dict[str, Any] | None) -> Batch:
    return Batch(info, default_background, rows=rows, schema=None if schema is None else Schema(schema))
