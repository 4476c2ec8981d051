"""A real Jupyter server that is looked at from outside (/proc) and from inside (the probe)."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from harness.jupyter import OTHERS, Jupyter, jupyter
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider

PATIENCE = 60.0  # seconds
TRIES = 3  # at most, of a measurement: other programs add to it and never take from it
HERE = str(Path(__file__).parent)


@contextmanager
def watched(home: Path, provider: ThreadedProvider, **settings: Any) -> Iterator[Jupyter]:
    """A running server with the probe in it."""
    config = {
        "ServerApp": {
            "jpserver_extensions": dict.fromkeys(OTHERS, False) | {"jupyter_bgstream": True, "probe": True},
            "log_level": "WARN",
        },
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}, "log_level": "INFO"} | settings,
    }
    path = os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))
    with jupyter(home, config=config, PYTHONPATH=path) as server:
        yield server


def caller(server: Jupyter) -> httpx.AsyncClient:
    """A caller with Jupyter's own token."""
    return httpx.AsyncClient(
        base_url=server.api,
        headers={"Authorization": f"token {server.token}"},
        trust_env=False,
        verify=False,
        timeout=PATIENCE,
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
    )


def probe(server: Jupyter, verb: str = "GET", **mischief: float) -> dict[str, Any]:
    with httpx.Client(
        headers={"Authorization": f"token {server.token}"}, trust_env=False, verify=False, timeout=PATIENCE
    ) as client:
        answer = client.request(verb, f"{server.url}probe", json=mischief or None)
        return dict(answer.raise_for_status().json())


def memory(server: Jupyter) -> float:
    """MB of the server's process."""
    return float(psutil.Process(server.pid).memory_info().rss / 1e6)


def held(server: Jupyter) -> dict[str, Any]:
    """What the server's process has hold of, by kind."""
    process = psutil.Process(server.pid)
    connections = [found for found in process.net_connections("tcp") if found.status != psutil.CONN_LISTEN]
    files = process.num_fds()
    inside = probe(server)
    inside["threads"].pop("asyncio", None)  # asyncio's own pool: it grows to its bound as it likes
    return {"files": files, "connections": len(connections), "tasks": inside["tasks"], "threads": inside["threads"]}


async def submit(client: httpx.AsyncClient, model: str, **fields: Any) -> str:
    """Submit a job for a scripted model; returns its id."""
    answer = await client.post("jobs", json={"model": f"demo/{model}", "prompt": "Hello"} | fields)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def follow(client: httpx.AsyncClient, job: str, *, until: str | None = None) -> None:
    """Read a job's log until it says this, or to its end."""
    offset = "-1"
    while True:
        reply = await client.get(f"jobs/{job}/events", params={"offset": offset, "live": "long-poll"})
        assert reply.status_code in (200, 204), reply.text
        offset = reply.headers["Stream-Next-Offset"]
        if "Stream-Closed" in reply.headers or (until and until in reply.text):
            return


async def page(server: Jupyter, *jobs: str) -> WebSocketClientConnection:
    """A page's socket that follows these jobs."""
    url = server.api.replace("http:", "ws:") + "live"
    socket = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}"}))
    for job in jobs:
        await socket.write_message(json.dumps({"type": "follow", "job": job}))
    return socket


async def frames(socket: WebSocketClientConnection) -> AsyncIterator[dict[str, Any]]:
    """What the page is told, until its socket closes."""
    while (message := await socket.read_message()) is not None:
        yield json.loads(message)


async def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Look until it is true; raises with ``what`` and the last value."""
    deadline = time.monotonic() + seconds
    while not (found := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, f"In {seconds:g} s never: {what}"
        await asyncio.sleep(0.02)
    return found
