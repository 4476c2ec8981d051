"""The distribution: sdist and wheel are built, and the wheel works in an environment without Node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from jupyter_bgstream._version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("BGSTREAM_DIST"):
        return Path(given)  # built already, as below
    folder = tmp_path_factory.mktemp("dist")
    # sdist first, then the wheel from it, as an index would.
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, on a PATH without Node."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    subprocess.run([*uv, next(dist.glob("*.whl"))], check=True, capture_output=True)
    return folder


def run(folder: Path, *arguments: str) -> str:
    bare = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "JUPYTER"))
    }
    env = bare | {"PATH": f"{folder}/bin", "JUPYTER_PLATFORM_DIRS": "1"}
    command = [str(folder / "bin/python"), *arguments]
    done = subprocess.run(command, env=env, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_has_files_that_users_need(dist: Path) -> None:
    names = set(zipfile.ZipFile(next(dist.glob("*.whl"))).namelist())
    data = f"jupyter_bgstream-{__version__}.data/data/"
    for name in (
        "jupyter_bgstream/py.typed",
        "jupyter_bgstream/client/magics/help.txt",
        "jupyter_bgstream/client/static/widget.js",
        "jupyter_bgstream/notebooks/01-tour.ipynb",
        "jupyter_bgstream/providers/bundled_plugins/demo_tour.md",
        data + "etc/jupyter/jupyter_server_config.d/jupyter_bgstream.json",
        data + "share/jupyter/labextensions/jupyter-bgstream/package.json",
        data + "share/jupyter/labextensions/jupyter-bgstream/install.json",
        data + "share/jupyter/labextensions/jupyter-bgstream/static/style.js",
    ):
        assert name in names
    assert any(name.startswith("jupyter_bgstream/store/sqlite/sql/") for name in names)
    assert not any("node_modules" in name for name in names)


def test_sdist_contains_built_frontend(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    assert any(name.endswith("jupyter_bgstream/labextension/static/style.js") for name in names)
    assert any(name.endswith("jupyter_bgstream/client/static/widget.js") for name in names)
    assert any(name.endswith("labextension/src/index.ts") for name in names)


def test_installed_wheel_provides_both_extensions_and_command(installed: Path) -> None:
    assert run(installed, "-c", "import jupyter_bgstream.client, jupyter_bgstream.server.app; print('imported')")
    listed = run(installed, "-m", "jupyter", "server", "extension", "list")
    assert "jupyter_bgstream" in listed
    package = installed / "share/jupyter/labextensions/jupyter-bgstream/package.json"
    assert json.loads(package.read_text())["version"] == __version__
    assert run(installed, "-m", "jupyter_bgstream.cli", "--version").strip() == __version__


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_python_and_labextension_have_one_version(name: str) -> None:
    assert json.loads((ROOT / "labextension" / name).read_text())["version"] == __version__
