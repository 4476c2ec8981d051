"""Where the running code was asked for: which kernel, which cell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_KERNEL_FILE = "kernel-"


def origin() -> dict[str, str] | None:
    """Return the kernel's id and the cell's, as far as they are known, or None outside a kernel.

    The cell is the one whose execution is under way in this thread.
    """
    # Whoever runs in a kernel has imported these long ago; whoever does not need not.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    found = {"kernel": _kernel_id(kernel), "cell": _cell_id(kernel)}
    return {name: value for name, value in found.items() if value} or None


def _kernel_id(kernel: Any) -> str | None:
    # Jupyter names the connection file after the kernel: kernel-<id>.json.
    path = getattr(getattr(kernel, "parent", None), "connection_file", None)
    name = Path(path).stem if path else ""
    return name.removeprefix(_KERNEL_FILE) if name.startswith(_KERNEL_FILE) else None


def _cell_id(kernel: Any) -> str | None:
    # Not every front end sends it.
    cell = (kernel.get_parent() or {}).get("metadata", {}).get("cellId")
    return cell if isinstance(cell, str) else None
