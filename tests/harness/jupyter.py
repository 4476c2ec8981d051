"""A real Jupyter server in a process of its own, to ask, to stop, to kill and to start again."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

import jupyter_bgstream

START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def of_this_machine(name: str) -> bool:
    """Whether a variable of the environment says what a test must not depend on: other servers, keys, services."""
    return name.startswith(("JUPYTER", "JPY", "OPENAI", "AZURE", "OLLAMA")) or name.endswith("_API_KEY")


class Jupyter:
    """One server. Folders below ``home`` outlive a ``kill``, as a user's do."""

    def __init__(self, home: Path, *, lab: bool = False, config: dict[str, Any] | None = None, **env: str) -> None:
        self.home = home
        self.root = home / "root"
        self.data = home / "data"
        self.runtime = home / "runtime"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.log: list[str] = []
        self._lab = lab
        self._config = config or {}
        self._env = env
        self._process: subprocess.Popen[str] | None = None
        for folder in (self.root, self.data, self.runtime, home / "config"):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def api(self) -> str:
        return f"{self.url}api/bgstream/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self, **kwargs: Any) -> httpx.Client:
        """A caller with Jupyter's own token."""
        headers = {"Authorization": f"token {self.token}"} | kwargs.pop("headers", {})
        return httpx.Client(base_url=self.api, headers=headers, trust_env=False, timeout=30, **kwargs)

    @property
    def runtime_file(self) -> Path:
        """The newest runtime file of our own."""
        return max(self.runtime.glob("bgstream-*.json"), key=lambda path: path.stat().st_mtime_ns)

    def start(self) -> Jupyter:
        """Start the server and return when its extension has said that it is ready."""
        config = {
            "ServerApp": {
                "ip": "127.0.0.1",
                "port": self.port,
                "port_retries": 0,
                "open_browser": False,
                "root_dir": str(self.root),
                "allow_unauthenticated_access": False,
                "allow_root": True,
                "log_level": "INFO",
                "jpserver_extensions": {"jupyter_bgstream": True},
            },
            "IdentityProvider": {"token": self.token},
            "LabApp": {"extension_manager": "readonly"},
        }
        for section, values in self._config.items():
            config[section] = config.get(section, {}) | values
        path = self.home / "jupyter_config.json"
        path.write_text(json.dumps(config))
        env = {name: value for name, value in os.environ.items() if not of_this_machine(name)}
        env |= {
            "HOME": str(self.home),
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONUNBUFFERED": "1",
        } | self._env
        # The package under test comes first, whatever folder a test adds.
        package = str(Path(jupyter_bgstream.__file__).parents[1])
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (package, env.get("PYTHONPATH"))))
        module = "jupyterlab" if self._lab else "jupyter_server"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, f"--config={path}"],
            env=env,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._await_line("jupyter_bgstream is ready", "jupyter_bgstream could not start")
        return self

    def _await_line(self, *signs: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()

        def read(stream: Any) -> None:
            with contextlib.suppress(ValueError):  # closed
                for line in stream:
                    self.log.append(line)
                    lines.put(line)
            lines.put("")

        threading.Thread(target=read, args=(self._process.stdout,), daemon=True).start()
        with contextlib.suppress(queue.Empty):
            while line := lines.get(timeout=START_SECONDS):
                if any(sign in line for sign in signs):
                    return
        raise RuntimeError("Jupyter did not start:\n" + "".join(self.log[-60:]))

    def stop(self) -> None:
        """Stop the server as a user does: kernels end, running jobs are interrupted."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=30)
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()
            # Kernels of a killed server would live on.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process = None


@contextlib.contextmanager
def jupyter(home: Path, **kwargs: Any) -> Iterator[Jupyter]:
    """A running server that is stopped in the end."""
    server = Jupyter(home, **kwargs)
    try:
        yield server.start()
    finally:
        server.stop()
