"""Notebooks as programs execute them, and what their files hold afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import psutil
from client.conftest import Kernel
from harness.jupyter import Jupyter
from nbformat.v4 import new_code_cell, new_notebook

Data = dict[str, Any]  # of an output, by MIME type

_SETUP = "import jupyter_bgstream as bg\n%load_ext jupyter_bgstream"
_PYTHON = [sys.executable, "-m"]
_EXECUTE = str(Path(sys.executable).with_name("jupyter-execute"))

_PATIENCE = 150.0  # seconds; less than a test may take, so that a program that hangs prints its stacks

_START = """
import json, psutil, signal, subprocess, time
started = [subprocess.Popen(each, stdout=-1, stderr=-2, text=True) for each in {commands!r}]
printed = []
limit = time.monotonic() + {patience!r}
"""
# In slices: a machine under load takes longer than a front end waits for a message.
_GO_ON = """
try:
    printed.append(started[len(printed)].communicate(timeout=60)[0])
except subprocess.TimeoutExpired:
    if time.monotonic() > limit:  # the kernels of programs, too
        for each in psutil.Process().children(recursive=True):
            each.send_signal(signal.SIGABRT)
print(len(printed), end="")
"""

Command = list[str]


def papermill(path: Path, *options: str) -> Command:
    """Execute a notebook in place."""
    return [*_PYTHON, "papermill", str(path), str(path), *options]


def nbconvert(path: Path) -> Command:
    """Execute a notebook in place."""
    return [*_PYTHON, "nbconvert", "--execute", "--to", "notebook", "--inplace", str(path)]


def html(path: Path) -> Command:
    """Execute a notebook and make a page of it; its file stays as it is."""
    return [*_PYTHON, "nbconvert", "--execute", "--to", "html", str(path)]


def execute(path: Path, *options: str) -> Command:
    """Execute a notebook in place."""
    return [_EXECUTE, "--inplace", str(path), *options]


def fill(path: Path, *options: str) -> Command:
    """Bring the answers in a file up to date."""
    return [*_PYTHON, "jupyter_bgstream.cli", "fill", *options, str(path)]


class Place:
    """Runs programs in a terminal, or in a kernel of the server, as a cell's ``!`` does."""

    def __init__(self, server: Jupyter, kernel: Kernel | None) -> None:
        self._server = server
        self._kernel = kernel

    def run(self, *commands: Command) -> list[tuple[int, str]]:
        """Run programs at the same time; return of each the exit status, and all that it has printed."""
        if self._kernel is None:
            env = self._server.environment()
            started = [
                subprocess.Popen(each, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                for each in commands
            ]
            printed = [_output_of(each) for each in started]
            return [(each.returncode, text) for each, text in zip(started, printed, strict=True)]
        assert self._kernel.run(_START.format(commands=list(commands), patience=_PATIENCE)).reply["status"] == "ok"
        while int(self._kernel.run(_GO_ON).printed) < len(commands):
            pass
        found = self._kernel.run("print(json.dumps([[each.returncode for each in started], printed]))").printed
        return list(zip(*json.loads(found), strict=True))


def _output_of(program: subprocess.Popen[str]) -> str:
    try:
        return program.communicate(timeout=_PATIENCE)[0]
    except subprocess.TimeoutExpired:
        for each in [*psutil.Process(program.pid).children(recursive=True), program]:
            each.send_signal(signal.SIGABRT)
        return program.communicate()[0]


def notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write a notebook with these cells, below the one that loads the magics."""
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = new_notebook(cells=[new_code_cell(source) for source in (_SETUP, *cells)], metadata={"kernelspec": spec})
    nbformat.write(made, path)
    return path


def outputs(path: Path) -> list[list[Data]]:
    """Return the data of the outputs of each cell that ``notebook`` was given."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    first = next(number for number, cell in enumerate(cells) if cell.source == _SETUP)
    return [[output["data"] for output in cell.outputs if "data" in output] for cell in cells[first + 1 :]]


def saved(path: Path) -> list[str]:
    """Return the plain text that the first output of each cell shows."""
    return [found[0]["text/plain"] if found else "" for found in outputs(path)]


def widgets(path: Path) -> list[Data]:
    """Return the saved states of the widgets of jobs and batches."""
    states = nbformat.read(path, as_version=4).metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    return [each["state"] for each in states.values() if each["state"].get("kind") in {"job", "batch"}]
