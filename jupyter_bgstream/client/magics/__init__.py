"""``%%bg`` and ``%bg``: background jobs from a notebook cell or an IPython prompt."""

from IPython.core.interactiveshell import InteractiveShell

from .bg_cell import CellMagic
from .bg_line import LineMagic
from .completion import Completion
from .errors import MagicError
from .help import HELP

__all__ = ["HELP", "MagicError", "load"]


def load(shell: InteractiveShell) -> None:
    """Register the magics and their completion."""
    cell = CellMagic(shell)
    line = LineMagic(shell, cell.started)
    shell.magics_manager.register_function(cell.start, "cell", "bg")
    shell.magics_manager.register_function(line.manage, "line", "bg")
    Completion(shell, line.verbs).install()
