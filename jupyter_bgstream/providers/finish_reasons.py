"""Finish reasons: a fixed set of words for the many that providers send."""

from typing import Any

OTHER = "other"
# ``incomplete`` is Responses' for an answer that ended early without a reason; ``pause_turn`` is Anthropic's for one
# that can be continued. PROTOCOL.md has this list.
FINISHES = frozenset({"stop", "length", "content_filter", "refusal", "tool_calls", "incomplete", "pause_turn", OTHER})


def finish_word(text: str) -> str:
    """Return the word for a provider's finish reason; OTHER for any other text."""
    word = text.strip().lower() if len(text) < 100 else OTHER
    return word if word in FINISHES else OTHER


def text_of(value: Any) -> str | None:
    """Return a finish reason as text; another type is OTHER, since it must not spoil an answer. None: none yet."""
    if isinstance(value, str):
        return value
    return OTHER if value else None
