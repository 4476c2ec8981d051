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
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

import jupyter_bgstream

START_SECONDS = 120

# Extensions of the environment, which a server that shows no pages has no use for.
OTHERS = ("jupyterlab", "jupyter_lsp", "notebook_shim", "notebook", "nbclassic")

# What each page asks JupyterLab's server and no test needs. Each takes half a second of the processor.
EXPORT_FORMATS = [f"@jupyterlab/notebook-extension:{name}" for name in ("export", "update-raw-mimetype")]
# Parts of JupyterLab that the extension has nothing to do with. Without them a page takes a sixth less CPU time.
# The smoke test has them.
UNRELATED = [
    f"@jupyterlab/{name}-extension"
    for name in (
        *("csvviewer", "debugger", "documentsearch", "extensionmanager", "help", "htmlviewer", "imageviewer"),
        *("inspector", "logconsole", "lsp", "pluginmanager", "running", "settingeditor", "terminal", "tooltip"),
    )
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def of_this_machine(name: str) -> bool:
    """Whether a variable of the environment says what a test must not depend on: other servers, keys, services."""
    return name.startswith(("JUPYTER", "JPY", "OPENAI", "AZURE", "OLLAMA")) or name.endswith("_API_KEY")


class Jupyter:
    """One server. Folders below ``home`` outlive a ``kill``, as a user's do."""

    def __init__(
        self,
        home: Path,
        *,
        lab: bool = False,
        disabled: Sequence[str] = (*EXPORT_FORMATS, *UNRELATED),
        module: str | None = None,
        stdin: int = subprocess.DEVNULL,
        config: dict[str, Any] | None = None,
        python: Path | None = None,
        **env: str,
    ) -> None:
        """Prepare the folders.

        ``disabled`` are extensions of JupyterLab. ``python`` is the interpreter of another environment that has the
        package installed.
        """
        self.home = home
        self.root = home / "root"
        self.data = home / "data"
        self.runtime = home / "runtime"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.log: list[str] = []
        self._module = module or ("jupyterlab" if lab else "jupyter_server")
        self._shows_pages = lab or module is not None
        self._stdin = stdin
        self._config = config or {}
        self._env = env
        self._python = python
        self._process: subprocess.Popen[str] | None = None
        self._reading: threading.Thread | None = None  # of the log
        for folder in (self.root, self.data, self.runtime, home / "config/labconfig"):
            folder.mkdir(parents=True, exist_ok=True)
        page = {"buildCheck": False, "disabledExtensions": dict.fromkeys(disabled, True)}
        (home / "config/labconfig/page_config.json").write_text(json.dumps(page))

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
        """A caller with Jupyter's own token. Loading the authorities of TLS would take longer than most requests."""
        headers = {"Authorization": f"token {self.token}"} | kwargs.pop("headers", {})
        return httpx.Client(base_url=self.api, headers=headers, trust_env=False, verify=False, timeout=60, **kwargs)

    @property
    def runtime_file(self) -> Path:
        """The newest runtime file of our own."""
        return max(self.runtime.glob("bgstream-*.json"), key=lambda path: path.stat().st_mtime_ns)

    def start(self) -> Jupyter:
        """Start the server and return when its extension has said that it is ready."""
        self.launch()
        line = self._await_line("jupyter_bgstream is ready", "jupyter_bgstream could not start")
        if "could not start" in line:
            self._await_port()  # an extension that cannot be loaded says so before the server listens
        return self

    def environment(self) -> dict[str, str]:
        """Return the environment of the server and of its user's other programs."""
        env = {name: value for name, value in os.environ.items() if not of_this_machine(name)}
        env |= {
            "HOME": str(self.home),
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",  # SIGABRT prints the stacks of all threads
        } | self._env
        if self._python is None:
            # The package under test comes first, whatever folder a test adds.
            package = str(Path(jupyter_bgstream.__file__).parents[1])
            env["PYTHONPATH"] = os.pathsep.join(filter(None, (package, env.get("PYTHONPATH"))))
        return env

    def launch(self) -> None:
        """Start the server's process."""
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
                "jpserver_extensions": dict.fromkeys(() if self._shows_pages else OTHERS, False)
                | {"jupyter_bgstream": True},
            },
            "IdentityProvider": {"token": self.token},
            "LabApp": {"extension_manager": "readonly"},
        }
        for section, values in self._config.items():
            config[section] = config.get(section, {}) | values
        path = self.home / "jupyter_config.json"
        path.write_text(json.dumps(config))
        self._process = subprocess.Popen(
            [str(self._python or sys.executable), "-m", self._module, f"--config={path}"],
            env=self.environment(),
            cwd=self.root,
            stdin=self._stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _await_line(self, *signs: str) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()

        def read(stream: Any) -> None:
            with contextlib.suppress(ValueError):  # closed
                for line in stream:
                    self.log.append(line)
                    lines.put(line)
            lines.put("")

        self._reading = threading.Thread(target=read, args=(self._process.stdout,), daemon=True)
        self._reading.start()
        with contextlib.suppress(queue.Empty):
            while line := lines.get(timeout=START_SECONDS):
                if any(sign in line for sign in signs):
                    return line
        raise RuntimeError("Jupyter did not start:\n" + "".join(self.log[-60:]))

    def _await_port(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise RuntimeError("Jupyter does not listen:\n" + "".join(self.log[-60:]))

    def stop(self) -> None:
        """Stop the server as a user does: kernels end, running jobs are interrupted."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def send(self, how: signal.Signals) -> None:
        """Send a signal, and do not wait for what it does."""
        assert self._process is not None
        self._process.send_signal(how)

    def wait_exit(self) -> int:
        """Wait until the process has ended and all its log was read; return its exit status."""
        assert self._process is not None
        process, self._process = self._process, None
        try:
            return process.wait(timeout=60)
        finally:
            # Kernels of a killed server would live on, and keep the pipe open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if self._reading is not None:
                self._reading.join(timeout=60)
                self._reading = None
            if process.stdout is not None:
                process.stdout.close()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self.wait_exit()


@contextlib.contextmanager
def jupyter(home: Path, **kwargs: Any) -> Iterator[Jupyter]:
    """A running server that is stopped in the end."""
    server = Jupyter(home, **kwargs)
    try:
        yield server.start()
    finally:
        server.stop()
