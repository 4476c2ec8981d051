"""Join the answers of a batch to its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .columns import Column
from .json_schema import Schema
from .table import Rows

if TYPE_CHECKING:
    from .results import Row

TAKEN = "answer_"  # prefix of a new column whose name the table has already


def joined_frame(rows: Rows, answered: Sequence[Row], schema: Schema | None) -> Any:
    """Return a copy of the table, of the same kind, with columns for answers, status and errors."""
    new: list[tuple[str, Column]] = []
    if schema is None:
        new.append(("answer", Column(values=[row.text for row in answered], kind="string")))
    elif schema.columns is None:
        new.append(("answer", Column(values=[row.value for row in answered], kind=schema.kind)))
    else:
        for name, kind in schema.columns.items():
            new.append((name, Column(values=[_property(row.value, name) for row in answered], kind=kind)))
    new.append(("status", Column(values=[row.status for row in answered], kind="string")))
    errors = [row.error and row.error.message for row in answered]
    new.append(("error", Column(values=errors, kind="string")))
    named: dict[str, Column] = {}
    for name, column in new:
        while name in rows.columns or name in named:
            name = TAKEN + name
        named[name] = column
    return rows.joined(named)


def _property(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
