"""What each row is asked: a template such as ``"Classify: {text}"``, or a function of the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any

import msgspec

from ...core.errors import BgStreamError, Invalid
from ..asked import request_of
from .rows import ITEM, Rows, check_columns, check_no_gaps

Prompt = str | Callable[[Any], str | Sequence[Mapping[str, Any]]]
Request = dict[str, Any]  # prompt, or messages

_STEP = re.compile(r"\.(?P<attribute>\w+)|\[(?P<key>[^\[\]]+)\]")
_CONVERSIONS: dict[str | None, Callable[[Any], Any]] = {None: lambda value: value, "s": str, "r": repr, "a": ascii}


class Requests:
    """What is asked, row by row, as often as it is iterated over.

    A template is filled in anew each time; a function is called once for each row, when this is made. Raises Invalid
    for columns that are not there, or are empty in some rows.
    """

    def __init__(self, rows: Rows, prompt: Prompt, *, system: str | None, images: Any) -> None:
        self._rows = rows
        self._system = system
        self._prompts: Template | list[Any]
        if isinstance(prompt, str):
            self._prompts = Template(prompt, rows)
        elif callable(prompt):
            self._prompts = [_said(prompt(item), number) for number, item in enumerate(rows.items())]
        else:
            raise Invalid(f"A prompt is a text or a function of a row, not a {type(prompt).__name__}.", field="prompt")
        self._images = _pictures(rows, images)
        if isinstance(self._prompts, Template) and not self._prompts.columns and self._images is None and len(rows) > 1:
            name = "{" + (rows.columns[0] if rows.columns else ITEM) + "}"
            raise Invalid(
                f"The prompt names no column, so that all rows would ask the same: write {name}.", field="prompt"
            )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Request]:
        pictures = self._images or ((),) * len(self)
        for number, (prompt, images) in enumerate(zip(self._prompts, pictures, strict=True)):
            if isinstance(prompt, str) and not prompt.strip() and not images:
                raise Invalid(f"Row {number:,}, counted from 0, asks nothing: its prompt is empty.", field="prompt")
            try:
                yield request_of(prompt, images=images, system=self._system)
            except BgStreamError as error:
                raise Invalid(f"Row {number:,}, counted from 0: {error.message}", field="images") from None


class _Field(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a template."""

    column: str
    steps: tuple[tuple[str, str], ...] = ()  # attribute or key, and its name
    conversion: str | None = None
    spec: str = ""

    def shown(self, value: Any) -> str:
        for kind, name in self.steps:
            value = getattr(value, name) if kind == "attribute" else _item(value, name)
        return format(_CONVERSIONS[self.conversion](value), self.spec)


class Template:
    """A text with columns in braces. ``{a.b}`` and ``{a[b]}`` look into a value, ``{a:.2f}`` says how it is written.

    No name that begins with an underscore is looked up, and nothing is called.
    """

    def __init__(self, text: str, rows: Rows) -> None:
        self._pieces: list[str | _Field] = []
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            words = f"The prompt has a brace that is not closed ({error}): write {{{{ and }}}} for braces."
            raise Invalid(words, field="prompt") from None
        for literal, name, spec, conversion in parsed:
            if literal:
                self._pieces.append(literal)
            if name is not None:
                self._pieces.append(_field(name, spec or "", conversion, rows.columns))
        fields = [piece for piece in self._pieces if isinstance(piece, _Field)]
        self.columns = list(dict.fromkeys(field.column for field in fields))
        check_columns(self.columns, rows, "The prompt", "prompt")
        self._values = {name: rows.values(name) for name in self.columns}
        for name, values in self._values.items():
            check_no_gaps(name, values)
        self._length = len(rows)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return map(self._filled, range(self._length))

    def _filled(self, row: int) -> str:
        return "".join(piece if isinstance(piece, str) else self._shown(piece, row) for piece in self._pieces)

    def _shown(self, field: _Field, row: int) -> str:
        value = self._values[field.column][row]
        try:
            return field.shown(value)
        except Exception as error:
            words = (
                f"Row {row:,}, counted from 0: {{{field.column}…}} cannot be written: {type(error).__name__}: {error}."
            )
            raise Invalid(words, field="prompt") from None


def _field(name: str, spec: str, conversion: str | None, columns: Sequence[str]) -> _Field:
    if "{" in spec:
        raise Invalid(f"The prompt has braces within {{{name}:…}}; that is not done here.", field="prompt")
    if conversion not in _CONVERSIONS:
        raise Invalid(f"The prompt has {{{name}!{conversion}}}: write !s, !r or !a.", field="prompt")
    if name in columns:  # whatever dots its name has
        return _Field(column=name, conversion=conversion, spec=spec)
    name = name or (columns[0] if len(columns) == 1 else "")
    if not name:
        raise Invalid("The prompt has {} without a name: name a column of the table.", field="prompt")
    column = re.split(r"[.\[]", name, maxsplit=1)[0]
    rest, steps = name[len(column) :], []
    while rest:
        step = _STEP.match(rest)
        if step is None or (step["attribute"] or "").startswith("_"):
            raise Invalid(f"The prompt cannot look into a value by {{{name}}}.", field="prompt")
        steps.append(("attribute", step["attribute"]) if step["attribute"] else ("key", step["key"]))
        rest = rest[step.end() :]
    return _Field(column=column, steps=tuple(steps), conversion=conversion, spec=spec)


def _item(value: Any, key: str) -> Any:
    if isinstance(value, Mapping) and key in value:
        return value[key]
    return value[int(key)] if key.isdecimal() else value[key]


def _said(prompt: Any, number: int) -> Any:
    if isinstance(prompt, str) or (
        isinstance(prompt, Sequence) and prompt and all(isinstance(message, Mapping) for message in prompt)
    ):
        return prompt
    what = "an empty list" if prompt == [] else type(prompt).__name__
    raise Invalid(
        f"For row {number:,}, counted from 0, the function returned {what}: it must return a text or a list of"
        " messages.",
        field="prompt",
    )


def _pictures(rows: Rows, images: Any) -> Sequence[Any] | None:
    if images is None:
        return None
    if callable(images):
        return [images(item) for item in rows.items()]
    if isinstance(images, str):
        check_columns([images], rows, "images", "images")
        values = rows.values(images)
        check_no_gaps(images, values)
        return values
    return [images] * len(rows)
