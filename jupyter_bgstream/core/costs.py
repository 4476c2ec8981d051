"""What an answer cost, in USD: of one try at a provider, and of all tries together."""

from __future__ import annotations

from typing import Literal

import msgspec

from .events import Usage


class Cost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a price. Where nothing is known there is no Cost, and never one of 0."""

    usd: float
    estimated: bool = False  # whether any of it is by a list of prices and not the provider's own figure


def updated(before: Usage | None, usage: Usage) -> Usage:
    """Return the counts of a try that replace those ``before``; a figure once known stays until another comes."""
    if usage.cost is None and before is not None and before.cost is not None:
        return msgspec.structs.replace(usage, cost=before.cost, cost_estimated=before.cost_estimated)
    return usage


def total(cost: Cost | None, before: Usage | None, usage: Usage) -> Cost | None:
    """Return the cost of all tries after counts that replace what this try said ``before``."""
    if usage.cost is None:
        return cost
    # What a try was said to cost is replaced; earlier tries were paid for all the same.
    paid = (cost.usd if cost is not None else 0.0) - ((before.cost or 0.0) if before is not None else 0.0)
    estimated = (cost is not None and cost.estimated) or usage.cost_estimated
    return Cost(usd=max(0.0, paid) + usage.cost, estimated=estimated)


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request of so many tokens costs by a list of prices, in USD; None where the list does not know."""

    model: str  # provider/name
    input_usd: float | None = None
    output_usd: float | None = None


By = Literal["day", "model", "thread", "notebook", "group", "submitted_by"]


class CostRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What some jobs of an owner took together: those of one day, of one model, …. Sums of what is known."""

    key: str | None  # the day as YYYY-MM-DD, or a name; None: of jobs that have none
    jobs: int
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    estimated: bool  # whether any of usd is
