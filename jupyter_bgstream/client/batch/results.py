"""Answers of the rows of a batch: read in pages, later only the changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...core.costs import Cost
from ...core.events import Image
from ...core.schemas.batches import BatchItemInfo
from ...core.schemas.jobs import UsageInfo
from ...core.state import ENDS, ErrorInfo
from ...outputs.mimebundle import ending_sentence, has_words
from ..answer_images import AnswerImage, without_image_lines
from .content_ids import row_of
from .json_schema import Schema

if TYPE_CHECKING:
    from ..background_loop import Background
    from ..rest_client import Api

_UNSENT = ErrorInfo(code="unsent", message="This row has not been submitted yet. Run the cell again.")
_NEVER = ErrorInfo(code="cancelled", message="The batch was cancelled before this row was submitted.")
_GONE = ErrorInfo(code="deleted", message="The answer is no longer on the server. fresh=True sends all rows again.")


class Row(msgspec.Struct, kw_only=True):
    """Row of a batch with its answer so far."""

    number: int  # counted from 0
    status: str  # of a job; or invalid (does not match the schema), unsent, deleted
    job: str | None = None  # id of the newest job of the row
    text: str | None = None  # once it has ended
    value: Any = None  # with a schema: the value of a valid answer
    error: ErrorInfo | None = None  # why there is no complete or no valid answer
    finish_reason: str | None = None
    usage: UsageInfo | None = None  # of the last attempt
    cost: Cost | None = None  # of all attempts
    images: tuple[AnswerImage, ...] = ()  # once it has ended

    @property
    def ended(self) -> bool:
        """True if the row changes no more, unless it is retried."""
        return self.status in ENDS or self.status in ("invalid", "deleted")


class Results:
    """All rows of one batch; only the background loop changes it."""

    def __init__(self, batch_id: str, schema: Schema | None, background: Background[Api]) -> None:
        self._id = batch_id
        self._background = background
        self._schema = schema
        self._cursor: str | None = None
        self._rows: dict[int, Row] = {}
        self._others: dict[str, int] = {}  # numbers of jobs that ``map`` did not submit

    def __len__(self) -> int:
        return len(self._rows)

    async def read(self, api: Api) -> None:
        """Read the changes since the last call."""
        more = True
        while more:
            cursor = self._cursor
            page = await api.answers(self._id, cursor)
            if cursor == self._cursor:  # otherwise another reader was faster
                for item in page.answers:
                    self._add(item)
                self._cursor = page.next
            more = page.more

    def row(self, number: int, *, unsent: bool, over: bool) -> Row:
        """Return a row.

        Args:
            number: number of the row, counted from 0.
            unsent: the row has not been submitted.
            over: the batch has ended.

        """
        found = self._rows.get(number)
        if found is None and self._cursor is None:  # nothing has been read yet
            return Row(number=number, status="queued")
        if found is None:
            status, error = ("deleted", _GONE) if not unsent else ("cancelled", _NEVER) if over else ("unsent", _UNSENT)
            return Row(number=number, status=status, error=error)
        if self._schema is not None and found.status == "completed" and found.value is None and found.error is None:
            # Lazily and once: the validation of ten thousand rows takes a second.
            found.value, found.error = self._schema.read(found.text or "")
            if found.error is not None:
                found.status = "invalid"
                if found.finish_reason == "length":
                    found.error = ErrorInfo(code="length", message=ending_sentence("length"))
        return found

    def _add(self, item: BatchItemInfo) -> None:
        number = row_of(self._id, item.root)
        if number is None:
            number = self._others.setdefault(item.root, len(self._others))
        error = item.error if item.status != "completed" else None
        if item.status == "completed" and self._schema is None and item.finish_reason not in (None, "stop"):
            error = ErrorInfo(code=item.finish_reason, message=ending_sentence(item.finish_reason))
        elif item.status == "completed" and not has_words(without_image_lines(item.text or "")):
            detail = ", only images" if has_words(item.text) else ""
            error = ErrorInfo(code="no_text", message=f"The answer has no text{detail}.")
        images = (Image(id=each.id, media_type=each.media_type, bytes=each.bytes) for each in item.images)
        self._rows[number] = Row(
            number=number,
            status=item.status,
            job=item.id,
            text=item.text,
            error=error,
            finish_reason=item.finish_reason,
            usage=item.usage,
            cost=item.cost,
            images=tuple(AnswerImage(item.id, image, self._background) for image in images),
        )
