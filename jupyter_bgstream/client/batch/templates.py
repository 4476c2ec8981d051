"""Prompt templates with columns in braces, such as ``"Classify: {text}"``."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...core.errors import InvalidRequestError
from .table import Rows, check_columns, check_no_gaps

_BRACE = re.compile(r"[{}]")
_STEP = re.compile(r"\.(?P<attribute>\w+)|\[(?P<key>[^\[\]]+)\]")
_NAME = re.compile(r"(?:[^\[\]{}:!]|\[[^\]]*\])*")  # of a column, with lookups in its values
_AFTER_NAME = ("}", ":", "!", ".", "[")
_CONVERSIONS: dict[str | None, Callable[[Any], Any]] = {None: lambda value: value, "s": str, "r": repr, "a": ascii}


class _Field(msgspec.Struct, frozen=True, kw_only=True):
    """Field of a template."""

    written: str  # without braces, conversion and format
    column: str
    steps: tuple[tuple[str, str], ...] = ()  # attribute or key, and its name
    conversion: str | None = None
    spec: str = ""

    def look_up(self, value: Any) -> Any:
        """Return the result of the field's lookups in a value of its column."""
        for kind, name in self.steps:
            if value is None:
                return None  # an empty value on the way is an empty cell
            value = getattr(value, name) if kind == "attribute" else _item(value, name)
        return value

    def write(self, value: Any) -> str:
        return format(_CONVERSIONS[self.conversion](value), self.spec)


class Template:
    """Text with columns in braces; ``{a.b}`` and ``{a[b]}`` look into a value, ``{a:.2f}`` formats it.

    A column may have any name without braces, such as ``Q1: mood``; the longest matching name counts. Names that begin
    with an underscore are never looked up, and nothing is called.

    Raises:
        InvalidRequestError: a field cannot be filled in, or is empty in some rows.

    """

    def __init__(self, text: str, rows: Rows) -> None:
        self._pieces = list(_pieces(text, rows.columns))
        fields = [piece for piece in self._pieces if isinstance(piece, _Field)]
        self.columns = list(dict.fromkeys(field.column for field in fields))
        check_columns(self.columns, rows, "The prompt", "prompt")
        self._values = {name: rows.values(name) for name in self.columns}
        for name, values in self._values.items():
            check_no_gaps(f"The column {name!r}", values)
        self._found = {field: self._looked_up(field) for field in dict.fromkeys(fields)}
        self._length = len(rows)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return map(self._filled, range(self._length))

    def _looked_up(self, field: _Field) -> Sequence[Any]:
        values = self._values[field.column]
        if not field.steps:
            return values
        found = []
        for row, value in enumerate(values):
            try:
                found.append(field.look_up(value))
            except Exception as error:
                raise _format_error(field, row, error) from None
        check_no_gaps(f"{{{field.written}}}", found)
        return found

    def _filled(self, row: int) -> str:
        return "".join(piece if isinstance(piece, str) else self._shown(piece, row) for piece in self._pieces)

    def _shown(self, field: _Field, row: int) -> str:
        try:
            return field.write(self._found[field][row])
        except Exception as error:
            raise _format_error(field, row, error) from None


def _pieces(text: str, columns: Sequence[str]) -> Iterator[str | _Field]:
    longest_first = sorted((name for name in columns if name and not _BRACE.search(name)), key=len, reverse=True)
    at = start = 0
    while (brace := _BRACE.search(text, at)) is not None:
        at = brace.end()
        if text.startswith(brace[0], at):  # a doubled brace is a literal brace
            yield text[start:at]
            at += 1
        elif brace[0] == "}":
            raise _unclosed(columns)
        else:
            yield text[start : at - 1]
            field, at = _field(text, at, columns, longest_first)
            yield field
        start = at
    yield text[start:]


def _field(text: str, at: int, columns: Sequence[str], longest_first: Sequence[str]) -> tuple[_Field, int]:
    # Returns the field at a position, and the position after its closing brace.
    named = (name for name in longest_first if text.startswith(name, at))
    column = next((name for name in named if text.startswith(_AFTER_NAME, at + len(name))), "")
    rest = _NAME.match(text, at + len(column))
    assert rest is not None
    written, end = column + rest[0], rest.end()
    conversion = None
    if text.startswith("!", end):
        conversion, end = text[end + 1 : end + 2], end + 2
    spec_end = text.find("}", end)
    if spec_end < 0 or text[end] not in ":}":
        raise _unclosed(columns)
    spec = text[end + 1 : spec_end]
    if "{" in spec:
        raise InvalidRequestError(
            f"The prompt has nested braces in {{{written}:…}}, which are not supported.", field="prompt"
        )
    if conversion not in _CONVERSIONS:
        raise InvalidRequestError(
            f"Unknown conversion in {{{written}!{conversion}}} of the prompt. Use !s, !r or !a.", field="prompt"
        )
    if not written:
        if len(columns) != 1:
            raise InvalidRequestError("The prompt has {} without a name. Name a column of the table.", field="prompt")
        written = column = columns[0]
    column = column or re.split(r"[.\[]", written, maxsplit=1)[0] or written
    steps = tuple(_steps(written, len(column)))
    return _Field(written=written, column=column, steps=steps, conversion=conversion, spec=spec), spec_end + 1


def _steps(written: str, at: int) -> Iterator[tuple[str, str]]:
    while at < len(written):
        step = _STEP.match(written, at)
        if step is None or (step["attribute"] or "").startswith("_"):
            raise InvalidRequestError(f"Unsupported lookup {{{written}}} in the prompt.", field="prompt")
        yield ("attribute", step["attribute"]) if step["attribute"] else ("key", step["key"])
        at = step.end()


def _item(value: Any, key: str) -> Any:
    if isinstance(value, Mapping) and key in value:
        return value[key]
    return value[int(key)] if key.isdecimal() else value[key]


def odd_name_hint(columns: Sequence[str]) -> str:
    """Return a hint for columns that a template cannot name; "" if a template can name all."""
    odd = next((name for name in columns if _BRACE.search(name)), None)
    if odd is None:
        return ""
    return f" Use a function for a column with braces in its name: prompt=lambda row: 'Classify: ' + row[{odd!r}]."


def _unclosed(columns: Sequence[str]) -> InvalidRequestError:
    words = "The prompt has an unclosed brace. Use {{ and }} for literal braces."
    return InvalidRequestError(words + odd_name_hint(columns), field="prompt")


def _format_error(field: _Field, row: int, error: Exception) -> InvalidRequestError:
    words = f"Row {row:,}, counted from 0: {{{field.written}}} cannot be formatted: {type(error).__name__}: {error}."
    return InvalidRequestError(words, field="prompt")
