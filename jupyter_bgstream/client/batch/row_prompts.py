"""Prompt of each row: a template such as ``"Classify: {text}"``, or a function of the row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...core.errors import BgStreamError, InvalidRequestError
from ..prompt_body import request_of
from .table import ITEM, Rows, check_columns, check_no_gaps
from .templates import Template, odd_name_hint

Prompt = str | Callable[[Any], str | Sequence[Mapping[str, Any]]]
Request = dict[str, Any]  # prompt, or messages


class Requests:
    """Requests of all rows, in order; can be iterated over several times.

    A template is filled in at each iteration; a function is called once for each row, at construction.

    Raises:
        InvalidRequestError: a column is missing, or is empty in some rows.

    """

    def __init__(self, rows: Rows, prompt: Prompt, *, system: str | None, images: Any) -> None:
        self._rows = rows
        self._system = system
        self._prompts: Template | list[Any]
        if isinstance(prompt, str):
            self._prompts = Template(prompt, rows)
        elif callable(prompt):
            self._prompts = [_checked(prompt(item), number) for number, item in enumerate(rows.items())]
        else:
            raise InvalidRequestError(
                f"The prompt must be a text or a function of a row, not a {type(prompt).__name__}.", field="prompt"
            )
        self._images = _image_values(rows, images)
        if isinstance(self._prompts, Template) and not self._prompts.columns and self._images is None and len(rows) > 1:
            name = "{" + (rows.columns[0] if rows.columns else ITEM) + "}"
            hint = odd_name_hint(rows.columns) or f" Use {name}, for example."
            raise InvalidRequestError(
                f"The prompt names no column, so that it is the same for all rows.{hint}", field="prompt"
            )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Request]:
        images_of_rows = self._images or ((),) * len(self)
        for number, (prompt, images) in enumerate(zip(self._prompts, images_of_rows, strict=True)):
            if isinstance(prompt, str) and not prompt.strip() and not images:
                raise InvalidRequestError(f"The prompt of row {number:,}, counted from 0, is empty.", field="prompt")
            try:
                yield request_of(prompt, images=images, system=self._system)
            except BgStreamError as error:
                raise InvalidRequestError(f"Row {number:,}, counted from 0: {error.message}", field="images") from None


def _checked(prompt: Any, number: int) -> Any:
    if isinstance(prompt, str) or (
        isinstance(prompt, Sequence) and prompt and all(isinstance(message, Mapping) for message in prompt)
    ):
        return prompt
    kind = "an empty list" if prompt == [] else type(prompt).__name__
    raise InvalidRequestError(
        f"The prompt function returned {kind} for row {number:,}, counted from 0. It must return a text or a list of"
        " messages.",
        field="prompt",
    )


def _image_values(rows: Rows, images: Any) -> Sequence[Any] | None:
    if images is None:
        return None
    if callable(images):
        return [images(item) for item in rows.items()]
    if isinstance(images, str):
        check_columns([images], rows, "images", "images")
        values = rows.values(images)
        check_no_gaps(f"The column {images!r}", values)
        return values
    return [images] * len(rows)
