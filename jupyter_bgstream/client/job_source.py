"""Source of a job: the kernel and the cell that submit it."""

import sys
from pathlib import Path
from typing import Any

_KERNEL_FILE = "kernel-"


def job_source() -> dict[str, str] | None:
    """Return the ids of this kernel and of the cell that runs in this thread, as far as they are known.

    Returns:
        None outside a kernel.

    """
    kernel = getattr(current_shell(), "kernel", None)
    if kernel is None:
        return None
    found = {"kernel": _kernel_id(kernel), "cell": _cell_id(kernel)}
    return {name: value for name, value in found.items() if value} or None


def current_shell() -> Any:
    """Return the shell of IPython in which this code runs, or None."""
    # Code in a kernel has imported IPython already; other code does not need it.
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _kernel_id(kernel: Any) -> str | None:
    # Jupyter names the connection file after the kernel: kernel-<id>.json.
    path = getattr(getattr(kernel, "parent", None), "connection_file", None)
    name = Path(path).stem if path else ""
    return name.removeprefix(_KERNEL_FILE) if name.startswith(_KERNEL_FILE) else None


def _cell_id(kernel: Any) -> str | None:
    # Not every front end sends the id.
    cell = (kernel.get_parent() or {}).get("metadata", {}).get("cellId")
    return cell if isinstance(cell, str) else None
