"""Choose the types of new columns in pandas and polars, so that they hold exactly the values of the answers.

A column has the narrowest type that holds all its values unchanged. A value never changes because of another row: if no
type holds all values, the column holds Python objects.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import msgspec

_INT64 = range(-(1 << 63), 1 << 63)
_UINT64 = range(1 << 64)
_LONGEST_SECOND = 6  # digits after the point that a datetime can hold
_PANDAS = {
    "integer": "Int64",
    "unsigned": "UInt64",
    "number": "float64",
    "boolean": "boolean",
    "date": "datetime64[s]",
    "datetime": "datetime64[us]",
    "instant": "datetime64[us, UTC]",
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """Values of a new column, in the order of the rows.

    Attributes:
        values: JSON values; None is an empty cell.
        kind: kind in the schema, as ``kind_of`` returns it; None for any kind.

    """

    values: Sequence[Any]
    kind: str | None = None


def pandas_series(column: Column, index: Any) -> Any:
    """Return a column as a Series of pandas."""
    pandas = sys.modules["pandas"]
    kind, values = _typed(column)
    if kind != "object":
        with suppress(TypeError, ValueError, OverflowError):  # a date outside the range of pandas
            return pandas.Series(values, dtype=_PANDAS.get(kind), index=index)
    return pandas.Series(list(column.values), dtype=object, index=index)


def polars_series(name: str, column: Column) -> Any:
    """Return a column as a Series of polars."""
    polars = sys.modules["polars"]
    kind, values = _typed(column)
    types = {
        "integer": polars.Int64,
        "unsigned": polars.UInt64,
        "number": polars.Float64,
        "boolean": polars.Boolean,
        "string": polars.String,
        "date": polars.Date,
        "datetime": polars.Datetime("us"),
        "instant": polars.Datetime("us", "UTC"),
    }
    with suppress(Exception):  # no type of polars holds these values together
        if kind in types:
            return polars.Series(name, values, dtype=types[kind], strict=True)
        series = polars.Series(name, values, strict=False)  # lists and objects of the same structure
        if not _has_null(values) and all(map(_same, series.to_list(), values)):
            return series
    return polars.Series(name, list(column.values), dtype=polars.Object)


def _typed(column: Column) -> tuple[str, list[Any]]:
    # Returns the type, which may also be ``unsigned``, ``instant`` or ``object``, and the values.
    values = list(column.values)
    present = [value for value in values if value is not None]
    types = {type(value) for value in present}
    if not present:
        return column.kind if column.kind in _PANDAS or column.kind == "string" else "object", values
    if types == {str}:
        return _dated(column.kind, values) or ("string", values)
    if types == {bool}:
        return "boolean", values
    if not types <= {int, float}:
        return "object", values
    if column.kind == "integer" and all(value == value // 1 for value in present):  # 3.0 is an integer in JSON Schema
        values = [None if value is None else int(value) for value in values]
        return _integers(values), values
    if column.kind == "number" or types == {float}:
        exact = all(_is_exact(value) for value in present)
        return (
            ("number", [None if value is None else float(value) for value in values]) if exact else ("object", values)
        )
    return (_integers(values) if types == {int} else "object"), values


def _integers(values: list[Any]) -> str:
    present = [value for value in values if value is not None]
    if all(value in _INT64 for value in present):
        return "integer"
    return "unsigned" if all(value in _UINT64 for value in present) else "object"


def _is_exact(value: float) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _dated(kind: str | None, values: list[Any]) -> tuple[str, list[Any]] | None:
    # Converts texts that the schema declares as dates; None if one is not a date, or has more digits than the type.
    try:
        if kind == "date":
            return kind, [None if text is None else date.fromisoformat(text) for text in values]
        if kind != "datetime" or not all(text is None or _is_precise(text) for text in values):
            return None
        found = [None if text is None else datetime.fromisoformat(text) for text in values]
    except ValueError:
        return None
    zones = {moment.tzinfo is not None for moment in found if moment is not None}
    if zones == {True}:
        return "instant", [None if moment is None else moment.astimezone(UTC) for moment in found]
    return (kind, found) if zones == {False} else None


def _is_precise(text: str) -> bool:
    fraction = text.partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    return digits <= _LONGEST_SECOND


def _has_null(value: Any) -> bool:
    # Null in an object: polars has null for a missing name, too.
    if isinstance(value, list):
        return any(map(_has_null, value))
    return isinstance(value, dict) and any(each is None or _has_null(each) for each in value.values())


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return (
            isinstance(found, dict)
            and value.keys() <= found.keys()
            and all(each is None if name not in value else _same(each, value[name]) for name, each in found.items())
        )
    if isinstance(value, list):
        return isinstance(found, list) and len(found) == len(value) and all(map(_same, found, value))
    return type(found) is type(value) and bool(found == value)
