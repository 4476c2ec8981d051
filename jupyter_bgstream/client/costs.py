"""Costs of jobs as a table, for ``%bg costs`` and ``costs()``."""

from collections.abc import Iterable
from typing import get_args

from ..core.costs import By, CostRow
from .text_table import Table, grid

KEYS: tuple[By, ...] = get_args(By)

_NONE = {"thread": "(no thread)", "notebook": "(no notebook)", "batch": "(no batch)", "submitted_by": "(no name)"}


def usd(amount: float, *, estimated: bool) -> str:
    """Format a price, with two significant digits below 10 cents, and ≈ before an estimate."""
    sign = "≈ " if estimated else ""
    if amount == 0:
        return f"{sign}$0"
    if amount < 0.000_1:
        return f"{sign}<$0.0001"
    return f"{sign}${amount:,.2f}" if amount >= 0.095 else f"{sign}${amount:.2g}"


class Costs(Table, list[CostRow]):
    """Summed costs of jobs: a list that displays as a table.

    >>> bg.costs("model")
    model...jobs...tokens in...tokens out...cost...
    >>> sum(row.jobs for row in bg.costs()) > 0
    True
    """

    def __init__(self, rows: Iterable[CostRow], by: By) -> None:
        super().__init__(rows)
        self._by = by

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        headings = (self._by, "jobs", "tokens in", "tokens out", "cost")
        return grid(headings, [_row(row, self._by) for row in self], numbers=1, empty="No costs yet.")


def _row(row: CostRow, by: By) -> tuple[str, ...]:
    cost = "unknown" if row.usd is None else usd(row.usd, estimated=row.estimated)
    return row.key or _NONE.get(by, ""), f"{row.jobs:,}", _count(row.input_tokens), _count(row.output_tokens), cost


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
