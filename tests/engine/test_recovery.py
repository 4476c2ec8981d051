"""Recovery of the jobs of a server that was killed or stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from engine.conftest import LIMITS, OWNER, Puppet, ended, reached, shown, spec
from store.factories import ROOM, append, new_job, text_deltas
from store.model import MemoryStore

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.core.events import Waiting
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.engine import recovery
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def engine(store: MemoryStore, puppet: Puppet, clock: FakeClock) -> AsyncIterator[Engine]:
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS, clock=clock)
    await engine.open()
    await clock.sleeping()
    yield engine
    await engine.close()


async def left_behind(store: MemoryStore, job_id: str, *, text: str | None = None, **fields: object) -> Job:
    """A job of a server that died; with a text it ran, and so did all that were left behind before."""
    asked = new_job(job_id, owner=OWNER, server="dead", **{"model": "puppet/one", **fields})
    job, _ = await store.submit(asked, max_queued=99)
    if text is None:
        return job
    job = next(
        job for job in await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0) if job.id == job_id
    )
    await append(store, job, text_deltas(text))
    return job


async def test_running_job_of_dead_server_is_interrupted_with_text_and_notice(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    job = await left_behind(store, "job-0001", text="Half")
    clock.advance(2)
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("interrupted", "server_died")
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "Half"
    assert [notice.status for notice in await engine.inbox.notices(OWNER, "")] == ["interrupted"]
    assert puppet.calls == []  # nothing is paid for twice in silence


async def test_retry_on_restart_starts_new_attempt_in_same_log(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    job = await left_behind(store, "job-0001", text="Half", on_restart="retry")
    clock.advance(2)
    (await puppet.call()).say("Whole.").finish()
    done = await ended(engine, job.id)
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (done.status, done.log, done.server, done.attempt) == ("completed", job.log, "here", 2)
    assert (answer.text, [part.text for part in answer.earlier]) == ("Whole.", ["Half"])
    assert len(await engine.inbox.notices(OWNER, "")) == 1


async def test_queued_and_waiting_jobs_of_dead_server_continue(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    put_off = await left_behind(store, "job-0002", text="")
    queued = await left_behind(store, "job-0001")
    await append(store, put_off, [Waiting(at=1.0, until=clock.time() + 9, code="rate_limited", message="Busy.")])
    clock.advance(2)
    call = await puppet.call()
    assert call.job.id == queued.id
    call.finish()
    assert (await engine.jobs.get(OWNER, put_off.id)).server == "here"
    await clock.sleeping(2)
    clock.advance(8)
    assert (await puppet.call()).job.id == put_off.id


async def test_attempts_over_server_deaths_are_limited(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    # What kills its server each time would otherwise kill every server there is.
    job = await left_behind(store, "job-0001", text="x", on_restart="retry")
    for attempt in range(2, LIMITS.max_attempts + 1):
        job = await store.adopt(job, server="dead", event=Waiting(at=1.0, until=1.0, code="server_died", message=""))
        (job,) = await store.claim(server="dead", owner=None, room=ROOM, limit=9, at=1.0)
        assert job.attempt == attempt
    clock.advance(2)
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("interrupted", "server_died")
    assert f"attempt {LIMITS.max_attempts}" in job.error.message
    assert puppet.calls == []


async def test_job_without_provider_waits_and_reports_reason(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    strange = await left_behind(store, "job-0001", text="Half", model="elsewhere/x", on_restart="retry")
    interrupted = await left_behind(store, "job-0003", text="Half", model="elsewhere/x")
    queued = await left_behind(store, "job-0002", model="elsewhere/x")
    clock.advance(2)
    for job in (strange, queued):
        job = await reached(engine, job.id, "waiting")
        assert job.error is not None
        assert (job.error.code, job.server) == ("no_provider", "dead")
        assert "No provider for elsewhere/x." in job.error.message
    assert (await ended(engine, interrupted.id)).status == "interrupted"
    seq = (await engine.jobs.get(OWNER, strange.id)).seq
    for _ in range(3):
        await clock.sleeping(1)
        clock.advance(2)
    assert (await engine.jobs.get(OWNER, strange.id)).seq == seq  # said once
    assert (await engine.jobs.cancel(OWNER, strange.id)).status == "cancelled"
    # It goes on as soon as somebody can run it.
    puppet.names.add("elsewhere")
    await clock.sleeping(1)
    clock.advance(2)
    call = await puppet.call()
    assert call.job.id == queued.id
    call.say("Here.").finish()
    assert (await ended(engine, queued.id)).status == "completed"


async def test_recovery_skips_provider_without_key(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    puppet.fault = ErrorInfo(code="missing_key", message="There is no key here.")
    job = await left_behind(store, "job-0001")
    clock.advance(2)
    job = await reached(engine, job.id, "waiting")
    assert job.error is not None
    assert job.error.message.endswith("There is no key here.")
    assert puppet.calls == []


async def test_cancel_during_recovery_is_final(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    jobs = [await left_behind(store, f"job-000{n}", text="x", on_restart="retry") for n in range(8)]
    clock.advance(2)
    for turns, job in enumerate(jobs):
        for _ in range(turns):
            await asyncio.sleep(0)
        await engine.jobs.cancel(OWNER, job.id)
    for job in jobs:
        assert (await ended(engine, job.id)).status == "cancelled"
    for call in puppet.calls:
        async with asyncio.timeout(60):
            await call.closed.wait()
    assert await engine.inbox.notices(OWNER, "") == []


async def test_job_that_finishes_in_grace_period_completes(puppet: Puppet, database) -> None:
    store = SQLiteStore(database, server="one")
    limits = msgspec.structs.replace(LIMITS, stop_grace=10.0)
    engine = Engine(store=store, providers=puppet, server="one", limits=limits)
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    call = (await puppet.call()).say("Nearly")
    await shown(engine, job.id, "Nearly")
    closing = asyncio.create_task(engine.close())
    call.say(" done.").finish()
    await closing
    after = SQLiteStore(database, server="two")
    await after.open()
    assert (await after.job(OWNER, job.id)).status == "completed"
    await after.close()


async def test_stopped_server_hands_jobs_over_to_next_server(puppet: Puppet, database) -> None:
    first = Engine(store=SQLiteStore(database, server="one"), providers=puppet, server="one", limits=LIMITS)
    await first.open()
    plain, _ = await first.jobs.submit(OWNER, spec("plain"))
    again, _ = await first.jobs.submit(OWNER, spec("again", on_restart="retry"))
    queued, _ = await first.jobs.submit(OWNER, spec("queued"))
    calls = [(await puppet.call()).say("Half") for _ in range(2)]
    await shown(first, again.id, "Half")
    await first.close()
    assert all(call.closed.is_set() for call in calls)
    second = Engine(store=SQLiteStore(database, server="two"), providers=puppet, server="two", limits=LIMITS)
    await second.open()
    assert (await second.jobs.get(OWNER, plain.id)).error.code == "server_stopped"
    for call in [await puppet.call(), await puppet.call()]:
        assert call.job.id in (again.id, queued.id)
        call.say("Whole.").finish()
    for job in (again, queued):
        done = await ended(second, job.id)
        assert (done.status, (await second.jobs.answer(OWNER, job.id))[1].text) == ("completed", "Whole.")
    assert len(puppet.calls) == 4
    await second.close()


async def test_recovery_stops_at_unwritable_store_until_next_check(
    puppet: Puppet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PAGE", 2)
    store = FullStore(server="here")
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS, clock=clock)
    await engine.open()
    await clock.sleeping()
    for number in range(3):
        await left_behind(store, f"job-000{number}")
    for look in (1, 2):
        clock.advance(2)
        await clock.sleeping()
        assert store.tries == 2 * look
    await engine.close()


class FullStore(MemoryStore):
    """Cannot be written when a job is to be adopted."""

    tries = 0

    async def adopt(self, job: Job, *, server: str, event: Waiting | None = None) -> Job:
        self.tries += 1
        raise UnavailableError("The disk is full.")


async def test_waiting_job_of_other_server_frees_capacity(puppet: Puppet) -> None:
    store = MemoryStore()  # of which nobody is dead
    limits = msgspec.structs.replace(LIMITS, max_running_per_owner=1)
    engine = Engine(store=store, providers=puppet, server="here", limits=limits)
    await engine.open()
    other, _ = await store.submit(new_job("of-another", owner=OWNER, server="there"), max_queued=9)
    (other,) = await store.claim(server="there", owner=None, room=ROOM, limit=1, at=1.0)
    mine, _ = await engine.jobs.submit(OWNER, spec())
    assert puppet.calls == []
    await append(store, other, [Waiting(at=1.0, until=1e12, code="rate_limited", message="Busy.")])
    assert (await puppet.call()).job.id == mine.id
    await engine.close()
