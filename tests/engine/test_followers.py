"""Followers receive events without gap or duplicate, from any cursor and at any pace."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from engine.conftest import OWNER, Puppet, ended, shown, spec

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.errors import NotFoundError
from jupyter_bgstream.engine import followers as followers_module
from jupyter_bgstream.engine.engine import Engine


async def numbers(engine: Engine, job_id: str, after: int, pauses: random.Random | None = None) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(60):
        async for batch in engine.jobs.follow(await engine.jobs.get(OWNER, job_id), after=after):
            seen += [event.seq for event in decode_events(batch.events)]
            assert batch.cursor.seq == (seen[-1] if seen else after)
            for _ in range(pauses.randrange(30) if pauses else 0):
                await asyncio.sleep(0)
    return seen


@pytest.mark.parametrize("ring", [64, 2_000, 256 * 1024])
@pytest.mark.parametrize("seed", range(4))
async def test_followers_receive_every_event_once_from_any_cursor_at_any_pace(
    engine: Engine, puppet: Puppet, monkeypatch: pytest.MonkeyPatch, ring: int, seed: int
) -> None:
    monkeypatch.setattr(followers_module, "RING_BYTES", ring)
    chance = random.Random(seed)
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = await puppet.call()
    followers: list[tuple[int, asyncio.Task[list[int]]]] = []
    for n in range(300):
        call.say(*(f"{n}.{i} " for i in range(chance.randrange(1, 4))))
        if chance.random() < 0.1:
            after = chance.randrange((await engine.jobs.get(OWNER, job.id)).seq + 1)
            pauses = random.Random(n) if chance.random() < 0.5 else None
            followers.append((after, asyncio.create_task(numbers(engine, job.id, after, pauses))))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
    call.finish()
    tail = (await ended(engine, job.id)).seq
    assert followers
    for after, follower in followers:
        assert await follower == list(range(after + 1, tail + 1))


async def test_follower_at_end_of_closed_log_receives_end_at_once(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).finish()
    job = await ended(engine, job.id)
    async with asyncio.timeout(60), aclosing(engine.jobs.follow(job, after=job.seq)) as batches:
        batch = await anext(batches)
    assert (list(batch.events), batch.closed, batch.cursor) == ([], True, job.cursor)


async def test_cancelled_follower_does_not_end_job(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("x")
    await shown(engine, job.id, "x")
    follower = asyncio.create_task(numbers(engine, job.id, 0))
    await asyncio.sleep(0)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    call.say("y").finish()
    assert (await ended(engine, job.id)).status == "completed"
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "xy"


async def test_followers_of_deleted_job_stop(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("x")
    await shown(engine, job.id, "x")
    tail = (await engine.jobs.get(OWNER, job.id)).seq
    async with asyncio.timeout(60), aclosing(engine.jobs.follow(job, after=0)) as batches:
        while (await anext(batches)).cursor.seq < tail:
            pass
        following = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)  # now it waits for the next event
        await engine.jobs.delete(OWNER, job.id)
        with pytest.raises(NotFoundError, match=f"The job {job.id} was deleted"):
            await following


async def test_job_without_followers_leaves_no_channel(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("x").finish()
    await ended(engine, job.id)
    assert not engine._followers._channels
