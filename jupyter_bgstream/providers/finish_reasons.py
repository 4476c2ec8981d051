"""The words for why an answer ended, of which there are few, whatever a service says."""

from __future__ import annotations

from typing import Any

OTHER = "other"
# ``incomplete`` is Responses' for an answer that ended early without a reason; ``pause_turn`` is Anthropic's for one
# that waits to be gone on with. PROTOCOL.md has this list.
FINISHES = frozenset({"stop", "length", "content_filter", "refusal", "tool_calls", "incomplete", "pause_turn", OTHER})


def finish_word(said: str) -> str:
    """Return the word for what a provider said of the end; it may be anything, so others are OTHER."""
    word = said.strip().lower() if len(said) < 100 else OTHER
    return word if word in FINISHES else OTHER


def text_of(said: Any) -> str | None:
    """Return a finish reason as text: a service may send anything, which shall not spoil an answer. None: none yet."""
    if isinstance(said, str):
        return said
    return OTHER if said else None
