"""Starting the extension in a real server: every supported jupyter-server, and every step that can fail."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from harness.sockets import hang_up
from jupyter_server.utils import urlencode_unix_socket_path
from server.conftest import config_for, submit, until_text, wait
from server.receiver import Receiver
from server.webhook_servers import SECRET
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_bgstream.server.runtime_file import server_url
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

# What jupyter-server 2.15 lacks: the start hook and, as other old versions, a parameter of a private method.
OLD_JUPYTER_SERVER = """
import sys
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
if hasattr(ExtensionApp, "_start_jupyter_server_extension"):
    del ExtensionApp._start_jupyter_server_extension
new = ServerApp._get_urlparts
def old(self, path=None, include_token=False, **more):
    if more and sys._getframe(1).f_globals["__name__"].startswith("jupyter_bgstream"):
        raise TypeError("unexpected keyword argument 'ip'")
    return new(self, path, include_token, **more)
ServerApp._get_urlparts = old
async def nothing(self):
    pass
ServerApp._post_start = nothing
"""
FREQUENT_MARKS = """
from jupyter_bgstream.server import activity
activity.ACTIVITY_SECONDS = 0.1
"""


def patched(folder: Path, code: str) -> dict[str, str]:
    """Return the environment of a process that runs some code before anything else."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("old", [False, True], ids=["installed", "2.15"])
async def test_start_writes_runtime_file_and_runs_tasks(tmp_path: Path, provider: ThreadedProvider, old: bool) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    env = patched(tmp_path / "patch", FREQUENT_MARKS + (OLD_JUPYTER_SERVER if old else ""))
    async with Receiver() as receiver:
        config = config_for(provider, webhook_url=receiver.url)
        with jupyter(tmp_path, config=config, BGSTREAM_WEBHOOK_SECRET=SECRET, **env) as server:
            runtime = json.loads(server.runtime_file.read_text())
            assert runtime["url"] == server.url
            as_kernel = {"Authorization": f"token {runtime['token']}"}
            held = submit(server, "held")
            until_text(server, held, "one")
            with server.client(headers=as_kernel) as client:
                assert client.get("status").json()["server"] == runtime["server"]
            activity = last_activity(server)
            until(lambda: last_activity(server) > activity)  # a culler leaves a server with a running job alone
            assert not any("The webhook is off" in line for line in server.log)
            server.stop()
            assert list(server.runtime.glob("bgstream-*.json")) == []
            server.start()
            assert wait(server, held)["error"]["code"] == "server_stopped"


def last_activity(server: Jupyter) -> float:
    with server.client() as client:
        return datetime.fromisoformat(client.get(f"{server.url}api/status").json()["last_activity"]).timestamp()


