"""What the rows of a batch have been answered: read in pages, and then only what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...core.costs import Cost
from ...core.events import Image
from ...core.schemas import BatchItemInfo, UsageInfo
from ...core.state import ENDS, ErrorInfo
from ...outputs.mimebundle import ending_sentence, has_words
from ..images import Picture, without_pictures
from .identity import row_of
from .json_schema import Schema

if TYPE_CHECKING:
    from ..api import Api
    from ..background import Background

_UNSENT = ErrorInfo(code="unsent", message="This row has not been submitted yet: run the cell again.")
_NEVER = ErrorInfo(code="cancelled", message="The batch was cancelled before this row was submitted.")
_GONE = ErrorInfo(code="deleted", message="The answer is no longer on the server. fresh=True asks all rows again.")


class Row(msgspec.Struct, kw_only=True):
    """A row and what it has been answered so far."""

    number: int  # counted from 0
    status: str  # a job's, or: invalid (it breaks the schema), unsent, deleted
    job: str | None = None  # the id of the newest job that asks it
    text: str | None = None  # once it has ended
    value: Any = None  # with a schema: what the answer holds, if it follows it
    error: ErrorInfo | None = None  # why there is no whole or no valid answer
    finish_reason: str | None = None
    usage: UsageInfo | None = None  # of the last attempt
    cost: Cost | None = None  # of all attempts
    images: tuple[Picture, ...] = ()  # once it has ended

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come, unless it is asked again."""
        return self.status in ENDS or self.status in ("invalid", "deleted")


class Results:
    """All rows of one batch. Only the background loop writes to it."""

    def __init__(self, batch_id: str, schema: Schema | None, background: Background[Api]) -> None:
        self._id = batch_id
        self._background = background
        self._schema = schema
        self._cursor: str | None = None
        self._rows: dict[int, Row] = {}
        self._others: dict[str, int] = {}  # numbers of jobs whose ids do not tell their row

    def __len__(self) -> int:
        return len(self._rows)

    async def read(self, api: Api) -> None:
        """Read what has changed since the last time."""
        more = True
        while more:
            asked = self._cursor
            page = await api.answers(self._id, asked)
            if asked == self._cursor:  # else another reader was faster
                for place in page.answers:
                    self._take(place)
                self._cursor = page.next
            more = page.more

    def row(self, number: int, *, unsent: bool, over: bool) -> Row:
        """Return a row as it is known; ``unsent``: it was not submitted; ``over``: the batch has ended."""
        found = self._rows.get(number)
        if found is None and self._cursor is None:  # nobody has looked yet
            return Row(number=number, status="queued")
        if found is None:
            status, error = ("deleted", _GONE) if not unsent else ("cancelled", _NEVER) if over else ("unsent", _UNSENT)
            return Row(number=number, status=status, error=error)
        if self._schema is not None and found.status == "completed" and found.value is None and found.error is None:
            # When somebody looks, and once: to check ten thousand takes a second.
            found.value, found.error = self._schema.read(found.text or "")
            if found.error is not None:
                found.status = "invalid"
                if found.finish_reason == "length":
                    found.error = ErrorInfo(code="length", message=ending_sentence("length"))
        return found

    def _take(self, place: BatchItemInfo) -> None:
        number = row_of(self._id, place.root)
        if number is None:
            number = self._others.setdefault(place.root, len(self._others))
        error = place.error if place.status != "completed" else None
        if place.status == "completed" and self._schema is None and place.finish_reason not in (None, "stop"):
            error = ErrorInfo(code=place.finish_reason, message=ending_sentence(place.finish_reason))
        elif place.status == "completed" and not has_words(without_pictures(place.text or "")):
            what = ", only pictures" if has_words(place.text) else ""
            error = ErrorInfo(code="no_text", message=f"The answer has no text{what}.")
        images = (Image(id=each.id, media_type=each.media_type, bytes=each.bytes) for each in place.images)
        self._rows[number] = Row(
            number=number,
            status=place.status,
            job=place.id,
            text=place.text,
            error=error,
            finish_reason=place.finish_reason,
            usage=place.usage,
            cost=place.cost,
            images=tuple(Picture(place.id, image, self._background) for image in images),
        )
