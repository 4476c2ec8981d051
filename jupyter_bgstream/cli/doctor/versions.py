"""Check the installed versions."""

import json
import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from jupyter_core.paths import jupyter_config_path, jupyter_path

from ..._version import __version__
from ...requirement_check import unmet_requirements
from ..settings import Settings
from .findings import Finding, ok, problem, warning

LABEXTENSION = "jupyter-bgstream"
WAL_RESET_FIXED = (3, 51, 3)


def check(_: Settings) -> Iterator[Finding]:
    """Report the versions, and whether labextension and server match."""
    yield ok(f"jupyter_bgstream {__version__}, Python {platform.python_version()}.")
    for unmet in unmet_requirements():
        yield problem(unmet.message, unmet.advice)
    message = f"SQLite {sqlite3.sqlite_version}."
    if sqlite3.sqlite_version_info < WAL_RESET_FIXED:
        message += (
            " It has the WAL-reset bug of SQLite before 3.51.3; jupyter_bgstream checkpoints in a way that avoids it."
        )
    yield ok(message)
    pages = {name: _version(name) for name in ("jupyterlab", "notebook")}
    have = ", ".join(f"{name} {version}" for name, version in pages.items() if version)
    yield ok(f"jupyter_server {_version('jupyter_server')}{have and ', ' + have}.")
    if not have:
        yield warning(
            f"Neither JupyterLab nor Notebook is installed for {sys.executable}.",
            "To show answers: pip install 'jupyter_bgstream[lab]'",
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
        return problem(
            "The labextension is not installed, so that the page shows no answers.",
            "pip install --force-reinstall jupyter_bgstream",
        )
    version = json.loads(package.read_text("utf-8")).get("version")
    if version != __version__:
        return problem(
            f"The labextension in {package.parent} is {version}, but the server is {__version__}.",
            "pip install --force-reinstall jupyter_bgstream, and reload the page",
        )
    if _is_disabled():
        return problem(
            "The labextension is disabled, so that the page shows no answers.",
            f"jupyter labextension enable {LABEXTENSION}",
        )
    return ok(f"The labextension in {package.parent} has the same version.")


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
