"""``jupyter bgstream demo``: JupyterLab opened on a tour, with the other notebooks beside it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

TOUR = "01-tour.ipynb"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``demo`` to the subcommands."""
    demo = commands.add_parser("demo", help="open JupyterLab on a tour, with a scripted demo model: no key, no network")
    demo.add_argument("--folder", type=Path, help="where the notebooks and their jobs are kept")
    demo.add_argument("--port", type=int, default=8888, help="port to try first (default: 8888)")
    demo.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    demo.set_defaults(run=run_demo)


def run_demo(options: argparse.Namespace) -> int:
    """Open JupyterLab on the tour until it is stopped; return the exit code of the process."""
    if find_spec("jupyterlab") is None:
        print("The demo needs JupyterLab: pip install 'jupyter_bgstream[lab]'.", file=sys.stderr)
        return 1
    from jupyter_core.paths import jupyter_data_dir

    folder: Path = options.folder or Path(jupyter_data_dir()) / "bgstream" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in notebooks():
        if not (folder / notebook.name).exists():  # never overwrite a notebook that the user may have edited
            (folder / notebook.name).write_text(_as_saved(notebook), encoding="utf-8")
    config = folder / ".jupyter_bgstream_demo.json"
    config.write_text(json.dumps(demo_config(folder)))
    command = [sys.executable, "-m", "jupyterlab", f"--config={config}", f"--port={options.port}"]
    if options.no_browser:
        command.append("--no-browser")
    if getattr(os, "geteuid", lambda: 1)() == 0:  # as in a container; Jupyter listens on this machine only
        command.append("--allow-root")
    print(f"The demo model is scripted, not an LLM. The tour and its jobs are kept in {folder}.", flush=True)
    return _supervise(command)


def _supervise(command: list[str]) -> int:
    """Run Jupyter until it exits by itself; return its exit code."""
    process = subprocess.Popen(command)  # noqa: S603 - a command of this module
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Jupyter got it as well, and asks for a confirmation
            continue


def demo_config(folder: Path) -> dict[str, dict[str, str]]:
    """Return the Jupyter config of a server in ``folder`` with the bundled demo model as its default."""
    return {
        "BgStreamApp": {
            "default_model": "demo/tour",
            "database": str(folder / ".jupyter_bgstream_demo.sqlite"),
        },
        "ServerApp": {"root_dir": str(folder)},
        "LabApp": {"default_url": f"/lab/tree/{TOUR}"},
    }


def notebooks() -> list[Path]:
    """Return the notebooks of this package in reading order."""
    installed = Path(__file__).parents[1] / "notebooks"
    folder = installed if installed.exists() else Path(__file__).parents[2] / "notebooks"
    return sorted(folder.glob("*.ipynb"))


def _as_saved(path: Path) -> str:
    """Return a notebook as Lab would save it with this Python, so that opening it changes nothing."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["language_info"]["version"] = platform.python_version()
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
