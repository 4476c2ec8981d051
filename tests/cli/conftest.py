"""A user's home, and ``jupyter bgstream`` run in it as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness.jupyter import of_this_machine

import jupyter_bgstream
from jupyter_bgstream._version import __version__


class Runner:
    """Runs the command, each time in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "out", folder / "err"
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("runner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(jupyter_bgstream.__file__).parents[1])},
        )

    def run(self, arguments: Sequence[str], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
        out, err = self._said
        asked = {"arguments": arguments, "env": env, "cwd": str(cwd), "out": str(out), "err": str(err)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return subprocess.CompletedProcess(list(arguments), status, out.read_text(), err.read_text())


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = Runner(tmp_path_factory.mktemp("runner"))
    yield runner
    runner.process.kill()
    runner.process.communicate()


class Home:
    """Where Jupyter's files of one user are; nothing of this machine's own is seen."""

    def __init__(self, folder: Path, runner: Runner) -> None:
        self.folder = folder
        self._runner = runner
        self.data = folder / "data"
        self.config = folder / "config"
        self.runtime = folder / "runtime"
        self.database = self.data / "bgstream" / "jobs.sqlite"
        for made in (self.data, self.config, self.runtime):
            made.mkdir()
        # What the wheel installs beside the package.
        self.write("config/jupyter_server_config.d/jupyter_bgstream.json", server("jpserver_extensions"))
        self.write("data/labextensions/jupyter-bgstream/package.json", {"version": __version__})

    def write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def configure(self, **settings: Any) -> None:
        self.write("config/jupyter_server_config.json", {"BgStreamApp": settings})

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not of_this_machine(name)}
        clean |= {
            "HOME": str(self.folder),
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_PREFER_ENV_PATH": "0",
            "JUPYTER_PLATFORM_DIRS": "1",
            "COLUMNS": "80",
        }
        return self._runner.run(arguments, clean | env, self.folder)

    def doctor(self, **env: str) -> tuple[int, list[dict[str, str]]]:
        """Return the exit status and what was found."""
        done = self.run("doctor", "--json", **env)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)["findings"]

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Return everything below this home, with times and contents."""
        return {
            str(path.relative_to(self.folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.folder.rglob("*"))
        }


def server(key: str, enabled: bool = True) -> dict[str, Any]:
    return {"ServerApp": {key: {"jupyter_bgstream": enabled}}}


@pytest.fixture
def home(tmp_path: Path, runner: Runner) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    return Home(folder, runner)
