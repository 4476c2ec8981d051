"""``jupyter bgstream serve``: a server that programs without a Jupyter server find by themselves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import psutil
import pytest
from cli.conftest import Home
from harness.jupyter import free_port, of_this_machine
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

import jupyter_bgstream
from jupyter_bgstream.testing import ScriptedProvider, ThreadedProvider, answer

PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider({"hello": answer("Hello, world")}).in_thread() as provider:
        yield provider


class Serve:
    """One run of the command, from its first line on."""

    def __init__(
        self, home: Home, *options: str, env: dict[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "jupyter_bgstream.cli", "serve", *options],
            env=environment(home) | (env or {}),
            cwd=home.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()

    @property
    def url(self) -> str:
        (found,) = re.findall(r"http://127\.0\.0\.1:\d+/", self.said)
        return str(found)

    def end(self, how: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; return the exit status, and the output and errors since the start."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def environment(home: Home) -> dict[str, str]:
    """Return the environment of a program that knows nothing but its user's home."""
    env = {name: value for name, value in os.environ.items() if not of_this_machine(name)}
    return env | {
        "HOME": str(home.folder),
        "JUPYTER_DATA_DIR": str(home.data),
        "JUPYTER_CONFIG_DIR": str(home.config),
        "JUPYTER_RUNTIME_DIR": str(home.runtime),
        "JUPYTER_PREFER_ENV_PATH": "0",
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(home.folder / "ipython"),
        "PYTHONPATH": str(Path(jupyter_bgstream.__file__).parents[1]),
    }


