"""Errors of the magics, shown without a traceback."""

from ...core.terminal_text import visible


class MagicError(Exception):
    """Error of a magic that IPython shows as one sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [visible(str(self))]


class Detached(MagicError):
    """An interrupt ended the wait but not the jobs; *Run All* does not run the following cells."""
