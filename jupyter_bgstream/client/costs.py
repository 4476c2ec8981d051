"""What jobs cost, for ``%bg cost``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec

from ..core.costs import By, Spent
from .grid import grid

KEYS: tuple[By, ...] = get_args(By)

_NONE = {"thread": "(no thread)", "notebook": "(no notebook)", "group": "(no group)"}


class CostList(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer."""

    costs: list[Spent]


def usd(amount: float, *, estimated: bool) -> str:
    """Write a price: two digits that count below a cent, and the sign of an estimate."""
    sign = "≈ " if estimated else ""
    if amount == 0:
        return f"{sign}$0"
    if amount < 0.000_1:
        return f"{sign}<$0.0001"
    return f"{sign}${amount:,.2f}" if amount >= 0.095 else f"{sign}${amount:.2g}"


def cost_table(rows: Sequence[Spent], by: By) -> dict[str, str]:
    """Return the display bundle of costs, in the order given."""
    if not rows:
        empty = "Nothing has been counted yet."
        return {"text/plain": empty, "text/html": f"<p>{empty}</p>"}
    return grid((by, "jobs", "tokens in", "tokens out", "cost"), [_row(row, by) for row in rows], numbers=1)


def _row(row: Spent, by: By) -> tuple[str, ...]:
    cost = "not known" if row.usd is None else usd(row.usd, estimated=row.estimated)
    return row.key or _NONE.get(by, ""), f"{row.jobs:,}", _count(row.input_tokens), _count(row.output_tokens), cost


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