def python(home: Home, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env=environment(home), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


SCRIPT = "from jupyter_bgstream.client import submit; print(submit('x').result())"


@pytest.fixture
def user(home: Home, provider: ThreadedProvider) -> Home:
    """A user whose config would open a Jupyter server to the network."""
    home.configure(providers={"test": {"base_url": provider.base_url}}, default_model="test/hello")
    settings = json.loads((home.config / "jupyter_server_config.json").read_text())
    settings["ServerApp"] = {"ip": "0.0.0.0", "base_url": "/there/", "port": 1, "allow_origin": "*"}
    settings["IdentityProvider"] = {"token": ""}
    home.write("config/jupyter_server_config.json", settings)
    return home


@pytest.fixture
def serve(user: Home) -> Iterator[Serve]:
    with closing(Serve(user)) as serve:
        yield serve


def test_script_shell_and_kernel_find_serve_and_it_stops_cleanly(serve: Serve) -> None:
    home = serve.home
    assert str(home.database) in serve.said
    assert "Ctrl-C" in serve.said
    assert python(home, "-c", SCRIPT) == "Hello, world\n"

    cells = ["%load_ext jupyter_bgstream", "%%bg --name asked\nSay hello.", "print(asked.result())"]
    shell = "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()\n"
    ran = python(home, "-W", "default", "-c", shell + "".join(f"shell.run_cell({cell!r})\n" for cell in cells))
    assert ran.splitlines()[-1] == "Hello, world"

    assert kernel_says(home, SCRIPT) == "Hello, world\n"

    again = home.run("serve")
    assert (again.returncode, again.stdout) == (3, "")
    assert again.stderr == f"Already running at {serve.url} (process {serve.process.pid}). " + (
        "Programs find it by themselves.\n"
    )
    _, findings = home.doctor()
    assert any(f"jupyter bgstream serve at {serve.url}" in finding["message"] for finding in findings)

    assert serve.end(signal.SIGTERM) == (0, "", "")
    assert list(home.runtime.glob("*.json")) == []
    with closing(Serve(home)) as next_one:  # the jobs of the first are there, and it is free to begin
        count = "from jupyter_bgstream.client import jobs; print(len(jobs()))"
        assert python(home, "-c", count) == "3\n"
        assert next_one.end(signal.SIGINT) == (0, "", "")


def kernel_says(home: Home, code: str) -> str:
    """Run a cell in a kernel that no Jupyter server has started, as an editor does."""
    manager = KernelManager()
    manager.start_kernel(env=environment(home))
    with ExitStack() as stack:
        stack.callback(manager.shutdown_kernel, now=True)
        client: BlockingKernelClient = manager.client()
        client.start_channels(hb=False)
        stack.callback(client.stop_channels)
        client.wait_for_ready(timeout=PATIENCE)
        said: list[str] = []
        client.execute_interactive(
            code, timeout=PATIENCE, output_hook=lambda message: said.append(message["content"].get("text", ""))
        )
    return "".join(said)


def test_serve_has_local_address_and_only_this_api(serve: Serve) -> None:
    (runtime,) = [json.loads(path.read_text()) for path in serve.home.runtime.glob("bgstream-*.json")]
    assert (runtime["url"], runtime["kind"]) == (serve.url, "serve")
    assert list(serve.home.runtime.glob("jpserver-*")) == []
    sockets = psutil.Process(serve.process.pid).net_connections("inet")
    assert {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    headers = {"Authorization": f"token {runtime['token']}"}
    with httpx.Client(base_url=serve.url, headers=headers, trust_env=False, verify=False) as client:
        assert client.get("api/bgstream/status").status_code == 200
        for path in ("files/config/jupyter_server_config.json", "api/contents", "api/kernels", "api/terminals", "tree"):
            assert client.get(path).status_code in {403, 404}, path
        stranger = client.get("api/bgstream/status", headers={"Authorization": "token x"})
        assert stranger.status_code == 403


def test_running_jobs_are_reported_at_stop_and_keep_their_text(user: Home, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    with closing(Serve(user)) as serve:
        ask = "asked = submit('x', model='test/held'); next(iter(asked)); print(asked.id)"
        job = python(user, "-c", f"from jupyter_bgstream.client import submit; {ask}").strip()
        status, out, err = serve.end(signal.SIGINT)
        provider.release()
    assert (status, err) == (0, "")
    assert out.startswith("Stopped with 1 running. ")
    with closing(Serve(user)):
        look = f"from jupyter_bgstream.client import job; kept = job({job!r}); print(kept.status, kept.text)"
        assert python(user, "-c", look) == "interrupted one \n"


def test_second_serve_is_refused_after_lock_file_was_deleted(serve: Serve) -> None:
    (lock,) = serve.home.runtime.glob("bgstream-serve.*.lock")
    lock.unlink()
    again = serve.home.run("serve")
    assert (again.returncode, again.stdout) == (3, "")
    assert f"Already running at {serve.url}" in again.stderr


@pytest.mark.parametrize(("name", "file"), [("", "jobs.ada.sqlite"), ("gpu", "jobs.ada~gpu.sqlite")])
def test_serve_prints_database_path_of_hub_user_on_network_home(user: Home, name: str, file: str) -> None:
    config = json.loads((user.config / "jupyter_server_config.json").read_text())
    user.configure(database_journal="rollback", **config["BgStreamApp"])
    hub = {"JUPYTERHUB_USER": "ada", "JUPYTERHUB_SERVER_NAME": name}
    with closing(Serve(user, env=hub)) as serve:
        path = user.database.with_name(file)
        assert f"stored in {path}." in serve.said
        assert path.exists()
        _, findings = user.doctor(**hub)
        assert f"{path} is intact." in [it["message"] for it in findings]
        serve.end(signal.SIGTERM)


def test_client_prefers_serve_to_jupyter_servers(serve: Serve) -> None:
    # A second runtime file of the same living server stands for a JupyterLab of the user.
    (mine,) = serve.home.runtime.glob("bgstream-*.json")
    lab = json.loads(mine.read_text()) | {"kind": "jupyter"}
    for number in range(2):
        (serve.home.runtime / f"bgstream-{number}.json").write_text(json.dumps(lab))
    assert python(serve.home, "-c", SCRIPT) == "Hello, world\n"


def test_serve_reports_failed_start_and_invalid_options(user: Home) -> None:
    with closing(Serve(user, "--port", str(free_port()))) as serve:
        port = serve.url.rpartition(":")[2].strip("/")
        serve.end(signal.SIGTERM)
    user.database.unlink()
    user.database.mkdir()
    broken = user.run("serve", "--port", port)
    assert broken.returncode == 1
    assert "jupyter_bgstream could not start" in broken.stderr
    assert "repeated" not in broken.stderr
    gone = user.run("serve", "--config", "nowhere.py")
    assert (gone.returncode, gone.stderr) == (1, "There is no config file nowhere.py.\n")
    assert user.run("serve", "--port", "0").returncode == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_temporary_store_is_removed_with_its_server(user: Home, how: signal.Signals) -> None:
    config = json.loads((user.config / "jupyter_server_config.json").read_text())
    user.configure(store="temporary", **config["BgStreamApp"])
    temporary = user.folder / "temporary"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary)}
    with closing(Serve(user, env=env)) as serve:
        assert "stored until this server stops." in serve.said
        (directory,) = temporary.glob("jupyter-bgstream-*")
        assert directory.stat().st_mode & 0o777 == 0o700
        assert python(user, "-c", SCRIPT) == "Hello, world\n"
        serve.end(how)
    assert not user.database.exists()
    assert directory.exists() == (how == signal.SIGKILL)
    with closing(Serve(user, env=env)) as serve:
        assert not directory.exists()
        serve.end(signal.SIGTERM)
    assert list(temporary.glob("jupyter-bgstream-*")) == []
