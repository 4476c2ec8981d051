"""No callback holds the event loop for more than 50 ms while 50 jobs stream and users send many requests."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from abuse.watched import TRIES, caller, follow, page, probe, submit, watched
from harness.jupyter import Jupyter

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.port_values import Change
from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

STREAMS = 50
PAGES = 3
LAW = 0.050  # seconds
SECONDS = 8.0
SEED = 3
TURNS = 12
LONG = "A word or two. " * 13_400  # 200 kB
SCRIPTS = {
    "stream": answer([f"{n} " for n in range(5000)], pace=0.02),
    "long": answer([LONG[n : n + 2000] for n in range(0, len(LONG), 2000)]),
    "words": answer([LONG[n : n + 8] for n in range(0, len(LONG), 8)]),  # 25,000 deltas
    "quick": answer("It is done."),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider(SCRIPTS).in_thread() as provider:
        yield provider


@pytest.fixture(scope="module")
def server(provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with watched(tmp_path_factory.mktemp("home"), provider, max_running=STREAMS + 10) as server:
        yield server


async def test_event_loop_is_never_blocked_longer_than_limit(server: Jupyter) -> None:
    print(f"seed {SEED}")
    async with caller(server) as client:
        ids = [await submit(client, "quick", source={"notebook": "big.ipynb"}) for _ in range(500)]
        for job in ids:
            await follow(client, job)
        words = await submit(client, "words")
        await follow(client, words)
        for _ in range(TURNS):
            turn = await submit(client, "long", thread="long", prompt=LONG)
            await follow(client, turn)
        async with streaming(server, client):
            for _ in range(TRIES):
                probe(server, "DELETE")
                asked = await load(client, ids, words, random.Random(SEED))
                found = probe(server)
                if not any(one["held"] > LAW for one in found["slow"]):
                    break
    slow = sorted(found["slow"], key=lambda one: -one["held"])
    collections = [round(seconds * 1e3) for seconds in found["collections"]]
    print(f"{found['callbacks']} callbacks, {asked}; full collections: {collections} ms; longest:")
    for one in slow[:8]:
        print(said(one))
    assert found["callbacks"] > 10_000
    assert all(count > 3 for count in asked.values())
    assert not [said(one) for one in slow if one["held"] > LAW]


@pytest.mark.parametrize("mischief", ["sleep", "compute"])
async def test_code_that_blocks_loop_is_detected_and_named(server: Jupyter, mischief: str) -> None:
    async with caller(server) as client, streaming(server, client):
        probe(server, "DELETE")
        for _ in range(3):
            await asyncio.to_thread(probe, server, "POST", **{mischief: 0.1})
        slow = probe(server)["slow"]
    held = [one for one in slow if one["held"] > LAW]
    # Three times it was held; a look into it may come too early or too late, but not each time.
    assert len(held) >= 3, slow
    assert any(" post" in one["where"] for one in held), held


def test_values_are_not_tracked_by_garbage_collector() -> None:
    # A full collection stops a Jupyter server for some 100 ms. Thousands of events and jobs would bring it about.
    (delta,) = decode_events([b'{"seq":1,"attempt":1,"type":"delta","channel":"text","text":"x"}'])
    message = Message(role="user", content="x")
    spec = JobSpec(model="a/b", messages=(message,), params={"a": [1]})
    job = Job(id="job-0001", owner="o", log="0", spec=spec, status="new", server="s", created_at=0.0)
    change = Change(kind="events", owner="o", subject=job.id, events=(b"x",))
    assert not any(map(gc.is_tracked, (delta, message, spec, job, change)))


def said(one: dict[str, Any]) -> str:
    milliseconds = {name: round(one[name] * 1e3, 1) for name in ("held", "wall", "cpu", "starved", "collecting")}
    return f"{one['name']}: {milliseconds} ms, {one['where'] or 'not seen where'}; {one['others']}"


@asynccontextmanager
async def streaming(server: Jupyter, client: httpx.AsyncClient) -> AsyncIterator[None]:
    """50 jobs stream, and each is followed by some pages."""
    jobs = [await submit(client, "stream") for _ in range(STREAMS)]
    for job in jobs:
        await follow(client, job, until='"delta"')
    pages = [await page(server, *jobs) for _ in range(PAGES)]

    async def watch(socket: Any) -> None:
        while await socket.read_message() is not None:
            pass

    watching = [asyncio.create_task(watch(socket)) for socket in pages]
    yield
    for job in jobs:
        await client.post(f"jobs/{job}/cancel")
    for socket in pages:
        socket.close()
    await asyncio.gather(*watching)


async def load(client: httpx.AsyncClient, ids: list[str], words: str, dice: random.Random) -> dict[str, int]:
    """Ask for much of everything for some seconds; returns how often each was asked."""
    prompt = "".join(dice.choices('abcdefgh \n"é', k=450_000))

    async def get(path: str, **params: Any) -> None:
        (await client.get(path, params=params)).raise_for_status()

    async def large() -> None:
        await submit(client, "quick", prompt=prompt)

    async def turn() -> None:
        await follow(client, await submit(client, "quick", thread="long"))

    kinds: dict[str, Callable[[], Awaitable[None]]] = {
        "lists of a notebook's 500 ids": lambda: get("jobs", ids=",".join(ids)),
        "lists of 500": lambda: get("jobs", limit="500"),
        "prompts of 500 kB": large,
        "answers of 200 kB": lambda: get(f"jobs/{words}"),
        "turns of a thread with 2.4 MB before it": turn,
        "inboxes": lambda: get("notices"),
    }
    asked = dict.fromkeys(kinds, 0)
    end = asyncio.get_running_loop().time() + SECONDS

    async def repeat(kind: str) -> None:
        while asyncio.get_running_loop().time() < end or asked[kind] < 4:
            await kinds[kind]()
            asked[kind] += 1

    await asyncio.gather(*map(repeat, kinds))
    return asked