def until(condition: Any, seconds: float = 60.0) -> None:
    """Wait for a condition of another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runtime_file_has_actual_port_if_configured_port_is_taken(tmp_path: Path, provider: ThreadedProvider) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = config_for(provider) | {"ServerApp": {"port": taken.getsockname()[1], "port_retries": 50}}
        with jupyter(tmp_path, config=config, **patched(tmp_path / "patch", OLD_JUPYTER_SERVER)) as server:
            assert_reachable(server)


@pytest.mark.parametrize(
    ("ip", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8888/"),
        ("localhost", "http://localhost:8888/"),
        ("", "http://127.0.0.1:8888/"),
        ("0.0.0.0", "http://127.0.0.1:8888/"),
        ("::", "http://[::1]:8888/"),
        ("::1", "http://[::1]:8888/"),
        ("fd00::7", "http://[fd00::7]:8888/"),
    ],
)
def test_server_url_reaches_address(ip: str, url: str) -> None:
    serverapp: Any = SimpleNamespace(ip=ip, port=8888, base_url="/", certfile="", sock="")
    assert server_url(serverapp) == url
    secure: Any = SimpleNamespace(ip=ip, port=8888, base_url="/user/ada/", certfile="cert.pem", sock="")
    assert server_url(secure) == url.replace("http:", "https:") + "user/ada/"


def test_server_url_of_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "jupyter.sock")
    serverapp: Any = SimpleNamespace(ip="localhost", port=0, base_url="/x/", certfile="", sock=path)
    assert server_url(serverapp) == f"http+unix://{urlencode_unix_socket_path(path)}/x/"


@pytest.mark.parametrize("ip", ["", "::"])
def test_runtime_file_reaches_server_on_every_address(tmp_path: Path, provider: ThreadedProvider, ip: str) -> None:
    with jupyter(tmp_path, config=config_for(provider) | {"ServerApp": {"ip": ip}}) as server:
        assert_reachable(server)


def assert_reachable(server: Jupyter) -> None:
    """Ask a server at the address in its runtime file, as a kernel does."""
    runtime = json.loads(server.runtime_file.read_text())
    headers = {"Authorization": f"token {runtime['token']}"}
    answer = httpx.get(f"{runtime['url']}api/bgstream/status", headers=headers, trust_env=False, verify=False)
    assert answer.json()["server"] == runtime["server"]


# As root, too, the rights of files count then.
UNPRIVILEGED = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
if libc.capget(header, data) == 0:
    for word in (0, 1):  # effective and permitted: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        data[word] &= ~0b110
    assert libc.capset(header, data) == 0
"""
# Jupyter itself ends when it cannot write this file; `jupyter bgstream serve` and others write none.
NO_BROWSER_FILE = """
from jupyter_server.serverapp import ServerApp
ServerApp.write_browser_open_files = lambda self: None
"""
BROKEN_START = """
from jupyter_bgstream.engine import engine
async def fail(self):
    await opened(self)
    raise ZeroDivisionError("sk-canary-4711")
opened, engine.Engine.open = engine.Engine.open, fail
"""
SLOW_START = """
import asyncio
from jupyter_bgstream.engine import engine
async def wait(self):
    await asyncio.sleep(2)
    await opened(self)
opened, engine.Engine.open = engine.Engine.open, wait
"""


