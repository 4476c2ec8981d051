"""The server's runtime file, ``doctor`` and ``serve`` of the installed package."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from harness.jupyter import Jupyter
from smoke.conftest import Installation

PROGRAM = "import jupyter_bgstream as bg; print(bg.submit('Say hello.', model='demo/echo').result())"


def test_server_writes_runtime_file(server: Jupyter) -> None:
    runtime = json.loads(server.runtime_file.read_text())
    assert runtime["url"] == server.url
    assert runtime["pid"] == server.pid
    assert runtime["kind"] == "jupyter"
    assert server.runtime_file.stat().st_mode & 0o777 == 0o600


def test_doctor_finds_no_problem_and_running_server(server: Jupyter, installation: Installation) -> None:
    installation.home = server.home
    done = installation.run("-W", "ignore", "-m", "jupyter", "bgstream", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert not [finding for finding in findings if finding["level"] == "problem"]
    assert any(finding["area"] == "servers" and server.url in finding["message"] for finding in findings), findings


def test_program_finds_serve(installation: Installation, tmp_path: Path) -> None:
    serve = subprocess.Popen(
        [installation.python, "-m", "jupyter", "bgstream", "serve"],
        env=installation.env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serve.stdout is not None
        line = serve.stdout.readline()
        assert "http://127.0.0.1:" in line, line
        done = installation.run("-c", PROGRAM)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Say hello." in done.stdout
        serve.send_signal(signal.SIGTERM)
        _, errors = serve.communicate(timeout=60)
        assert serve.returncode == 0, errors
    finally:
        serve.kill()
        serve.communicate()
