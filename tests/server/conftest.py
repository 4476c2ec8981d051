"""A real Jupyter server whose one provider says what a test tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from harness.jupyter import Jupyter, jupyter
from server.receiver import Receiver
from server.webhook_servers import Servers

from jupyter_bgstream.testing.clock import START
from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider


@pytest.fixture(scope="module")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider().in_thread() as provider:
        yield provider


def config_for(provider: ThreadedProvider, **settings: Any) -> dict[str, Any]:
    return {"BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}} | settings}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    with jupyter(tmp_path_factory.mktemp("home"), config=config_for(provider)) as server:
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture(params=["memory", "sqlite"])
async def servers(request: pytest.FixtureRequest, receiver: Receiver, tmp_path: Path) -> AsyncIterator[Servers]:
    database = tmp_path / "jobs.sqlite" if request.param == "sqlite" else None
    async with AsyncExitStack() as stack:
        yield Servers(receiver, stack, database=database, now=START)


def submit(server: Jupyter, model: str, **fields: Any) -> str:
    """Submit a job for a scripted model; returns its id."""
    with server.client() as client:
        answer = client.post("jobs", json={"model": f"demo/{model}", "prompt": "Hello"} | fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def wait(server: Jupyter, job: str) -> dict[str, Any]:
    """Follow a job to its end by long-poll; returns it with its text."""
    offset = "-1"
    with server.client() as client:
        while True:
            answer = client.get(f"jobs/{job}/events", params={"offset": offset, "live": "long-poll"})
            assert answer.status_code in (200, 204), answer.text
            offset = answer.headers["Stream-Next-Offset"]
            if "Stream-Closed" in answer.headers:
                return dict(client.get(f"jobs/{job}").json())


def until_text(server: Jupyter, job: str, text: str) -> str:
    """Follow a job until its text holds this; returns the cursor there."""
    offset, seen = "-1", ""
    with server.client() as client:
        while text not in seen:
            answer = client.get(f"jobs/{job}/events", params={"offset": offset, "live": "long-poll"})
            offset = answer.headers["Stream-Next-Offset"]
            seen += "".join(event.get("text", "") for event in (answer.json() if answer.content else []))
    return offset