def assert_refused(server: Jupyter, *words: str) -> httpx.Response:
    """Check that REST, the socket and the log give the reason, and that Jupyter itself works."""
    with server.client() as client:
        refused = client.get("jobs")
        assert client.get(f"{server.url}api/status").status_code == 200
        assert client.get("openapi.json").status_code == 200
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        socket = client.get("live", headers=upgrade | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    for response in (refused, socket):
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        for word in words:
            assert word in response.json()["message"]
    assert any("[C " in line and "jupyter_bgstream could not start" in line for line in server.log)
    return refused


def test_unexpected_error_at_start_is_reported_and_closes_store(tmp_path: Path, provider: ThreadedProvider) -> None:
    env = patched(tmp_path / "patch", BROKEN_START)
    with jupyter(tmp_path, config=config_for(provider), OPENAI_API_KEY="sk-canary-4711", **env) as server:
        refused = assert_refused(server, "ZeroDivisionError", "[key]", "See the Jupyter server log for details.")
        assert "Retry-After" not in refused.headers
        files = [path for path in Path(f"/proc/{server.pid}/fd").iterdir() if "jobs.sqlite" in str(path.resolve())]
        assert files == []
        left = (server.data / "bgstream" / "jobs.sqlite.servers").iterdir()
        assert [path.read_text() for path in left] == ["closed\n"]  # the lock of a server that has closed its store
        (problem,) = doctor(server, "servers")
        assert "ZeroDivisionError" in problem
        assert "ZeroDivisionError" in said_to_script(server)
    assert list(server.runtime.glob("bgstream-*.json")) == []


def doctor(server: Jupyter, area: str) -> list[str]:
    """Return the problems that the doctor finds."""
    env = server.environment()
    command = [sys.executable, "-m", "jupyter_bgstream.cli", "doctor", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["findings"]
    return [each["message"] for each in found if (each["area"], each["level"]) == (area, "problem")]


def said_to_script(server: Jupyter) -> str:
    """Return the error that a script of the user gets."""
    code = "import jupyter_bgstream as bg; bg.submit('Hello')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=server.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_read_only_database_is_opened_once_it_is_writable(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["after"] = answer("Hello")
    env = patched(tmp_path / "patch", UNPRIVILEGED)
    with jupyter(tmp_path, config=config_for(provider), **env) as server:
        server.stop()
        database = server.data / "bgstream" / "jobs.sqlite"
        database.chmod(0o400)
        server.start()
        refused = assert_refused(server, "read-only", "no restart is needed")
        assert int(refused.headers["Retry-After"]) >= 1
        database.chmod(0o600)
        with server.client() as client:
            until(lambda: client.get("status").status_code == 200)
        assert wait(server, submit(server, "after"))["text"] == "Hello"


def test_unwritable_runtime_folder_is_reported_and_used_once_it_is_writable(
    tmp_path: Path, provider: ThreadedProvider
) -> None:
    env = patched(tmp_path / "patch", UNPRIVILEGED + NO_BROWSER_FILE)
    folder = tmp_path / "runtime"
    folder.mkdir()
    folder.chmod(0o500)
    with jupyter(tmp_path, config=config_for(provider), **env) as server:
        assert_refused(server, str(folder), "Make the folder writable", "no restart is needed")
        assert any(str(folder) in problem for problem in doctor(server, "servers"))
        folder.chmod(0o700)
        with server.client() as client:
            until(lambda: client.get("status").status_code == 200)
        assert_reachable(server)


@pytest.mark.parametrize("first", ["post", "live"])
async def test_first_request_is_held_while_engine_starts(
    tmp_path: Path, provider: ThreadedProvider, first: str
) -> None:
    provider.scripts["early"] = answer("Hello")
    server = Jupyter(tmp_path, config=config_for(provider), **patched(tmp_path / "patch", SLOW_START))
    try:
        server.launch()
        with server.client() as client:
            until(lambda: is_up(client, f"{server.url}api/status"), 60)
            if first == "post":
                job = client.post("jobs", json={"model": "demo/early", "prompt": "x"})
                assert job.status_code == 201, job.text
                assert wait(server, job.json()["id"])["text"] == "Hello"
            else:
                headers = {"Authorization": f"token {server.token}"}
                url = f"{server.api}live".replace("http:", "ws:")
                socket = await websocket_connect(HTTPRequest(url, headers=headers))
                hello = json.loads(await socket.read_message() or "{}")
                assert hello["type"] == "hello"
                await hang_up(socket)
    finally:
        server.stop()


def is_up(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_bad_config_entries_disable_only_themselves(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["sound"] = answer("Hello")
    config = config_for(provider, model_aliases={"bad": "nobody/x", "good": "demo/sound"}, default_model="nobody/y")
    config["BgStreamApp"]["providers"]["wrong"] = {"base_url": 5}
    # The doctor and `%bg models` read the user's config and ask the server.
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    with jupyter(tmp_path, config=config) as server, server.client() as client:
        found = client.get("models").json()
        wrong = next(each for each in found["providers"] if each["name"] == "wrong")
        assert wrong["error"]["code"] == "invalid_config"
        assert found["problems"] == client.get("status").json()["warnings"]
        assert [problem.split(" ")[0].rstrip(":") for problem in found["problems"]] == [
            "providers['wrong']",
            "model_aliases['bad']",
            "default_model",
        ]
        assert found["default"] is None
        for problem in found["problems"]:
            assert any(problem in line for line in server.log)
        assert wait(server, submit(server, "sound"))["text"] == "Hello"
        assert client.post("jobs", json={"model": "good", "prompt": "x"}).status_code == 201
        job = client.post("jobs", json={"model": "wrong/x", "prompt": "x"}).json()
        error = wait(server, job["id"])["error"]
        assert error["code"] == "invalid_config"
        assert found["problems"][0] in error["message"]
        refused = client.post("jobs", json={"model": "bad", "prompt": "x"})
        assert (refused.status_code, refused.json()["field"]) == (400, "model")
        assert refused.json()["message"] == found["problems"][1]
        refused = client.post("jobs", json={"prompt": "x"})
        assert (refused.status_code, refused.json()["code"]) == (400, "no_default_model")
        assert refused.json()["message"] == found["problems"][2]
        assert len(doctor(server, "providers")) == 3
        shown = run(server, "import jupyter_bgstream as bg; print(bg.models())")
        for problem in found["problems"]:
            assert problem in shown


def run(server: Jupyter, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=server.environment(), capture_output=True, text=True, check=True
    )
    return done.stdout
