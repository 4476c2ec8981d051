"""A batch in the hands of a notebook or a script."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...core.costs import Cost
from ...core.errors import BgStreamError, NotFoundError
from ...core.schemas import BatchInfo, BatchUsage
from ...core.state import ErrorInfo
from ...core.terminal_text import visible_line
from ...outputs.batch import batch_bundle, batch_words
from ..background import Background
from ..costs import usd
from ..default_connection import default_background
from ..errors import BatchPausedError
from ..job_handle import Job
from .display import BatchDisplay, show, this_run
from .frame import framed
from .json_schema import Schema
from .results import Results, Row
from .table import ListRows, Rows
from .upload import Upload
from .wait import until

if TYPE_CHECKING:
    from ...core.pauses import Paused
    from ...core.state import Status  # as in ..handle
    from ..api import Api

_AGAIN = 20  # rows that are asked again at a time


class Batch:
    """The same question for many rows, as one group of jobs on the server.

    Forgetting the handle, or interrupting what waits for it, ends nothing; ``bg.batch(id)`` finds it again, and so does
    the cell that made it. ``wait`` returns it however its rows ended; ``frame`` is the table with what is known by now,
    at any time. Everything that asks the server raises ServerUnreachableError if there is no answer.

    >>> batch = bg.map(range(1, 4), "Count to {row}.", model="demo/echo", name="Counting")
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
        self._sending: tuple[Upload, concurrent.futures.Future[BatchInfo]] | None = None
        self._shown_in: object = None  # the run of a cell that has shown it by itself

    @property
    def id(self) -> str:
        """The batch's id on its server: its group's."""
        return self._info.id

    @property
    def info(self) -> BatchInfo:
        """The batch as the server described it last, see PROTOCOL.md; asks nothing."""
        return self._info

    @property
    def title(self) -> str:
        """What it is called in lists and notices."""
        return self._info.title

    @property
    def status(self) -> Status:
        """Ask for the state of all of it: queued or running, then completed, failed, interrupted or cancelled."""
        return self._now().status

    @property
    def counts(self) -> dict[str, int]:
        """Ask how many rows are in which state."""
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
        """Ask for the ``input_tokens`` and ``output_tokens`` of all rows so far; None where nothing is known."""
        return self._now().usage

    @property
    def cost(self) -> Cost | None:
        """Ask what all rows cost so far, also what was asked again; None if it is not known."""
        return self._now().cost

    @property
    def errors(self) -> dict[int, ErrorInfo]:
        """Ask why rows have no whole or no valid answer, by their numbers, counted from 0."""
        return {row.number: row.error for row in self._read() if row.error is not None and row.ended}

    @property
    def paused(self) -> Paused | None:
        """Ask why it is paused: ``code``, ``message`` and ``at``; None if it is not."""
        return self._now().paused

    def wait(self, timeout: float | None = None) -> Batch:
        """Wait until every row has ended in any way.

        Raises BatchPausedError if it waits for you, and TimeoutError after ``timeout`` seconds. Neither that nor an
        interrupt stops anything.
        """
        self._background.run(lambda api: self._end(api, timeout))
        return self

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait until every row has ended, and return the frame."""
        return self._awaited().__await__()

    def frame(self) -> Any:
        """Return the table that was given with what is known by now beside each row, in a copy of the same kind.

        ``answer`` is the text, or with a schema there is a column for each of its properties; ``status`` is the row's
        state and ``error`` says why there is no whole or valid answer. A name that the table has already gets
        ``answer_`` before it.

        >>> batch = bg.map([{"n": 1, "status": "new"}], "How many is {n}?", model="demo/echo")
        >>> list(batch.wait().frame()[0])
        ['n', 'status', 'answer', 'answer_status', 'error']
        """
        return self._framed(self._read())

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows) if self._rows is not None else self._info.total

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows in their order, each when it has ended."""
        for number in range(len(self)):
            yield self._background.run(lambda api, number=number: self._ended_row(api, number))  # type: ignore[misc]

    def __getitem__(self, number: int) -> Row:
        """Return a row with what it has been answered so far, by its number, counted from 0."""
        place = range(len(self))[number]
        self._background.run(self._catch_up)
        return self._row(place)

    def job(self, number: int) -> Job:
        """Return the newest job that asks a row, by the row's number, counted from 0; raises NotFoundError."""
        row = self[number]
        if row.job is None:
            raise NotFoundError(f"Row {row.number:,} has no job: {row.error.message if row.error else row.status}")
        asked = row.job
        return Job(self._background.run(lambda api: api.job(asked)), self._background)

    def retry(self) -> Batch:
        """Ask again those rows alone that have no whole or no valid answer; the others stay as they are.

        >>> batch = bg.map(["a", "b"], "Say {row}.", model="demo/echo", schema={"type": "object"}).wait()
        >>> sorted(batch.errors), batch.retry().wait().counts["completed"]
        ([0, 1], 2)
        """
        self._info = self._background.run(self._retried)
        return self

    def resume(self) -> Batch:
        """Go on with what is left of a paused batch; rows that have failed are asked again by ``retry`` alone."""
        self._info = self._background.run(lambda api: api.change_group(self.id, "resume"))
        return self

    def cancel(self) -> Batch:
        """Stop what has not ended; what was answered stays."""
        if self._sending is not None:
            self._sending[1].cancel()
        self._info = self._background.run(lambda api: api.change_group(self.id, "cancel"))
        return self

    def view(self) -> Any:
        """Return a widget that shows it live."""
        from ..widgets.batch import BatchWidget  # noqa: PLC0415 - with it come ipywidgets and anywidget

        return BatchWidget(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._info, self._rows, None if self._schema is None else self._schema.json)

    def __repr__(self) -> str:
        info = self._info
        cost = f", {usd(info.cost.usd, estimated=info.cost.estimated)}" if info.cost else ""
        words = batch_words(info.id, info.status, info.title, info.total, info.counts, paused=info.paused)
        return visible_line(f"<Batch {info.id} {words}{cost}>")

    def placeholder(self, *, unended: str = "") -> dict[str, Any]:
        """Return the display bundle of what is known, without asking the server; ``unended`` as of ``batch_bundle``."""
        info = self._info
        return batch_bundle(
            info.id, info.status, info.title, info.total, info.counts, paused=info.paused, unended=unended
        )

    def _display_content(self) -> BatchDisplay:
        return BatchDisplay(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        with suppress(BgStreamError):  # a picture of what is known is better than a traceback
            self._now()
        return self.placeholder()

    def _ipython_display_(self) -> None:
        # The cell that makes a batch shows it at once; it is not shown once more because it is the cell's last line.
        shown, self._shown_in = self._shown_in, None
        if shown is None or shown != this_run():
            with suppress(BgStreamError):  # a picture of what is known is better than a traceback
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
        self._info = await api.group(self.id)
        return self._info

    def _read(self) -> list[Row]:
        self._background.run(self._catch_up)
        return list(map(self._row, range(len(self))))

    async def _catch_up(self, api: Api) -> None:
        await self._refresh(api)  # before the answers: what it calls submitted is among them
        await self._answers.read(api)

    def _row(self, number: int) -> Row:
        # Rows are submitted in order. Where that was cancelled, nothing more comes.
        return self._answers.row(number, unsent=number >= self._info.submitted, over=self._info.ended)

    def _raise_what_was_not_sent(self) -> None:
        if self._sending is not None and self._sending[1].done():
            sent, self._sending = self._sending[1], None
            if not sent.cancelled():
                sent.result()

    async def _end(self, api: Api, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await until(lambda: self._info.ended, lambda: self._look_on(api), self._raise_what_was_not_sent)
        except TimeoutError:
            raise TimeoutError(f"The batch {self.id} has not ended after {seconds:g} s; it goes on.") from None

    async def _look_on(self, api: Api) -> None:
        await self._refresh(api)
        self._raise_if_paused()

    def _raise_if_paused(self) -> None:
        info = self._info
        if info.paused is not None:
            raise BatchPausedError(info.id, info.paused, left=info.total - info.counts.ended, failed=info.counts.failed)

    async def _awaited(self) -> Any:
        await self._background.call(lambda api: self._end(api, None))
        await self._background.call(self._catch_up)
        return self._framed(list(map(self._row, range(len(self)))))

    def _framed(self, answered: list[Row]) -> Any:
        rows = ListRows(list(range(len(self)))) if self._rows is None else self._rows
        return framed(rows, answered, self._schema)

    async def _ended_row(self, api: Api, number: int) -> Row:
        async def step() -> None:
            await self._catch_up(api)
            if not self._row(number).ended and self._row(number).status != "running":
                self._raise_if_paused()

        await until(lambda: self._row(number).ended, step, self._raise_what_was_not_sent)
        return self._row(number)

    async def _retried(self, api: Api) -> BatchInfo:
        await self._catch_up(api)
        info = await api.change_group(self.id, "retry")
        invalid = [row.job for row in map(self._row, range(len(self))) if row.status == "invalid" and row.job]
        for start in range(0, len(invalid), _AGAIN):
            await asyncio.gather(*(api.retry(job) for job in invalid[start : start + _AGAIN]))
        return await api.group(self.id) if invalid else info


def _restored(info: BatchInfo, rows: Rows | None, schema: dict[str, Any] | None) -> Batch:
    return Batch(info, default_background, rows=rows, schema=None if schema is None else Schema(schema))
