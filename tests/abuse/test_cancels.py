"""2,400 quick submits and cancels leave nothing behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from abuse.watched import caller, follow, held, memory, submit, until, watched
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider
from jupyter_bgstream.testing.scripts import Hold, Script, answer

ROUND = 800
ROUNDS = 3
AT_A_TIME = 16
SEED = 3
# What CPython's allocator may keep of two rounds. 1,600 leaks of a task with its client (~60 kB) would be 100 MB, and
# of 10 kB each 16 MB.
SLACK_MB = 12.0

WORDS = [f"word {n} " for n in range(400)]
SCRIPTS = {
    "mute": Script(steps=(Hold(),)),  # not even a status line
    "stall": answer(WORDS, hold_after=3),
    "drip": answer(WORDS, pace=0.005),
    "flood": answer([text * 40 for text in WORDS]),
    "quick": answer("It is done."),
}
WAYS = ("at once", "after a while", "streaming", "twice", "delete")


@pytest.fixture
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider(SCRIPTS).in_thread() as provider:
        yield provider


async def test_2400_submits_and_cancels_leave_nothing_behind(tmp_path: Path, provider: ThreadedProvider) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    with watched(tmp_path, provider, max_running=8) as server:
        await flood(server, dice, 200)  # first use costs: modules, threads, pages
        before = await settled(server, provider)
        sizes = []
        for _ in range(ROUNDS):
            await flood(server, dice, ROUND)
            await settled(server, provider, like=before)
            sizes.append(memory(server))
        print("MB after each round:", sizes)
        assert sizes[-1] - sizes[0] < SLACK_MB
        async with caller(server) as client:
            for model, text in (("quick", "It is done."), ("flood", "".join(t * 40 for t in WORDS))):
                job = await submit(client, model)
                await follow(client, job)
                done = (await client.get(f"jobs/{job}")).json()
                assert (done["status"], done["text"]) == ("completed", text)
        assert not [line for line in server.log if "Traceback" in line or "never retrieved" in line]


async def settled(server: Jupyter, provider: ThreadedProvider, like: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the server holds once nothing runs and nobody is connected; waits until it is ``like`` before."""
    with server.client() as client:
        await until(lambda: not unfinished(client), "every job has ended")
    await asyncio.to_thread(provider.quiet)
    assert all(request.closed_at is not None for request in provider.requests)
    provider.requests.clear()
    looks = [held(server)]

    def at_rest() -> bool:
        looks.append(held(server))
        return not looks[-1]["connections"] and looks[-1] == (looks[-2] if like is None else like)

    await until(at_rest, f"the server holds {like or 'the same at two looks'}: {looks}")
    return looks[-1]


def unfinished(client: httpx.Client) -> int:
    counts = client.get("status").json()["counts"]
    return sum(counts.get(state, 0) for state in ("queued", "running", "waiting"))


async def flood(server: Jupyter, dice: random.Random, number: int) -> None:
    plan = [(dice.choice(list(SCRIPTS)), dice.choice(WAYS), dice.random() * 0.05) for _ in range(number)]
    todo = iter(plan)
    async with caller(server) as client:

        async def work() -> None:
            for model, way, pause in todo:
                await one(client, model, way, pause)

        await asyncio.gather(*(work() for _ in range(AT_A_TIME)))


async def one(client: httpx.AsyncClient, model: str, way: str, pause: float) -> None:
    job = await submit(client, model)
    if way in ("after a while", "twice"):
        await asyncio.sleep(pause)
    elif way == "streaming" and model != "mute":
        await follow(client, job, until='"delta"')
    if way == "delete":
        assert (await client.delete(f"jobs/{job}")).status_code == 204
        return
    cancels = 2 if way == "twice" else 1
    answers = await asyncio.gather(*(client.post(f"jobs/{job}/cancel") for _ in range(cancels)))
    for reply in answers:
        assert reply.status_code == 200, reply.text
        # A quick one may have been faster; nothing ever fails.
        assert reply.json()["status"] in ("cancelled", "completed"), reply.text
