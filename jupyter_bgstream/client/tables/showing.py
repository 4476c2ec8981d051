"""Show something where a cell runs."""

from __future__ import annotations

import sys
from typing import Any


def this_run() -> object | None:
    """Return what tells this run of a cell from others, or None outside IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return None if shell is None else (id(shell), shell.execution_count)


def show(bundle: dict[str, Any]) -> None:
    """Display a bundle."""
    from IPython.display import display  # noqa: PLC0415 - it is there where something can be shown

    display(bundle, raw=True)  # type: ignore[no-untyped-call]
