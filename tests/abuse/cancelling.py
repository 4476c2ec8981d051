"""Cancels that one server is told, of jobs that another runs, while both stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from abuse.watched import PATIENCE, caller, follow, submit, watched
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider

STREAMS = 20  # jobs on each server


@contextmanager
def two_servers(home: Path, provider: ThreadedProvider) -> Iterator[tuple[Jupyter, Jupyter]]:
    """Two servers on one database."""
    database = str(home / "jobs.sqlite")
    with (
        watched(home / "one", provider, database=database, max_running=STREAMS) as one,
        watched(home / "two", provider, database=database, max_running=STREAMS) as two,
    ):
        yield one, two


async def cancels(one: Jupyter, two: Jupyter, provider: ThreadedProvider, number: int) -> list[float]:
    """Seconds from each POST to the second server until the provider saw the socket of the first one's job close.

    The model ``drip`` must stream for as long as this takes. A new job takes the place of each that was cancelled.
    """
    found = []
    async with caller(one) as first, caller(two) as second:

        async def stream(on: object, name: str) -> str:
            client = first if on is one else second
            job = await submit(client, "drip", prompt=name)
            await follow(client, job, until='"delta"')
            return job

        for n in range(STREAMS):
            await stream(two, f"two {n}")
        jobs = [(name, await stream(one, name)) for name in (f"one {n}" for n in range(STREAMS))]
        for n in range(number):
            name, job = jobs.pop(0)
            (request,) = [r for r in provider.requests if r.json["messages"][0]["content"] == name]
            began = time.monotonic()
            answer = (await second.post(f"jobs/{job}/cancel")).raise_for_status()
            assert answer.json()["status"] == "cancelled"
            while request.closed_at is None:
                assert time.monotonic() - began < PATIENCE, "the socket was never closed"
                await asyncio.sleep(0.005)
            assert request.closed_by_client
            found.append(request.closed_at - began)
            name = f"one more {n}"
            jobs.append((name, await stream(one, name)))
        counts = (await first.get("status")).json()["counts"]
        assert counts == {"running": 2 * STREAMS, "cancelled": number}
    return found
