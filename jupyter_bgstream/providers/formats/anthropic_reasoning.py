"""Reasoning of Anthropic's models: how each generation is asked for it.

Source: https://platform.claude.com/docs/en/build-with-claude/thinking and .../effort, November 2026.
"""

import re
from typing import Any

from ..standard_parameters import Effort

MAX_TOKENS = 32_000  # reasoning included; every model since Claude 4 supports it

# Up to 4.5 a model gets a budget of tokens; from 4.6 on it gets an effort.
_BUDGETED = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-\d{8}|-latest|@|:|$))")
_BUDGETS: dict[Effort, int] = {  # tokens; the largest leave room for the answer within MAX_TOKENS
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
_NO_XHIGH = re.compile(r"claude-(?:opus|sonnet)-4-6(?![0-9])")  # support max, but nothing between it and high
_ALWAYS_REASONS = re.compile(r"claude-sonnet-5-5")


def thinking(model: str, effort: Effort) -> dict[str, Any]:
    """Return the fields of a request for an effort of reasoning, with the reasoning shown.

    A model that cannot reason, or always reasons, refuses them with a message of the service.
    """
    if _BUDGETED.search(model):
        if effort == "none":
            return {}  # their default
        return {"thinking": {"type": "enabled", "budget_tokens": _BUDGETS[effort]}}
    if effort == "none":
        return {"thinking": {"type": "between_tools" if _ALWAYS_REASONS.search(model) else "disabled"}}
    value = "low" if effort == "minimal" else "max" if effort == "xhigh" and _NO_XHIGH.search(model) else effort
    # Without `display` newer models reason without showing it.
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": value}}
