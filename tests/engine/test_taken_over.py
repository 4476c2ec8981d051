"""Another machine takes over the store and the jobs of this server."""

from __future__ import annotations

import asyncio

from engine.conftest import LIMITS, OWNER, Puppet, spec
from store.model import MemoryStore

from jupyter_bgstream.engine.engine import Engine


class Lost(MemoryStore):
    """A store that another machine takes when a test says so."""

    def __init__(self) -> None:
        super().__init__(server="here")
        self.taken = asyncio.Event()

    async def wait_until_taken_over(self) -> None:
        await self.taken.wait()


async def test_takeover_of_store_closes_connections_of_running_jobs(puppet: Puppet) -> None:
    store = Lost()
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS)
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("so far")  # and then it is silent: no write would notice
    store.taken.set()
    async with asyncio.timeout(60):
        await call.closed.wait()
    await engine.jobs.submit(OWNER, spec("another"))
    assert (await engine.jobs.get(OWNER, job.id)).status == "running"  # its end is not ours to write
    assert len(puppet.calls) == 1
    await engine.close()
