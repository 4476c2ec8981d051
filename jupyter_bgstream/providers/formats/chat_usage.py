"""Usage and cost in Chat Completions and its dialects."""

from typing import Any

from ...core.events import Usage
from .stream_decoder import MAX_USD, count

_MAX_AMOUNT = 1e15  # in any unit: more is a mistake, and so is more than MAX_USD
_TICKS = 1e10  # of xAI, per dollar: https://docs.x.ai/developers/cost-tracking


def usage_of(found: Any) -> Usage | None:
    """Return the counts of a ``usage`` object, which replaces an earlier one; None if it has none."""
    if not isinstance(found, dict):
        return None
    prompt, completion, total = (count(found, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    reasoning = _first(found, ("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",))
    is_separate = (
        reasoning
        and completion is not None
        and (total == (prompt or 0) + completion + reasoning or reasoning > completion)
    )
    usage = Usage(
        input_tokens=prompt,
        # xAI, and Perplexity's research, count reasoning separately; here it is a part of the output.
        output_tokens=(completion + reasoning if is_separate and completion is not None and reasoning else completion),
        # DeepSeek's and Moonshot's names.
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
    # In USD, as billed by the service.
    match found:
        case {"cost": {"total_cost": total}}:  # Perplexity
            return _amount(total)
        case {"cost": fee, "is_byok": True, "cost_details": {"upstream_inference_cost": paid}}:
            # OpenRouter with the user's own key: its fee, and the bill of the service behind it.
            own = _amount(fee)
            return None if own is None else own + (_amount(paid) or 0.0)
        case {"cost": total}:  # OpenRouter
            return _amount(total)
        case {"cost_in_usd_ticks": ticks}:  # xAI
            return _amount(ticks, 1 / _TICKS)
    return None


def _amount(found: Any, unit: float = 1.0) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _MAX_AMOUNT:
        return None
    return found * unit if found * unit < MAX_USD else None


def timings_usage(timings: Any) -> Usage | None:
    """Return the counts of llama.cpp's ``timings``: processed tokens, those from its cache separately."""
    processed, predicted, cached = (count(timings, f"{kind}_n") for kind in ("prompt", "predicted", "cache"))
    if processed is None or predicted is None:
        return None
    return Usage(input_tokens=processed + (cached or 0), output_tokens=predicted, cached_tokens=cached)
