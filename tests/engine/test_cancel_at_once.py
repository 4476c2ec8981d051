"""A cancel before the first events of a provider are committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.conftest import LIMITS, OWNER, Puppet, spec
from store.model import MemoryStore

from jupyter_bgstream.core.errors import BgStreamError
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.store.port_values import Append


class Slow(MemoryStore):
    """Commits nothing of a log before it may."""

    def __init__(self) -> None:
        super().__init__(server="here")
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        self.asked.set()
        await self.may.wait()
        return await super().append(appends)


async def test_cancel_before_first_append_cancels_response_at_provider(puppet: Puppet) -> None:
    store = Slow()
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS)
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).keep("at the beginning")
    async with asyncio.timeout(60):
        await store.asked.wait()
        await engine.jobs.cancel(OWNER, job.id)
        store.may.set()
        await call.closed.wait()
    await engine.close()
    assert [job.resume for job in puppet.cancelled_responses] == ["at the beginning"]
