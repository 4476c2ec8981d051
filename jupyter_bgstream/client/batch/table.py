"""Rows of tables of any kind, and tables joined with answers.

Neither pandas nor polars is imported: the caller of ``map`` has imported the library of the table.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from ...core.errors import InvalidRequestError
from .columns import Column, pandas_series, polars_series

MAX_ROWS = 1_000_000  # rows
ITEM = "row"  # name of the only column of items without columns


class Rows(Protocol):
    """Table of any kind."""

    @property
    def columns(self) -> Sequence[str]: ...
    def __len__(self) -> int: ...
    def values(self, column: str) -> Sequence[Any]: ...  # of a column, in order of the rows
    def items(self) -> Iterator[Any]: ...  # each row: a dict, or the item of the list
    def joined(self, new: Mapping[str, Column]) -> Any: ...  # table of the same kind with more columns


def read_rows(table: Any) -> Rows:
    """Return the rows of a table; raises InvalidRequestError if it has no rows, too many, or an unknown type."""
    rows = _of_a_library(table)
    if rows is None:
        rows = ListRows(_listed(table))
    if len(rows) > MAX_ROWS:
        raise InvalidRequestError(
            f"The table has {len(rows):,} rows; the limit is {MAX_ROWS:,}. Split it.", field="table"
        )
    if not len(rows):
        raise InvalidRequestError("The table is empty.", field="table")
    if twice := [name for name, times in Counter(rows.columns).items() if times > 1]:
        raise InvalidRequestError(f"The table has more than one column named {twice[0]!r}; rename one.", field="table")
    return rows


def _of_a_library(table: Any) -> Rows | None:
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(table, pandas.Series):
        table = table.to_frame(ITEM if table.name is None else table.name)
    if pandas is not None and isinstance(table, pandas.DataFrame):
        return PandasRows(table)
    if polars is not None and isinstance(table, polars.LazyFrame):
        raise InvalidRequestError("A LazyFrame has no rows yet. Call collect() first.", field="table")
    if polars is not None and isinstance(table, polars.Series):
        table = table.to_frame(table.name or ITEM)
    if polars is not None and isinstance(table, polars.DataFrame):
        return PolarsRows(table)
    return None


def _listed(table: Any) -> list[Any]:
    if isinstance(table, str | bytes | Mapping) or not isinstance(table, Iterable):
        raise InvalidRequestError(
            f"A {type(table).__name__} is not a table. Use a DataFrame of pandas or polars, a list of dicts, or any"
            " iterable of rows.",
            field="table",
        )
    return list(islice(table, MAX_ROWS + 1))


class ListRows:
    """List of dicts, or of other items as the column ``row``; later changes of the dicts have no effect."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items
        self._dicts = all(isinstance(item, Mapping) for item in items)
        self._copies: list[dict[Any, Any]] = [dict(item) for item in items] if self._dicts else []
        self.columns: list[str] = [ITEM]
        if self._dicts:
            self.columns = list(dict.fromkeys(str(name) for item in items for name in item))

    def __len__(self) -> int:
        return len(self._items)

    def values(self, column: str) -> Sequence[Any]:
        if not self._dicts:
            return self._items
        named = [{str(name): name for name in item} if column not in item else {} for item in self._copies]
        return [item.get(names.get(column, column)) for item, names in zip(self._copies, named, strict=True)]

    def items(self) -> Iterator[Any]:
        return iter(self._items)

    def joined(self, new: Mapping[str, Column]) -> list[dict[Any, Any]]:
        """Return copies of the dicts, or dicts with each item as ``row``, with more columns."""
        dicts = self._copies if self._dicts else ({ITEM: item} for item in self._items)
        added = zip(*(column.values for column in new.values()), strict=True)
        return [item | dict(zip(new, values, strict=True)) for item, values in zip(dicts, added, strict=True)]


class PandasRows:
    """DataFrame of pandas with any index; later changes of the frame, such as sorting, have no effect."""

    def __init__(self, table: Any) -> None:
        self._table = table.copy()
        self.columns = [str(name) for name in table.columns]

    def __len__(self) -> int:
        return len(self._table)

    def values(self, column: str) -> Sequence[Any]:
        values: list[Any] = self._table.iloc[:, self.columns.index(column)].tolist()
        return values

    def items(self) -> Iterator[Any]:
        names = list(self._table.columns)
        every = [self._table.iloc[:, place].tolist() for place in range(len(names))]
        return (dict(zip(names, values, strict=True)) for values in zip(*every, strict=True))

    def joined(self, new: Mapping[str, Column]) -> Any:
        """Return a copy with more columns and the same index."""
        table = self._table.copy()
        for name, column in new.items():
            table[name] = pandas_series(column, table.index).array  # by position, because an index may have duplicates
        return table


class PolarsRows:
    """DataFrame of polars; later changes in place have no effect."""

    def __init__(self, table: Any) -> None:
        self._table = table.clone()
        self.columns = list(table.columns)

    def __len__(self) -> int:
        return int(self._table.height)

    def values(self, column: str) -> Sequence[Any]:
        values: list[Any] = self._table.get_column(column).to_list()
        return values

    def items(self) -> Iterator[Any]:
        rows: Iterator[Any] = self._table.iter_rows(named=True)
        return rows

    def joined(self, new: Mapping[str, Column]) -> Any:
        """Return a frame with more columns."""
        return self._table.with_columns([polars_series(name, column) for name, column in new.items()])


def is_missing(value: Any) -> bool:
    """Return True if a cell is empty: None, NaN, or their equivalents in pandas and numpy."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str) or hasattr(value, "__len__"):
        return False
    try:
        return bool(value != value)  # noqa: PLR0124 - only NaN, of any type, differs from itself
    except Exception:  # a value that compares with nothing
        return False


def check_columns(names: Iterable[str], rows: Rows, what: str, field: str) -> None:
    """Raise InvalidRequestError if the table lacks a column."""
    for name in names:
        if name not in rows.columns:
            shown = ", ".join(rows.columns[:20]) + (", …" if len(rows.columns) > 20 else "")
            hint = " Use {{ and }} for literal braces." if field == "prompt" else ""
            raise InvalidRequestError(
                f"{what} names {name!r}, but the table has no such column. Columns: {shown}.{hint}", field=field
            )


def check_no_gaps(what: str, values: Sequence[Any]) -> None:
    """Raise InvalidRequestError if used values are empty in some rows.

    Args:
        what: The name of the values in the message, such as ``The column 'text'``.
        values: One value a row.

    """
    if empty := [number for number, value in enumerate(values) if is_missing(value)]:
        raise InvalidRequestError(
            f"{what} is empty (None or NaN) in {_rows(empty)}, counted from 0. Fill or drop these rows first.",
            field="table",
        )


def _rows(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"{number:,}" for number in numbers[:8])
    if len(numbers) == 1:
        return f"row {shown}"
    return f"{len(numbers):,} rows ({shown}{', …' if len(numbers) > 8 else ''})"
