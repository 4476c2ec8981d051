"""Costs in USD: of one attempt, of all attempts of a job, and sums over jobs."""

from typing import Literal

import msgspec

from .events import Usage


class Cost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A known cost. An unknown cost is None, never a Cost of 0."""

    usd: float
    estimated: bool = False  # whether any part comes from a price list instead of the provider


def updated(before: Usage | None, usage: Usage) -> Usage:
    """Return the counts of an attempt that replace the earlier ones; a known cost stays until a new one comes."""
    if usage.cost is None and before is not None and before.cost is not None:
        return msgspec.structs.replace(usage, cost=before.cost, cost_estimated=before.cost_estimated)
    return usage


def total(cost: Cost | None, before: Usage | None, usage: Usage) -> Cost | None:
    """Return the cost of all attempts after new counts of the current attempt.

    Args:
        cost: The cost of all attempts until now.
        before: The counts of the current attempt that are replaced.
        usage: Its new counts.
    """
    if usage.cost is None:
        return cost
    # The cost of this attempt is replaced; earlier attempts were paid for all the same.
    paid = (cost.usd if cost is not None else 0.0) - ((before.cost or 0.0) if before is not None else 0.0)
    estimated = (cost is not None and cost.estimated) or usage.cost_estimated
    return Cost(usd=max(0.0, paid) + usage.cost, estimated=estimated)


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The price of a request with a given number of tokens, in USD by a price list; None if it is unknown."""

    model: str  # provider/name
    input_usd: float | None = None
    output_usd: float | None = None


By = Literal["day", "model", "thread", "notebook", "batch", "submitted_by"]


class CostRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens and cost of an owner's jobs of one day, of one model, …: sums of the known values."""

    key: str | None  # the day as YYYY-MM-DD, or a name; None: jobs without a name
    jobs: int
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    estimated: bool  # whether any part of usd is
