"""What Chat Completions and its dialects say of tokens and money, as our Usage."""

from __future__ import annotations

from typing import Any

from ...core.events import Usage
from .base import MOST_USD, count

_MOST = 1e15  # of whatever unit: more is a mistake, and so is MOST_USD of money
_TICKS = 1e10  # of xAI's, in a dollar: https://docs.x.ai/developers/cost-tracking


def usage_of(found: Any) -> Usage | None:
    """Return the counts of a ``usage`` object, which a later one replaces; None if there are none in it."""
    if not isinstance(found, dict):
        return None
    given, answered, total = (count(found, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    reasoning = _first(found, ("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",))
    apart = (
        reasoning and answered is not None and (total == (given or 0) + answered + reasoning or reasoning > answered)
    )
    usage = Usage(
        input_tokens=given,
        # xAI, and Perplexity's research, count the reasoning apart; for us it is a part of the output.
        output_tokens=answered + reasoning if apart and answered is not None and reasoning else answered,
        # As DeepSeek and Moonshot call it.
        cached_tokens=_first(
            found, ("prompt_tokens_details", "cached_tokens"), ("prompt_cache_hit_tokens",), ("cached_tokens",)
        ),
        cache_write_tokens=count(found, "prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=reasoning,
        cost=_cost(found),
    )
    return None if usage == Usage() else usage


def _first(found: dict[str, Any], *paths: tuple[str, ...]) -> int | None:
    return next((number for path in paths if (number := count(found, *path)) is not None), None)


def _cost(found: dict[str, Any]) -> float | None:
    # In USD, as the service bills it.
    match found:
        case {"cost": {"total_cost": total}}:  # Perplexity
            return _amount(total)
        case {"cost": fee, "is_byok": True, "cost_details": {"upstream_inference_cost": paid}}:
            # OpenRouter with a key of one's own: its fee, and what the service behind it bills.
            own = _amount(fee)
            return None if own is None else own + (_amount(paid) or 0.0)
        case {"cost": total}:  # OpenRouter
            return _amount(total)
        case {"cost_in_usd_ticks": ticks}:  # xAI
            return _amount(ticks, 1 / _TICKS)
    return None


def _amount(found: Any, unit: float = 1.0) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _MOST:
        return None
    return found * unit if found * unit < MOST_USD else None


def timed(timings: Any) -> Usage | None:
    """Return the counts of llama.cpp's ``timings``: tokens that it worked on, those from its cache apart."""
    worked, answered, cached = (count(timings, f"{kind}_n") for kind in ("prompt", "predicted", "cache"))
    if worked is None or answered is None:
        return None
    return Usage(input_tokens=worked + (cached or 0), output_tokens=answered, cached_tokens=cached)
