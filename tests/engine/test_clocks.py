"""Clocks that jump: waits of a running server keep their length."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from engine.clocks import DAY, HOUR, pass_time, settle
from engine.conftest import OWNER, Puppet, ended, reached, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from store.factories import ROOM, append, new_job
from store.model import MemoryStore

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.errors import BgStreamError, ProviderError
from jupyter_bgstream.core.events import Waiting
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.clock import SystemClock
from jupyter_bgstream.engine.due_times import TOLERANCE
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.scheduler import MAX_SLEEP
from jupyter_bgstream.store.port_values import Append
from jupyter_bgstream.testing.clock import START, FakeClock

LIMITS = LimitsInfo(max_attempts=1000, stop_grace=0.0)
STEP = 10.0  # seconds
DELAY = 100.0  # seconds that the provider asks for; up to a tenth comes on top
LATEST = DELAY + 10.0


def busy(seconds: float = DELAY) -> ProviderError:
    return ProviderError("Busy.", code="rate_limited", transient=True, retry_after=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def engine(store: MemoryStore, puppet: Puppet, clock: FakeClock) -> AsyncIterator[Engine]:
    engine = Engine(store=store, providers=puppet, server="here", owner=OWNER, limits=LIMITS, clock=clock)
    await engine.open()
    await clock.sleeping()
    yield engine
    await engine.close()


async def put_off(engine: Engine, puppet: Puppet, job_id: str | None = None) -> Job:
    job, _ = await engine.jobs.submit(OWNER, spec(), job_id)
    (await puppet.call()).fail(busy())
    job = await reached(engine, job.id, "waiting")
    await settle()
    return job


async def waits_of(engine: Engine, job: Job) -> list[Waiting]:
    events = decode_events(await engine.jobs.events(job, after=0, max_bytes=1 << 20))
    return [event for event in events if isinstance(event, Waiting)]


@pytest.mark.parametrize("seconds", [-60.0, -HOUR, -3 * HOUR, -400 * DAY])
async def test_clock_set_back_does_not_prolong_wait(
    engine: Engine, puppet: Puppet, clock: FakeClock, seconds: float
) -> None:
    job = await put_off(engine, puppet)
    await pass_time(clock, 10)
    clock.jump(seconds)
    await pass_time(clock, DELAY - 20)
    assert len(puppet.calls) == 1
    await pass_time(clock, 20 + LATEST - DELAY)
    (await puppet.call()).finish()
    done = await ended(engine, job.id)
    assert (done.status, done.attempt) == ("completed", 2)


@pytest.mark.parametrize("seconds", [60.0, HOUR, 3 * HOUR, 400 * DAY])
async def test_clock_set_forward_does_not_shorten_wait(
    engine: Engine, puppet: Puppet, clock: FakeClock, seconds: float
) -> None:
    await put_off(engine, puppet)
    await pass_time(clock, 10)
    clock.jump(seconds)
    await pass_time(clock, DELAY - 11)
    assert len(puppet.calls) == 1
    await pass_time(clock, 1 + LATEST - DELAY)
    assert (await puppet.call()).job.attempt == 2


async def test_stored_time_and_log_of_wait_follow_wall_clock(engine: Engine, puppet: Puppet, clock: FakeClock) -> None:
    job = await put_off(engine, puppet)
    assert job.not_before is not None
    clock.jump(-HOUR)
    await pass_time(clock, MAX_SLEEP)
    now = await engine.jobs.get(OWNER, job.id)
    assert now.not_before == pytest.approx(job.not_before - HOUR, abs=0.001)
    first, second = await waits_of(engine, job)
    assert (second.code, second.message, second.until) == (first.code, first.message, now.not_before)
    assert second.at == clock.time()
    assert now.error == job.error
    await pass_time(clock, 20)
    assert len(await waits_of(engine, job)) == 2  # said once


async def test_slewed_clock_changes_nothing(engine: Engine, puppet: Puppet, clock: FakeClock) -> None:
    job = await put_off(engine, puppet)
    clock.jump(0.4)
    await pass_time(clock, 60)
    assert len(await waits_of(engine, job)) == 1


async def test_many_small_clock_steps_count_as_one_large_step(engine: Engine, puppet: Puppet, clock: FakeClock) -> None:
    await put_off(engine, puppet)
    for _ in range(90):
        clock.jump(0.3)
        await pass_time(clock, 1, step=1)
    assert len(puppet.calls) == 1  # by the wall clock 117 s have passed
    await pass_time(clock, LATEST - 90)
    assert len(puppet.calls) == 2


async def test_wait_that_ends_during_suspend_is_over_after_wake_up(
    engine: Engine, puppet: Puppet, clock: FakeClock
) -> None:
    await put_off(engine, puppet)
    clock.suspend(HOUR)
    await settle()
    assert len(puppet.calls) == 1
    await pass_time(clock, MAX_SLEEP)
    assert (await puppet.call()).job.attempt == 2


async def test_wait_of_cancelled_or_deleted_job_is_not_corrected(
    engine: Engine, puppet: Puppet, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    cancelled = await put_off(engine, puppet)
    deleted = await put_off(engine, puppet)
    anew = await put_off(engine, puppet, "the-same-id")
    await engine.jobs.cancel(OWNER, cancelled.id)
    await engine.jobs.delete(OWNER, deleted.id)
    await engine.jobs.delete(OWNER, anew.id)
    again = await put_off(engine, puppet, "the-same-id")
    seq = (await engine.jobs.get(OWNER, cancelled.id)).seq
    clock.jump(-HOUR)
    await pass_time(clock, MAX_SLEEP)
    assert (await engine.jobs.get(OWNER, cancelled.id)).seq == seq
    assert len(await waits_of(engine, again)) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # the clock has jumped


async def test_wait_written_during_clock_jump_is_corrected(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    real = store.append

    async def slow_append(appends: Sequence[Append]) -> list[int | BgStreamError]:
        outcomes = await real(appends)
        if isinstance(appends[0].events[0], Waiting) and len(puppet.calls) == 1:
            clock.jump(-HOUR)
            await engine.jobs.submit(OWNER, spec(), "job-that-wakes")  # the jump is noticed before the append returns
            await puppet.call()
        return outcomes

    store.append = slow_append  # type: ignore[method-assign]
    await put_off(engine, puppet)
    await pass_time(clock, LATEST)
    assert [call.job.attempt for call in puppet.calls] == [1, 1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count it in their ordinary monotonic clock")
def test_system_clock_includes_suspended_time() -> None:
    assert SystemClock().monotonic() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=30.0)


# Waits of an earlier server


async def left_waiting(store: MemoryStore, until: float) -> Job:
    """A job of a server that died while the job waited for its next try."""
    await store.submit(new_job("job-0001", owner=OWNER, server="dead", model="puppet/one"), max_queued=9)
    (job,) = await store.claim(server="dead", owner=None, room=ROOM, limit=1, at=1.0)
    await append(store, job, [Waiting(at=START, until=until, code="rate_limited", message="Busy.")])
    return await store.job(OWNER, job.id)


async def test_wait_of_earlier_server_ends_at_its_wall_time(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    await left_waiting(store, START + HOUR)
    await pass_time(clock, 10)
    clock.jump(HOUR)  # such as a machine that learns the time after its start
    await pass_time(clock, MAX_SLEEP)
    assert (await puppet.call()).job.id == "job-0001"


async def test_wait_of_earlier_server_ends_after_its_remaining_time(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    await left_waiting(store, START + 100)
    await pass_time(clock, 10)
    clock.jump(-HOUR)
    await pass_time(clock, 80)
    assert puppet.calls == []
    await pass_time(clock, 15)
    assert (await puppet.call()).job.id == "job-0001"


async def test_adopted_job_is_attempted_at_once_although_clock_is_set_back(
    engine: Engine, store: MemoryStore, puppet: Puppet, clock: FakeClock
) -> None:
    await store.submit(
        new_job("job-0001", owner=OWNER, server="dead", model="puppet/one", on_restart="retry"), max_queued=9
    )
    await store.claim(server="dead", owner=None, room=ROOM, limit=1, at=1.0)
    adopt = store.adopt

    async def adopted(job: Job, *, server: str, event: Waiting | None = None) -> Job:
        job = await adopt(job, server=server, event=event)
        clock.jump(-HOUR)
        return job

    store.adopt = adopted  # type: ignore[method-assign]
    await pass_time(clock, 10)
    assert (await puppet.call()).job.attempt == 2


# All at random


class Scene:
    """One server, jobs that are put off, and a clock of which anything may be expected."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.puppet = Puppet()
        self.engine = Engine(
            store=MemoryStore(server="here"), providers=self.puppet, server="here", limits=LIMITS, clock=self.clock
        )
        self._delays: dict[str, float] = {}  # that the provider asks for
        self._due: dict[str, float] = {}  # on the monotonic clock
        self._late: dict[str, float] = {}  # seconds for which the machine has been awake since
        self._answered = 0

    async def submit(self, delay: float) -> None:
        job_id = f"job-{len(self._delays):04}"
        self._delays[job_id] = delay
        await self.engine.jobs.submit(OWNER, spec(), job_id)
        await self._answer()

    async def advance(self, seconds: float) -> None:
        while seconds > 0:
            step = min(STEP, seconds)
            seconds -= step
            self.clock.advance(step)
            await self._answer()
            for job_id, due in self._due.items():
                if self.clock.monotonic() >= due:
                    self._late[job_id] += step
                    assert self._late[job_id] <= MAX_SLEEP + STEP, f"{job_id} is late"

    async def jump(self, seconds: float) -> None:
        self.clock.jump(seconds)
        await self._answer()

    async def suspend(self, seconds: float) -> None:
        self.clock.suspend(seconds)
        await self._answer()

    async def _answer(self) -> None:
        """Refuse all requests that were made by now."""
        await settle()
        while self._answered < len(self.puppet.calls):
            call = self.puppet.calls[self._answered]
            self._answered += 1
            job_id = call.job.id
            early = self._due.get(job_id, 0.0) - self.clock.monotonic()
            assert early <= TOLERANCE, f"{job_id} is early"
            call.fail(busy(self._delays[job_id]))
            await settle()
            job = await self.engine.jobs.get(OWNER, job_id)
            assert job.not_before is not None
            self._due[job_id] = self.clock.monotonic() + job.not_before - self.clock.time()
            self._late[job_id] = 0.0


seconds = st.one_of(st.floats(0.1, 10), st.floats(10, 300))
jumps = st.one_of(st.floats(-2, 2), st.floats(-2 * HOUR, 2 * HOUR), st.floats(-400 * DAY, 400 * DAY))
steps = st.one_of(
    st.tuples(st.just("submit"), seconds),
    st.tuples(st.just("advance"), seconds),
    st.tuples(st.just("advance"), seconds),
    st.tuples(st.just("jump"), jumps),
    st.tuples(st.just("suspend"), seconds),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=3, max_size=15))
def test_no_attempt_starts_before_delay_or_much_later_with_any_clock(
    played: list[tuple[str, float]],
) -> None:
    async def play() -> None:
        scene = Scene()
        await scene.engine.open()
        try:
            await scene.submit(60.0)
            for name, value in played:
                await getattr(scene, name)(value)
            await scene.advance(120.0)
        finally:
            await scene.engine.close()

    asyncio.run(play())
