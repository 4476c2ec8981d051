"""Check the installed versions."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from jupyter_core.paths import jupyter_config_path, jupyter_path

from ..._version import __version__
from ...requirement_check import unmet_requirements
from ..settings import Settings
from .findings import Finding

LABEXTENSION = "jupyter-bgstream"
WAL_RESET_FIXED = (3, 51, 3)

_finding = partial(Finding, area="versions")


def check(_: Settings) -> Iterator[Finding]:
    """Report the versions, and whether labextension and server match."""
    yield _finding(level="ok", message=f"jupyter_bgstream {__version__}, Python {platform.python_version()}.")
    for unmet in unmet_requirements():
        yield _finding(level="problem", message=unmet.message, advice=unmet.advice)
    message = f"SQLite {sqlite3.sqlite_version}."
    if sqlite3.sqlite_version_info < WAL_RESET_FIXED:
        message += (
            " It has the WAL-reset bug of SQLite before 3.51.3; jupyter_bgstream checkpoints in a way that avoids it."
        )
    yield _finding(level="ok", message=message)
    pages = {name: _version(name) for name in ("jupyterlab", "notebook")}
    have = ", ".join(f"{name} {version}" for name, version in pages.items() if version)
    yield _finding(level="ok", message=f"jupyter_server {_version('jupyter_server')}{have and ', ' + have}.")
    if not have:
        yield _finding(
            level="warning",
            message=f"Neither JupyterLab nor Notebook is installed for {sys.executable}.",
            advice="To show answers: pip install 'jupyter_bgstream[lab]'",
        )
    yield _labextension()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _labextension() -> Finding:
    for folder in jupyter_path("labextensions"):
        package = Path(folder) / LABEXTENSION / "package.json"
        if package.is_file():
            break
    else:
        return _finding(
            level="problem",
            message="The labextension is not installed, so that the page shows no answers.",
            advice="pip install --force-reinstall jupyter_bgstream",
        )
    version = json.loads(package.read_text("utf-8")).get("version")
    if version != __version__:
        return _finding(
            level="problem",
            message=f"The labextension in {package.parent} is {version}, but the server is {__version__}.",
            advice="pip install --force-reinstall jupyter_bgstream, and reload the page",
        )
    if _is_disabled():
        return _finding(
            level="problem",
            message="The labextension is disabled, so that the page shows no answers.",
            advice=f"jupyter labextension enable {LABEXTENSION}",
        )
    return _finding(level="ok", message=f"The labextension in {package.parent} has the same version.")


def _is_disabled() -> bool:
    for folder in jupyter_config_path():
        file = Path(folder) / "labconfig" / "page_config.json"
        try:
            disabled = json.loads(file.read_text("utf-8")).get("disabledExtensions", {})
        except (OSError, ValueError):
            continue
        names = disabled if isinstance(disabled, list) else [name for name, is_off in disabled.items() if is_off]
        if any(name == LABEXTENSION or name.startswith(LABEXTENSION + ":") for name in names):
            return True
    return False
