"""Hub users on one database: a server runs the jobs of its own user and leaves those of all others alone."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from harness.jupyter import Jupyter
from server.conftest import config_for, submit, until_text, wait

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")

HELD = answer("one two three", hold_after=2)
WHOLE = answer("one two three")


class Machine:
    """One database, a server and a provider for each user; the user None is a Jupyter server without a Hub."""

    def __init__(self, folder: Path, resources: ExitStack) -> None:
        self.database = folder / "shared.sqlite"
        self._folder = folder
        self._resources = resources

    def user(self, name: str | None, **settings: Any) -> tuple[Jupyter, ThreadedProvider]:
        """Return a user's server, not started, and the only provider it knows."""
        provider = self._resources.enter_context(ScriptedProvider({"held": HELD, "whole": WHOLE}).in_thread())
        env = {} if name is None else {"JUPYTERHUB_USER": name}
        config = config_for(provider, database=str(self.database), **settings)
        server = Jupyter(self._folder / (name or "nobody"), config=config, **env)
        self._resources.callback(server.stop)
        return server, provider

    def stored(self, owner: str) -> list[tuple[str, str, int]]:
        """Return id, status and attempt of all jobs of an owner."""
        query = "SELECT id, status, attempt FROM jobs WHERE owner = ? ORDER BY n"
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(query, (owner,)).fetchall()


@pytest.fixture
def machine(tmp_path: Path):
    with ExitStack() as resources:
        yield Machine(tmp_path, resources)


def models(provider: ThreadedProvider) -> list[str]:
    return [request.model for request in provider.requests]


def leave_jobs_behind(server: Jupyter) -> tuple[str, str, str]:
    """Kill a server while a plain job and a ``retry`` job run and a third is queued; returns their ids."""
    plain = submit(server, "held")
    again = submit(server, "held", on_restart="retry")
    queued = submit(server, "whole")
    for job in (plain, again):
        until_text(server, job, "one two")
    server.kill()
    return plain, again, queued


def test_server_of_another_user_leaves_jobs_of_killed_server_alone(machine: Machine) -> None:
    ada, adas_provider = machine.user("ada", max_running=2)
    bob, bobs_provider = machine.user("bob", max_running=1)
    ada.start()
    bob.start()
    running = submit(bob, "held")
    until_text(bob, running, "one two")
    bobs = submit(bob, "whole")
    plain, again, queued = leave_jobs_behind(ada)
    left = [(plain, "running", 1), (again, "running", 1), (queued, "queued", 0)]
    bob.kill()
    bob.start()
    # One look of the recovery takes the jobs of all dead servers: ada's would have gone the way of bob's.
    assert wait(bob, bobs)["text"] == "one two three"
    assert wait(bob, running)["error"]["code"] == "server_died"
    assert wait(bob, submit(bob, "whole"))["status"] == "completed"
    assert machine.stored("ada") == left
    assert models(bobs_provider) == ["held", "whole", "whole"]
    bob.stop()
    assert machine.stored("ada") == left
    adas_provider.scripts["held"] = WHOLE
    ada.start()
    assert (wait(ada, plain)["error"]["code"], wait(ada, plain)["text"]) == ("server_died", "one two ")
    assert (wait(ada, again)["text"], wait(ada, again)["attempt"]) == ("one two three", 2)
    assert wait(ada, queued)["text"] == "one two three"
    assert sorted(models(adas_provider)) == ["held", "held", "held", "whole"]
    assert len(models(bobs_provider)) == 3


def test_server_of_hub_user_leaves_jobs_older_than_hub_alone(machine: Machine) -> None:
    before, provider = machine.user(None, max_running=2)
    ada, adas_provider = machine.user("ada", max_running=1)
    ada.start()
    running = submit(ada, "held")
    until_text(ada, running, "one two")
    queued = submit(ada, "whole")
    ada.kill()
    before.start()
    jobs = leave_jobs_behind(before)
    ada.start()
    assert wait(ada, queued)["text"] == "one two three"
    assert [(job, status) for job, status, _ in machine.stored("local")] == list(
        zip(jobs, ("running", "running", "queued"), strict=True)
    )
    assert models(adas_provider) == ["held", "whole"]
    provider.scripts["held"] = WHOLE
    before.start()
    assert [wait(before, job)["status"] for job in jobs] == ["interrupted", "completed", "completed"]
