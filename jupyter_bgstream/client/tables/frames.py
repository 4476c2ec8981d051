"""A table with what a batch has found out beside each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .rows import Column, Rows
from .schemas import Schema

if TYPE_CHECKING:
    from .answers import Row

TAKEN = "answer_"  # before a new column's name that the table has already


def framed(rows: Rows, answered: Sequence[Row], schema: Schema | None) -> Any:
    """Return a copy of the table with the answers, of the kind that was given."""
    new: dict[str, Column] = {}
    if schema is None:
        new["answer"] = Column(values=[row.text for row in answered], kind="string")
    elif schema.columns is None:
        new["answer"] = Column(values=[row.value for row in answered])
    else:
        for name, kind in schema.columns.items():
            new[name] = Column(values=[_held(row.value, name) for row in answered], kind=kind)
    new |= _beside(answered, new)
    return rows.joined({_free(name, rows.columns, new): column for name, column in new.items()})


def _beside(answered: Sequence[Row], others: dict[str, Column]) -> dict[str, Column]:
    beside = {
        "status": Column(values=[row.status for row in answered], kind="string"),
        "error": Column(values=[row.error and row.error.message for row in answered], kind="string"),
    }
    # A schema may have such a property itself.
    return {TAKEN + name if name in others else name: column for name, column in beside.items()}


def _held(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _free(name: str, taken: Sequence[str], new: dict[str, Column]) -> str:
    while name in taken:
        name = TAKEN + name
        while name in new:
            name = TAKEN + name
    return name
