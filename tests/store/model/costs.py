"""Sums of tokens and costs of the memory store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from jupyter_bgstream.core.costs import By, CostRow
from jupyter_bgstream.store import cost_ledger

N = TypeVar("N", int, float)


def summed(entries: Iterable[cost_ledger.Entry], *, by: By, since: float | None, until: float | None) -> list[CostRow]:
    """Return the sums of entries: the newest day first, else the highest cost first."""
    first, end = cost_ledger.quarters(since, until)
    rows: dict[str | None, CostRow] = {}
    for entry in entries:
        if first <= entry.at < end:
            key = cost_ledger.day_of(entry.at) if by == "day" else getattr(entry, by)
            row = rows.get(key) or CostRow(
                key=key, jobs=0, input_tokens=None, output_tokens=None, usd=None, estimated=False
            )
            rows[key] = CostRow(
                key=key,
                jobs=row.jobs + entry.jobs,
                input_tokens=_sum(row.input_tokens, entry.input_tokens),
                output_tokens=_sum(row.output_tokens, entry.output_tokens),
                usd=_sum(row.usd, entry.usd),
                estimated=row.estimated or entry.estimated,
            )
    if by == "day":
        return [rows[key] for key in sorted(rows, key=str, reverse=True)[: cost_ledger.MOST]]
    dearest = sorted(rows.values(), key=lambda row: (row.usd is None, -(row.usd or 0), row.key is None, row.key or ""))
    return dearest[: cost_ledger.MOST]


def _sum(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
