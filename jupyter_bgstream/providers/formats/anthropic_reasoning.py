"""What Anthropic's models differ in: how each is asked to reason.

Source: https://platform.claude.com/docs/en/build-with-claude/thinking and .../effort, November 2026.
"""

from __future__ import annotations

import re
from typing import Any

from ..parameters import Effort

MAX_TOKENS = 32_000  # reasoning included; what every model since Claude 4 can give

# Up to 4.5 a model is given a budget of tokens; from 4.6 on it is told how much effort to make.
_BUDGETED = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-\d{8}|-latest|@|:|$))")
_BUDGETS: dict[Effort, int] = {  # tokens; the largest leave room for the answer within MAX_TOKENS
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
_NO_XHIGH = re.compile(r"claude-(?:opus|sonnet)-4-6(?![0-9])")  # know max, but nothing between it and high
_NEVER_QUITE_OFF = re.compile(r"claude-sonnet-5-5")


def thinking(model: str, effort: Effort) -> dict[str, Any]:
    """Return the fields of a request that make a model reason so much, and show it.

    A model that cannot reason, or cannot stop it, refuses them in words of the service.
    """
    if _BUDGETED.search(model):
        if effort == "none":
            return {}  # that is what these do without being told
        return {"thinking": {"type": "enabled", "budget_tokens": _BUDGETS[effort]}}
    if effort == "none":
        return {"thinking": {"type": "between_tools" if _NEVER_QUITE_OFF.search(model) else "disabled"}}
    word = "low" if effort == "minimal" else "max" if effort == "xhigh" and _NO_XHIGH.search(model) else effort
    # Without `display` newer models reason without showing it.
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": word}}
