"""An installed package, run as a user runs it: a real JupyterLab, a real kernel, a real browser.

``BGSTREAM_SMOKE_PYTHON`` names the interpreter of the environment under test. Without it, this environment is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser.conftest import browser as browser  # noqa: PLC0414 - fixtures
from browser.conftest import context as context  # noqa: PLC0414
from browser.lab import Lab, new_lab
from harness.jupyter import EXPORT_FORMATS, Jupyter, jupyter, of_this_machine
from playwright.async_api import Browser

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider


class Installation:
    """An environment that has the package, and a home in which its commands run."""

    def __init__(self, python: Path, home: Path) -> None:
        self.python = python
        self.home = home

    @property
    def env(self) -> dict[str, str]:
        """Variables of a process that knows its environment and its home, and nothing else of this machine."""
        clean = {name: value for name, value in os.environ.items() if not of_this_machine(name)}
        for name in ("PYTHONPATH", "VIRTUAL_ENV"):
            clean.pop(name, None)
        return clean | {
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's interpreter."""
        command = [str(self.python), *arguments]
        return subprocess.run(
            command, env=self.env, cwd=self.home, check=False, capture_output=True, text=True, timeout=90
        )


@pytest.fixture(scope="session")
def python() -> Path:
    named = os.environ.get("BGSTREAM_SMOKE_PYTHON")
    python = Path(named or sys.executable)
    assert python.is_file(), f"BGSTREAM_SMOKE_PYTHON names {python}, which does not exist."
    return python


@pytest.fixture
def installation(python: Path, tmp_path: Path) -> Installation:
    """The environment under test with an empty home."""
    return Installation(python, tmp_path)


@pytest.fixture(scope="session")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider().in_thread() as provider:
        yield provider


@pytest.fixture(scope="session")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    config = {
        "BgStreamApp": {"providers": {"scripted": {"base_url": provider.base_url}}},
        "LabApp": {"expose_app_in_browser": True},
        "JupyterNotebookApp": {"expose_app_in_browser": True},
    }
    home = tmp_path_factory.mktemp("smoke")
    with jupyter(home, lab=True, disabled=EXPORT_FORMATS, config=config, python=python) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def lab(browser: Browser, server: Jupyter) -> AsyncIterator[Lab]:
    lab = await new_lab(browser, server)
    yield lab
    await lab.context.close()
