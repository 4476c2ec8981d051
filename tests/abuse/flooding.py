"""A notebook that floods the service, and how a kernel and Jupyter's own routes feel beside it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from abuse.watched import caller, memory
from harness.jupyter import Jupyter
from harness.sockets import hang_up
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider

AT_A_TIME = 8  # requests of the flood


class Flooded(msgspec.Struct, kw_only=True):
    """What a flood has shown. Times in seconds."""

    submitting: float
    running: float
    refused: tuple[int, str, str | None]  # status, code and Retry-After of the job too many
    disorder: int  # most places that a job came before or after its turn
    completed: int
    grown: float  # MB
    contents: list[float]  # of each GET api/contents beside it
    kernel: list[float]  # of each execute_request beside it

    def __str__(self) -> str:
        return (
            f"{self.completed} jobs submitted in {self.submitting:.1f} s, run in {self.running:.1f} s more, at most "
            f"{self.disorder} places out of turn, +{self.grown:.1f} MB; beside it contents {quantiles(self.contents)}, "
            f"a kernel's round trip {quantiles(self.kernel)}"
        )


def quantiles(seconds: list[float]) -> str:
    return f"p50 {quantile(seconds, 0.5) * 1e3:.0f} ms, p99 {quantile(seconds, 0.99) * 1e3:.0f} ms ({len(seconds)})"


def quantile(seconds: list[float], part: float) -> float:
    return sorted(seconds)[int((len(seconds) - 1) * part)]


async def flood(server: Jupyter, provider: ThreadedProvider, jobs: int) -> Flooded:
    """Submit so many jobs of a model that holds, one too many, let them run, and measure.

    The server must be set to ``max_queued=jobs``. The model ``held`` must hold once an answer.
    """
    async with caller(server) as client, beside(server) as (contents, kernel):
        before, began = memory(server), time.monotonic()
        todo = iter(range(jobs))

        async def submit() -> None:
            for n in todo:
                body = {"id": f"flood-{n:06}", "model": "demo/held", "prompt": f"{n}", "priority": "bulk"}
                (await client.post("jobs", json=body)).raise_for_status()

        await asyncio.gather(*(submit() for _ in range(AT_A_TIME)))
        submitted = time.monotonic()
        refusal = await client.post("jobs", json={"model": "demo/held", "prompt": "too many"})
        refused = (refusal.status_code, refusal.json()["code"], refusal.headers.get("Retry-After"))
        queue = await in_order(client)
        provider.release(jobs)
        while (await client.get("status")).json()["counts"].get("completed", 0) < jobs:
            await asyncio.sleep(0.2)
        ended = time.monotonic()
        grown = memory(server) - before
    served = [json.loads(request.body)["messages"][0]["content"] for request in provider.requests]
    asked = {job["title"]: place for place, job in enumerate(queue)}
    return Flooded(
        submitting=submitted - began,
        running=ended - submitted,
        refused=refused,
        disorder=max(abs(asked[prompt] - place) for place, prompt in enumerate(served)),
        completed=len(set(served)),
        grown=grown,
        contents=contents,
        kernel=kernel,
    )


async def in_order(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Every job, oldest first."""
    jobs: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await client.get("jobs", params={"limit": "500"} | cursor)).json()
        jobs += answer["jobs"]
        if answer["next"] is None:
            return jobs[::-1]
        cursor = {"cursor": answer["next"]}


@asynccontextmanager
async def beside(server: Jupyter) -> AsyncIterator[tuple[list[float], list[float]]]:
    """A person who looks at files and runs cells meanwhile: the seconds that each took."""
    contents: list[float] = []
    rounds: list[float] = []
    authorization = {"Authorization": f"token {server.token}"}
    async with httpx.AsyncClient(
        base_url=server.url, headers=authorization, trust_env=False, verify=False, timeout=60
    ) as client:
        kernel = (await client.post("api/kernels")).raise_for_status().json()["id"]
        url = server.url.replace("http:", "ws:") + f"api/kernels/{kernel}/channels"
        socket = await websocket_connect(HTTPRequest(url, headers=authorization))

        async def look() -> None:
            while True:
                began = time.monotonic()
                (await client.get("api/contents")).raise_for_status()
                contents.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

        async def run() -> None:
            began = time.monotonic()
            await socket.write_message(execute("1 + 1"))
            while (message := json.loads(await socket.read_message() or "{}"))["msg_type"] != "execute_reply":
                pass
            assert message["content"]["status"] == "ok"
            rounds.append(time.monotonic() - began)

        async def run_again() -> None:
            while True:
                await run()
                await asyncio.sleep(0.02)

        await run()  # the kernel has started
        rounds.clear()
        people = [asyncio.create_task(look()), asyncio.create_task(run_again())]
        try:
            yield contents, rounds
        finally:
            for person in people:
                assert not person.done(), person.result()
                person.cancel()
            await asyncio.gather(*people, return_exceptions=True)
            await hang_up(socket)
            await client.delete(f"api/kernels/{kernel}")


def execute(code: str) -> str:
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "",
        "session": "s",
        "version": "5.3",
    }
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    return json.dumps(message)
