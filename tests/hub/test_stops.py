"""Servers that the Hub, its culler or their user stops while jobs run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from client.conftest import Kernel
from harness.hub import REPOSITORY, Hub, UserServer
from harness.process import LoggedProcess
from hub.test_access import by_token

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import Script, answer

KernelOf = Callable[[UserServer], Kernel]

ROWS = 30
ANSWERED = 10  # rows before the stop
CONCURRENCY = 4
HELD = 1  # answers that the culler's tests hold meanwhile
LONG = {"model": "demo/long", "prompt": "x", "idle_timeout": 3600}
IDLE_SECONDS = 25  # for the culler; above what busy servers are marked at

MAP = f"""
import jupyter_bgstream as bg
table = [{{{{"n": n}}}} for n in range({ROWS})]
rows = bg.map(table, "Row {{{{n}}}}", model="demo/{{model}}", max_concurrency={CONCURRENCY})
"""


class Rows:
    """A model that answers the first rows at once, and the others when it is opened."""

    def __init__(self, provider: ThreadedProvider, model: str) -> None:
        self.model = model
        self.opened = Event()
        self._provider = provider
        provider.scripts[model] = self._answer

    def _answer(self, request: Any) -> Script:
        row = int(request.prompt.split()[-1])
        ready = row < ANSWERED or self.opened.is_set()
        return answer(f"Answer {row}", hold_after=None if ready else 1)

    @property
    def asked(self) -> Counter[str]:
        return Counter(request.prompt for request in self._provider.asked(self.model))

    def run_in(self, kernel: Kernel) -> str:
        """Run the cell; returns the batch's id."""
        ran = kernel.run(MAP.format(model=self.model))
        assert ran.reply["status"] == "ok", ran.error
        return kernel.ask("rows.id").strip("'")


def check_answers(server: UserServer, batch: str) -> None:
    """Check that every row has its answer once."""
    found = by_token(server, "GET", f"batches/{batch}/answers").json()["answers"]
    assert [each["status"] for each in found] == ["completed"] * ROWS
    assert sorted(each["text"] for each in found) == sorted(f"Answer {row}" for row in range(ROWS))


@pytest.fixture(scope="module")
def culled(hub: Hub, provider: ThreadedProvider) -> Iterator[tuple[UserServer, UserServer, str]]:
    """Two servers that a culler looks at, and the running job of the first."""
    provider.scripts["long"] = answer("one two", hold_after=1)
    busy, idle = hub.server("erin"), hub.server("fred")
    job = by_token(busy, "POST", "jobs", json=LONG).json()["id"]
    with hub.culler(timeout=IDLE_SECONDS):
        yield busy, idle, job


@pytest.mark.usefixtures("culled")  # which looks at its servers meanwhile
def test_restarted_server_continues_batch(hub: Hub, provider: ThreadedProvider, kernel_of: KernelOf) -> None:
    rows = Rows(provider, "rows-dave")
    provider.scripts["single"] = answer("one two", hold_after=1)
    server, neighbour = hub.server("dave"), hub.server("gus")  # both on one database
    kernel = kernel_of(server)
    batch = rows.run_in(kernel)
    single = kernel.run("%%bg demo/single --name single\nx").job["id"]
    assert kernel.ask("next(iter(single))") == repr("one ")
    provider.held(CONCURRENCY + 1 + HELD)
    kernel.abandon()
    rows.opened.set()  # for what is asked from now on
    server.stop()
    assert list(server.runtime.glob("bgstream-*.json")) == []

    # The neighbour's server runs its own jobs, and none of dave's.
    asked = rows.asked
    neighbour_job = by_token(neighbour, "POST", "jobs", json={"prompt": "x"}).json()["id"]
    wait_for_end(neighbour, neighbour_job)
    assert by_token(neighbour, "GET", f"batches/{batch}").status_code == 404
    assert rows.asked == asked

    server.start()
    kernel = kernel_of(server)
    assert rows.run_in(kernel) == batch  # the same cell picks it up
    assert kernel.ask("len(rows.wait(60).to_frame())") == repr(ROWS)
    check_answers(server, batch)
    again = [prompt for prompt, times in rows.asked.items() if times > 1]
    assert len(again) <= CONCURRENCY  # those that were running
    ended = by_token(server, "GET", f"jobs/{single}").json()
    assert (ended["status"], ended["text"], ended["error"]["code"]) == ("interrupted", "one ", "server_stopped")


def wait_for_end(server: UserServer, job: str) -> None:
    while "Stream-Closed" not in by_token(server, "GET", f"jobs/{job}/events?offset=now&live=long-poll").headers:
        pass


@pytest.mark.usefixtures("culled")
def test_serve_of_user_takes_over_batch(hub: Hub, provider: ThreadedProvider, kernel_of: KernelOf) -> None:
    rows = Rows(provider, "rows-hal")
    server = hub.server("hal")
    with closing(serve(hub, "hal")) as outside:
        outside.await_line("Running jobs at")
        kernel = kernel_of(server)
        batch = rows.run_in(kernel)
        provider.held(CONCURRENCY + HELD)
        kernel.abandon()
        rows.opened.set()  # for what is asked from now on
        server.stop()
        script = f"import jupyter_bgstream as bg; print(len(bg.batch({batch!r}).wait(60).to_frame()))"
        assert run_script(hub, "hal", script) == f"{ROWS}\n"
        outside.end()
    server.start()
    check_answers(server, batch)


def environment(hub: Hub, user: str) -> dict[str, str]:
    """Return the variables of a program of the user outside the Hub: its home, and its user on the Hub."""
    home = {"HOME": str(hub.homes / user), "JUPYTERHUB_USER": user, "JUPYTER_CONFIG_PATH": str(hub.admin)}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | home


def serve(hub: Hub, user: str) -> LoggedProcess:
    command = [sys.executable, "-m", "jupyter_bgstream.cli", "serve"]
    return LoggedProcess(command, env=environment(hub, user), cwd=hub.homes / user)


def run_script(hub: Hub, user: str, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(hub, user),
        cwd=hub.homes / user,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_culler_spares_server_with_running_job(
    culled: tuple[UserServer, UserServer, str], provider: ThreadedProvider
) -> None:
    busy, idle, job = culled
    idle.await_culled(4 * IDLE_SECONDS)
    assert busy.ready
    assert by_token(busy, "GET", f"jobs/{job}").json()["status"] == "running"
    provider.release()
    wait_for_end(busy, job)
    assert by_token(busy, "GET", f"jobs/{job}").json()["text"] == "one two"
