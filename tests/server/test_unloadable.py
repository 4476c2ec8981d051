"""A required package that is too old: the log, the routes, the kernel and the doctor say so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from harness.jupyter import jupyter

import jupyter_bgstream

ROOT = Path(jupyter_bgstream.__file__).parents[1]


@pytest.fixture
def outdated(tmp_path: Path) -> Path:
    """A folder with a msgspec that is too old, for PYTHONPATH."""
    folder = tmp_path / "outdated"
    (folder / "msgspec-0.18.0.dist-info").mkdir(parents=True)
    (folder / "msgspec-0.18.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: msgspec\nVersion: 0.18.0\n")
    return folder


def test_outdated_package_makes_every_route_503_with_reason(tmp_path: Path, outdated: Path) -> None:
    (outdated / "msgspec.py").write_text("raise AttributeError('msgspec is too old for this')\n")
    with jupyter(tmp_path / "home", PYTHONPATH=str(outdated)) as server, server.client() as client:
        assert any(line.startswith("[C") for line in server.log), server.log
        for verb, path in (("GET", "status"), ("POST", "jobs"), ("DELETE", "jobs/12345678"), ("GET", "live")):
            answer = client.request(verb, path)
            assert answer.status_code == 503
            assert answer.json()["code"] == "unavailable"
            assert "jupyter_bgstream needs msgspec>=0.22, but 0.18.0 is installed." in answer.json()["message"], (
                verb,
                answer.text,
            )
        assert httpx.get(f"{server.api}status", trust_env=False, verify=False).status_code == 403


def test_outdated_package_that_can_be_imported_is_named_in_log(tmp_path: Path, outdated: Path) -> None:
    with jupyter(tmp_path / "home", PYTHONPATH=str(outdated)) as server:
        assert any(line.startswith("[W") and "needs msgspec>=0.22, but 0.18.0" in line for line in server.log)


def test_outdated_package_is_named_when_magics_cannot_be_loaded(outdated: Path) -> None:
    (outdated / "msgspec.py").write_text("raise AttributeError('msgspec is too old for this')\n")
    done = run(outdated, "-c", "import jupyter_bgstream; jupyter_bgstream.load_ipython_extension(None)")
    needs = "jupyter_bgstream needs msgspec>=0.22, but 0.18.0 is installed."
    assert done.stderr.endswith(f"ImportError: {needs} Run: pip install 'msgspec>=0.22'.\n")


def test_doctor_reports_outdated_package(outdated: Path) -> None:
    done = run(outdated, "-m", "jupyter_bgstream.cli", "doctor")
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "problem jupyter_bgstream needs msgspec>=0.22, but 0.18.0 is installed. -> pip install" in text


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "HOME": str(folder), "JUPYTER_PLATFORM_DIRS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=env, cwd=folder, check=False, capture_output=True, text=True, timeout=90
    )
