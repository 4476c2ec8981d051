"""Stopping a real server by the signals of terminals, service managers and JupyterHub."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for, submit, until_text, wait
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_bgstream.server.app import BgStreamApp
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

HUB = {"JUPYTERHUB_USER": "ada", "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
JOBS = 20


@pytest.fixture
def held(provider: ThreadedProvider) -> ThreadedProvider:
    provider.scripts["held"] = answer("one two", hold_after=1)
    return provider


@pytest.mark.parametrize(
    "signals",
    [(SIGINT,), (SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGINT, SIGTERM)],
    ids=["INT", "TERM-TERM", "INT-INT", "INT-TERM"],
)
def test_signals_without_terminal_stop_server_in_order(
    tmp_path: Path, held: ThreadedProvider, signals: tuple[signal.Signals, ...]
) -> None:
    with jupyter(tmp_path, config=config_for(held)) as server:
        job = submit(server, "held")
        until_text(server, job, "one")
        runtime = server.runtime_file
        for number, each in enumerate(signals, 1):
            server.send(each)
            # Each is delivered by itself: two that are pending are one. All come within the grace of the job.
            until(lambda number=number: sum("received signal" in line for line in server.log) == number)
        assert server.wait_exit() == 0
        assert not runtime.exists()
        assert_stopped_in_order(server)
        server.start()
        ended = wait(server, job)
    assert (ended["status"], ended["error"]["code"], ended["text"]) == ("interrupted", "server_stopped", "one ")


def assert_stopped_in_order(server: Jupyter) -> None:
    assert any("jupyter_bgstream has stopped cleanly" in line for line in server.log), "".join(server.log)


@pytest.mark.parametrize("typed", ["n", "y"])
def test_ctrl_c_in_terminal_asks_for_confirmation(tmp_path: Path, held: ThreadedProvider, typed: str) -> None:
    terminal, stdin = pty.openpty()
    with jupyter(tmp_path, config=config_for(held), stdin=stdin) as server:
        job = submit(server, "held")
        until_text(server, job, "one")
        os.write(terminal, f"{typed}\n".encode())  # beforehand: Jupyter waits for it no longer than 5 s
        server.send(SIGINT)
        if typed == "n":
            until(lambda: any("resuming operation" in line for line in server.log))
            with server.client() as client:
                assert client.get(f"jobs/{job}").json()["status"] == "running"
            # No second Ctrl-C: until the loop has put Jupyter's handler back, that would stop the server at once.
            server.send(SIGTERM)
        assert server.wait_exit() == 0
        assert any("Shut down this Jupyter server" in line for line in server.log)
        assert any("Shutdown confirmed" in line for line in server.log) == (typed == "y")
        assert_stopped_in_order(server)
    os.close(terminal)
    os.close(stdin)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_stop_on_hub_takes_less_than_one_second(tmp_path: Path, held: ThreadedProvider) -> None:
    config = config_for(held, max_running=JOBS, reserved_interactive=0)
    with jupyter(tmp_path, config=config, **HUB) as server:
        jobs = [submit(server, "held") for _ in range(JOBS)]
        for job in jobs:
            until_text(server, job, "one")
        url = f"{server.api}live".replace("http:", "ws:")
        socket = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}"}))
        for job in jobs:
            await socket.write_message(json.dumps({"type": "follow", "job": job, "cursor": None}))
        seen: set[str] = set()
        while seen != set(jobs):
            frame = json.loads(await socket.read_message() or "{}")
            seen |= {frame["job"]} if frame["type"] == "events" else set()
        server.send(SIGTERM)
        frames = [json.loads(frame) async for frame in read(socket)]
        socket.close()
        closed = {frame["job"] for frame in frames if frame["type"] == "events" and frame["closed"]}
        assert closed == set(jobs)  # the viewer has the ends
        assert server.wait_exit() == 0
        assert_stopped_in_order(server)
        assert seconds_of_stop(server) < 1.0
        server.start()
        assert {wait(server, job)["error"]["code"] for job in jobs} == {"server_stopped"}


async def read(socket: Any) -> Any:
    while (frame := await socket.read_message()) is not None:
        yield frame


def seconds_of_stop(server: Jupyter) -> float:
    """Return the time from the signal until all jobs were stored, by the server's log.

    What comes then is not ours: other extensions, kernels, and Python's own end.
    """

    def time_of(words: str) -> float:
        line = next(line for line in server.log if words in line)
        found = re.search(r"\d+-\d+-\d+ \d+:\d+:\d+\.\d+", line)
        assert found is not None
        return datetime.fromisoformat(found[0]).timestamp()

    return time_of("has stopped cleanly") - time_of("received signal")


@pytest.mark.parametrize("variable", HUB)
def test_stop_grace_is_short_on_hub_unless_configured(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in HUB:
        monkeypatch.delenv(name, raising=False)
    assert (BgStreamApp().stop_grace, BgStreamApp().stop_patience) == (2.0, 2.0)
    assert (BgStreamApp(stop_grace=0.0).stop_grace, BgStreamApp(stop_grace=0.0).stop_patience) == (0.0, 2.0)
    monkeypatch.setenv(variable, HUB[variable])
    assert (BgStreamApp().stop_grace, BgStreamApp().stop_patience) == (0.3, 0.3)
    assert (BgStreamApp(stop_grace=25.0).stop_grace, BgStreamApp(stop_grace=25.0).stop_patience) == (25.0, 2.0)
    assert BgStreamApp(stop_grace=0.0).stop_patience == 0.2


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hub's API as a single-user server asks for."""

    def do_GET(self) -> None:
        self._answer({"version": "6.1.1"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer({})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@contextmanager
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hub"
        server.shutdown()


@pytest.mark.parametrize("extension", ["1", "0"], ids=["extension", "classic"])
def test_single_user_server_of_hub_stops_in_order(tmp_path: Path, held: ThreadedProvider, extension: str) -> None:
    assert find_spec("jupyterhub"), "JupyterHub is needed: it is one of the test extra's packages."
    config = config_for(held, max_running=1)
    ada = {"JUPYTERHUB_USER": "ada"}
    # A plain server takes the jobs in; the Hub's finds them in the queue when that one is dead, and runs them.
    with jupyter(tmp_path, config=config, **ada) as plain:
        first, second = submit(plain, "held"), submit(plain, "held")
        until_text(plain, first, "one")
        plain.kill()
    with hub() as url:
        single = Jupyter(tmp_path, module="jupyterhub.singleuser", config=config)
        single._env = ada | {
            "JUPYTERHUB_SINGLEUSER_EXTENSION": extension,
            "JUPYTERHUB_API_TOKEN": "hub-token",
            "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada",
            "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_API_URL": f"{url}/api",
            "JUPYTERHUB_ACTIVITY_URL": f"{url}/api/users/ada/activity",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/ada/oauth_callback",
            "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{single.port}/user/ada/",
        }
        single.start()
        try:
            held.request(len(held.requests))
            until_running(single, second)
            single.send(SIGINT)
            assert single.wait_exit() == 0
            assert_stopped_in_order(single)
            assert seconds_of_stop(single) < 1.0
        finally:
            single.kill()
    with jupyter(tmp_path, config=config, **ada) as plain:
        assert wait(plain, first)["error"]["code"] == "server_died"
        assert wait(plain, second)["error"]["code"] == "server_stopped"


def until_running(server: Jupyter, job: str) -> None:
    """Wait until the server runs a job, which a kernel may ask."""
    runtime = json.loads(server.runtime_file.read_text())
    url = f"{runtime['url']}api/bgstream/jobs/{job}"
    with server.client(headers={"Authorization": f"token {runtime['token']}"}) as client:
        until(lambda: client.get(url).json().get("text") == "one ")


def test_jupyter_removes_temporary_store_at_stop_and_after_kill(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["hello"] = answer("Hello, world")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    config = config_for(provider)
    config["BgStreamApp"]["store"] = "temporary"
    server = Jupyter(tmp_path, config=config, TMPDIR=str(temporary))
    server.start()
    (killed,) = temporary.glob("jupyter-bgstream-*")
    assert wait(server, submit(server, "hello"))["text"] == "Hello, world"
    server.kill()
    assert (killed / "jobs.sqlite").exists()
    with server.start().client() as client:
        (directory,) = temporary.glob("jupyter-bgstream-*")
        assert directory != killed
        assert client.get("status").json()["store"] == "temporary"
        assert client.get("jobs").json()["jobs"] == []
    server.stop()
    assert list(temporary.glob("jupyter-bgstream-*")) == []
