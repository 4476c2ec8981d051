"""What a user of the magics reads instead of a traceback."""

from __future__ import annotations

from ...core.terminal_text import visible


class MagicError(Exception):
    """What a user reads instead of a traceback: one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [visible(str(self))]


class Detached(MagicError):
    """An interrupt has ended the waiting, and not the jobs; cells that follow in a *Run All* are not run."""
