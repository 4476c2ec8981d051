"""Laws of the engine under a cancel at any await, a blocked store, and the death of another server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest
from engine.conftest import OWNER, Puppet, ended, shown, spec
from store.factories import ROOM, append, text_deltas
from store.model import MemoryStore

from jupyter_bgstream.core.errors import BgStreamError, UnavailableError
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.event_writer import UNWRITTEN_BYTES
from jupyter_bgstream.store.port_values import Append
from jupyter_bgstream.testing.clock import FakeClock


@pytest.mark.parametrize("seed", range(60))
async def test_stored_text_is_prefix_at_any_cancelled_await(engine: Engine, puppet: Puppet, seed: int) -> None:
    chance = random.Random(seed)
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()
    said = ""
    for n in range(chance.randrange(30)):
        pieces = [f"{n}.{i}👋🏽 " for i in range(chance.randrange(1, 4))]
        call.say(*pieces)
        said += "".join(pieces)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
    if chance.random() < 0.3:
        call.finish()
    for _ in range(chance.randrange(8)):
        await asyncio.sleep(0)
    await engine.jobs.cancel(OWNER, job.id)
    async with asyncio.timeout(60):
        await call.closed.wait()
    job, answer = await engine.jobs.answer(OWNER, job.id)
    assert job.status in ("cancelled", "completed")
    assert said.startswith(answer.text)
    assert answer.text == said or job.status == "cancelled"


class Slow(MemoryStore):
    """A store whose appends wait until they may go on, or fail."""

    def __init__(self) -> None:
        super().__init__(server="here")
        self.open_gate = asyncio.Event()
        self.trouble: UnavailableError | None = None
        self.appends = 0

    async def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        self.appends += 1
        await self.open_gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return await super().append(appends)


async def test_blocked_store_stops_reading_from_provider(puppet: Puppet) -> None:
    store = Slow()
    engine = Engine(store=store, providers=puppet, server="here")
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()
    piece = "x" * 1024
    for _ in range(1000):
        call.say(piece)
    for _ in range(5000):
        await asyncio.sleep(0)
    read = 1000 - call.unread
    assert UNWRITTEN_BYTES // 1024 <= read <= UNWRITTEN_BYTES // 1024 + 5
    assert store.appends == 1  # one at a time, each with all that came meanwhile
    store.open_gate.set()
    call.finish()
    assert (await ended(engine, job.id)).status == "completed"
    assert len((await engine.jobs.answer(OWNER, job.id))[1].text) == 1000 * 1024
    await engine.close()


async def test_unwritable_store_fails_job_and_later_job_completes(puppet: Puppet) -> None:
    store = Slow()
    store.open_gate.set()
    engine = Engine(store=store, providers=puppet, server="here")
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("kept")
    await shown(engine, job.id, "kept")
    store.trouble = UnavailableError("The disk is full.")
    call.say(" lost").finish()
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "not_stored")
    assert "disk is full" in job.error.message
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "kept"
    store.trouble = None
    other, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("fine").finish()
    assert (await ended(engine, other.id)).status == "completed"
    await engine.close()


async def test_job_of_server_that_dies_later_ends_as_interrupted(puppet: Puppet) -> None:
    store, clock = MemoryStore(server="here"), FakeClock()
    engine = Engine(store=store, providers=puppet, server="here", clock=clock)
    await engine.open()
    await clock.sleeping()
    mine, _ = await engine.jobs.submit(OWNER, spec())
    await puppet.call()
    theirs = msgspec.structs.replace(mine, id="of-another", server="dead", status="new", seq=0, attempt=0, fence=0)
    await store.submit(theirs, max_queued=9)
    (claimed,) = await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0)
    await append(store, claimed, text_deltas("Half "))
    assert (await engine.jobs.get(OWNER, "of-another")).status == "running"
    clock.advance(2)
    job = await ended(engine, "of-another")
    assert job.error is not None
    assert (job.status, job.error.code, job.ended_at) == ("interrupted", "server_died", clock.time())
    assert (await engine.jobs.answer(OWNER, "of-another"))[1].text == "Half "
    assert (await engine.jobs.get(OWNER, mine.id)).status == "running"
    await engine.close()
