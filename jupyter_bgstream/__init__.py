"""LLM calls that go on in the background of Jupyter, after the cell, notebook, browser or kernel has closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Nothing heavy is imported here: a kernel loads this package for its client alone, a server for its server alone.


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics: ``%load_ext jupyter_bgstream``."""
    from .client.magics import load

    load(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server.app import BgStreamApp

    return [{"module": "jupyter_bgstream", "app": BgStreamApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-bgstream"}]
