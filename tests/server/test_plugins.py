"""A plug-in of another package in a real server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.jupyter import Jupyter
from server.conftest import until_text, wait

from jupyter_bgstream.testing import ThreadedProvider, answer

PATIENCE = 60  # seconds
AGENT = """
import asyncio
import time
from pathlib import Path

FOLDER = Path(__file__).parent

async def agent(messages, model, params):
    word = messages[-1]["content"]
    try:
        yield f"{word} "
        if model == "blocking":
            while not (FOLDER / word).exists():
                time.sleep(0.01)
        elif model == "held":
            while not (FOLDER / word).exists():
                await asyncio.sleep(0.01)
        yield "to the end"
    finally:
        (FOLDER / f"{word}.closed").touch()
"""


class Site:
    """A folder on the server's path with a distribution in it. A job goes on when a file has its prompt's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "an_agent.py").write_text(AGENT)
        info = folder / "an_agent-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: an_agent\nVersion: 1.0\n")
        entries = ["[jupyter_bgstream.providers]", "agent = an_agent:agent", "broken = an_agent:nothing"]
        (info / "entry_points.txt").write_text("\n".join(entries))

    def release(self, word: str) -> None:
        (self.folder / word).touch()

    def closed(self, word: str) -> bool:
        """Whether the generator's ``finally`` ran, waiting for it."""
        end = time.monotonic() + PATIENCE
        while not (found := (self.folder / f"{word}.closed").exists()) and time.monotonic() < end:
            time.sleep(0.01)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, site: Site, provider: ThreadedProvider) -> Iterator[Jupyter]:
    home = tmp_path_factory.mktemp("home")
    local = dict.fromkeys(("ollama", "lmstudio", "llamacpp", "vllm"))  # whatever runs on this machine is not asked
    settings = {
        "providers": local | {"later": {"base_url": provider.base_url}},
        "model_aliases": {"mine": "agent/held"},
        "database": str(home / "jobs.sqlite"),
    }
    path = os.pathsep.join(filter(None, (str(site.folder), os.environ.get("PYTHONPATH"))))
    server = Jupyter(home, config={"BgStreamApp": settings}, PYTHONPATH=path)
    try:
        yield server.start()
    finally:
        server.stop()


def submit(server: Jupyter, model: str, **fields: str) -> str:
    with server.client() as client:
        return str(client.post("jobs", json={"model": model} | fields).raise_for_status().json()["id"])


def test_plugin_answers_and_is_listed_beside_broken_plugin(server: Jupyter) -> None:
    job = submit(server, "agent/one", prompt="straight")
    ended = wait(server, job)
    assert (ended["status"], ended["text"]) == ("completed", "straight to the end")
    with server.client() as client:
        found = client.get("models").json()
        providers = {each["name"]: each for each in found["providers"]}
        assert providers["agent"]["error"] is None
        assert "AttributeError" in providers["broken"]["error"]["message"]
        assert providers["demo"]["models"][0] == "demo/tour"
        assert providers["openai"] | {"kind": ""} == {
            "name": "openai",
            "kind": "",
            "models": [],
            "error": {"code": "missing_key", "message": "Not configured: set OPENAI_API_KEY."},
            "note": None,
            "configured": False,
        }
        assert (found["default"], found["aliases"]) == ("demo/tour", {"mine": "agent/held"})
        assert "OPENAI_API_KEY" in found["default_why"]
        assert client.get("status").json()["default_model"] == "demo/tour"
        assert client.get("models?refresh=true").status_code == 200
        for wrong in ("refresh=maybe", "again=true"):
            assert client.get(f"models?{wrong}").json()["code"] == "invalid"
    broken = submit(server, "broken/one", prompt="x", retry_policy="never")
    assert wait(server, broken)["error"]["code"] == "provider_error"


def test_demo_model_answers_without_configuration(server: Jupyter) -> None:
    with server.client() as client:
        job = client.post("jobs", json={"prompt": "Hello", "params": {"speed": 100}}).json()
    assert job["model"] == "demo/tour"
    ended = wait(server, job["id"])
    assert ended["status"] == "completed"
    assert ended["text"].startswith("*This is the demo model")
    assert ended["reasoning"]


def test_repeated_submit_creates_one_job_after_default_changed(server: Jupyter, provider: ThreadedProvider) -> None:
    body = {"id": "repeated-job", "prompt": "Hello", "params": {"speed": 100}}
    jobs = [body | {"id": f"repeated-job-{number}"} for number in range(2)]
    batch = {"id": "repeated-batch", "total": 2, "jobs": jobs}
    with server.client() as client:
        assert client.post("jobs", json=body).json()["model"] == "demo/tour"
        assert client.post("batches", json=batch).status_code == 200
        provider.scripts["qwen"] = answer("Hello")
        assert client.get("models?refresh=true").json()["default"] == "later/qwen"
        again = client.post("jobs", json=body)
        assert (again.status_code, again.json()["model"]) == (200, "demo/tour")
        assert client.post("batches", json=batch).json()["submitted"] == 2
        other = client.post("jobs", json={"prompt": "Hello"}).json()
        assert other["model"] == "later/qwen"
        assert wait(server, other["id"])["text"] == "Hello"
        del provider.scripts["qwen"]
        assert client.get("models?refresh=true").json()["default"] == "demo/tour"


def test_cancel_closes_generator_and_alias_is_resolved(server: Jupyter, site: Site) -> None:
    job = submit(server, "mine", prompt="cancelled")
    until_text(server, job, "cancelled ")
    with server.client() as client:
        cancelled = client.post(f"jobs/{job}/cancel").json()
        assert (cancelled["status"], cancelled["model"]) == ("cancelled", "agent/held")
        assert site.closed("cancelled")
        assert client.get(f"jobs/{job}").json()["text"] == "cancelled "


def test_second_reader_gets_same_events(server: Jupyter, site: Site) -> None:
    job = submit(server, "agent/held", prompt="again")
    until_text(server, job, "again ")
    with server.client() as client:
        before = client.get(f"jobs/{job}/events").json()
        site.release("again")
        assert wait(server, job)["text"] == "again to the end"
        assert client.get(f"jobs/{job}/events").json()[: len(before)] == before


def test_blocking_plugin_does_not_block_server(server: Jupyter, site: Site) -> None:
    job = submit(server, "agent/blocking", prompt="blocks")
    until_text(server, job, "blocks ")
    with server.client() as client:
        assert client.get("status").json()["counts"]["running"] >= 1
        other = submit(server, "agent/one", prompt="meanwhile")
        assert wait(server, other)["text"] == "meanwhile to the end"
        assert client.get(f"jobs/{job}").json()["status"] == "running"
        site.release("blocks")
        assert wait(server, job)["text"] == "blocks to the end"


def test_plugin_job_of_killed_server_is_interrupted_or_retried(server: Jupyter, site: Site) -> None:
    left = submit(server, "agent/held", prompt="left")
    retried = submit(server, "agent/held", prompt="retried", on_restart="retry")
    for job, word in ((left, "left "), (retried, "retried ")):
        until_text(server, job, word)
    server.kill()
    site.release("retried")
    server.start()
    ended = wait(server, left)
    assert (ended["status"], ended["text"]) == ("interrupted", "left ")
    ended = wait(server, retried)
    assert (ended["status"], ended["text"], ended["attempt"]) == ("completed", "retried to the end", 2)
    assert ended["earlier"][0]["text"] == "retried "
