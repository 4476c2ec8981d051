"""Retries after errors: which errors, which delays, and begun answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from engine.conftest import LIMITS, OWNER, Puppet, ended, reached, spec
from store.factories import new_job
from store.model import MemoryStore

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Attempt, Waiting
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.retry_rule import MAX_DELAY, MAX_JITTER, MAX_RETRY_AFTER, next_attempt
from jupyter_bgstream.testing.clock import START, FakeClock

BUSY = ProviderError("Busy.", code="rate_limited", transient=True)
BROKE = ProviderError("It broke off.", code="truncated")
UNREADABLE = ProviderError("It cannot be read.", code="malformed_stream")
TOO_LONG = ProviderError("It went on and on.", code="total_timeout")
QUOTA = ProviderError("There is no money left.", code="rate_limited")
REFUSED = ProviderError("No such model.", code="model_not_found")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def engine(store: MemoryStore, puppet: Puppet, clock: FakeClock) -> AsyncIterator[Engine]:
    engine = Engine(store=store, providers=puppet, server="here", limits=LIMITS, clock=clock)
    await engine.open()
    yield engine
    await engine.close()


async def events_of(engine: Engine, job: Job) -> list[object]:
    return list(decode_events(await engine.jobs.events(job, after=0, max_bytes=1 << 20)))


async def test_temporary_error_is_retried_after_delay(engine: Engine, puppet: Puppet, clock: FakeClock) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).fail(BUSY)
    job = await reached(engine, job.id, "waiting")
    assert job.error is not None
    assert job.not_before is not None
    assert (job.error.code, job.error.message) == ("rate_limited", "Busy.")
    assert START + 1.0 <= job.not_before <= START + 1.25
    assert engine.running == 0  # it holds no place
    await clock.sleeping(2)  # the scheduler's alarm and the recovery's
    clock.advance(1.25)
    (await puppet.call()).say("At last.").finish()
    job = await ended(engine, job.id)
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (job.status, job.attempt, job.error, answer.text, answer.earlier) == ("completed", 2, None, "At last.", ())
    attempts = [event for event in await events_of(engine, job) if isinstance(event, Attempt)]
    assert [event.reason for event in attempts] == ["first", "retry"]


async def test_attempts_are_limited_and_last_error_is_reported(
    engine: Engine, puppet: Puppet, clock: FakeClock
) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    for attempt in range(1, LIMITS.max_attempts + 1):
        (await puppet.call()).fail(BUSY)
        if attempt < LIMITS.max_attempts:
            await reached(engine, job.id, "waiting")
            await clock.sleeping(2)
            clock.advance(MAX_DELAY * 2)
    job = await ended(engine, job.id)
    assert job.error is not None
    assert (job.status, job.error.code, job.attempt) == ("failed", "rate_limited", LIMITS.max_attempts)
    assert job.error.message == f"Busy. This was attempt {LIMITS.max_attempts}."
    assert len(puppet.calls) == LIMITS.max_attempts


async def test_begun_answer_is_not_retried_by_default(engine: Engine, puppet: Puppet) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("Half").fail(BUSY)
    assert (await ended(engine, job.id)).status == "failed"
    assert len(puppet.calls) == 1


async def test_retry_policy_always_starts_again_and_keeps_earlier_text(
    engine: Engine, puppet: Puppet, clock: FakeClock
) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec(retry_policy="always"))
    (await puppet.call()).say("Half").fail(BROKE)
    await reached(engine, job.id, "waiting")
    assert (await engine.jobs.answer(OWNER, job.id))[1].text == "Half"
    await clock.sleeping(2)
    clock.advance(2)
    (await puppet.call()).say("Whole.").finish()
    job = await ended(engine, job.id)
    _, answer = await engine.jobs.answer(OWNER, job.id)
    assert (answer.text, [(part.attempt, part.text) for part in answer.earlier]) == ("Whole.", [(1, "Half")])


@pytest.mark.parametrize("moment", ["in back-off", "just before the next try"])
async def test_cancel_during_backoff_is_final(engine: Engine, puppet: Puppet, clock: FakeClock, moment: str) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).fail(BUSY)
    await reached(engine, job.id, "waiting")
    await clock.sleeping(2)
    if moment == "in back-off":
        assert (await engine.jobs.cancel(OWNER, job.id)).status == "cancelled"
        clock.advance(10)
    else:
        clock.advance(10)
        await engine.jobs.cancel(OWNER, job.id)
    job = await ended(engine, job.id)
    assert (job.status, job.error) == ("cancelled", None)
    await engine.jobs.submit(OWNER, spec("another"), "another1")
    assert (await puppet.call()).job.id == "another1"
    assert await engine.inbox.notices(OWNER, "") == []


async def test_other_jobs_run_during_backoff_but_not_same_thread(
    engine: Engine, puppet: Puppet, clock: FakeClock
) -> None:
    job, _ = await engine.jobs.submit(OWNER, spec("one", thread="t"))
    (await puppet.call()).fail(BUSY)
    await reached(engine, job.id, "waiting")
    await engine.jobs.submit(OWNER, spec("two", thread="t"))
    other, _ = await engine.jobs.submit(OWNER, spec("three"))
    call = await puppet.call()
    assert call.job.id == other.id
    await clock.sleeping(2)
    clock.advance(2)
    call = await puppet.call()
    assert call.job.id == job.id
    call.say("1").finish()
    assert [message.content for message in (await puppet.call()).job.history] == ["one", "1"]


async def test_long_wait_is_checked_periodically(engine: Engine, puppet: Puppet, clock: FakeClock) -> None:
    # A laptop's sleep: time goes on, timers do not. The alarm rings twice a minute to look at the time.
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).fail(ProviderError("Later.", code="rate_limited", transient=True, retry_after=600.0))
    await reached(engine, job.id, "waiting")
    for _ in range(19):
        await clock.sleeping(2)
        assert len(puppet.calls) == 1
        clock.advance(30)  # the scheduler sleeps no longer than that
    clock.advance(60)
    await puppet.call()


def waiting(error: ProviderError, *, begun: bool = False, attempt: int = 1, **fields: object) -> Waiting | None:
    job = msgspec.structs.replace(new_job("job-0001", **fields), attempt=attempt)
    return next_attempt(job, error, begun=begun, max_attempts=5, at=100.0)


@pytest.mark.parametrize(
    ("retry_policy", "begun", "error", "again"),
    [
        ("before_first_token", False, BUSY, True),
        ("before_first_token", True, BUSY, False),
        ("before_first_token", False, BROKE, False),
        ("before_first_token", False, REFUSED, False),
        ("always", False, BUSY, True),
        ("always", True, BUSY, True),
        ("always", True, BROKE, True),
        ("before_first_token", False, UNREADABLE, False),
        ("always", True, UNREADABLE, True),
        ("always", False, REFUSED, False),
        ("always", True, REFUSED, False),
        ("always", False, TOO_LONG, False),
        ("always", True, QUOTA, False),
        ("never", False, BUSY, False),
        ("never", True, BROKE, False),
    ],
)
def test_retry_policy_decides_which_errors_are_retried(
    retry_policy: str, begun: bool, error: ProviderError, again: bool
) -> None:
    assert (waiting(error, begun=begun, retry_policy=retry_policy) is not None) is again


def test_delays_double_up_to_one_minute_with_jitter() -> None:
    delays = [[waiting(BUSY, attempt=n).until - 100.0 for _ in range(50)] for n in (1, 2, 3, 4)]  # type: ignore[union-attr]
    for n, found in enumerate(delays):
        assert min(found) >= 2**n
        assert max(found) <= 2**n * 1.25
        assert len(set(found)) > 1
    late = msgspec.structs.replace(new_job("job-0001"), attempt=30)
    last = next_attempt(late, BUSY, begun=False, max_attempts=99, at=0.0)
    assert last is not None
    assert MAX_DELAY <= last.until <= MAX_DELAY + MAX_JITTER


def test_retry_after_is_obeyed_unless_too_long() -> None:
    def wish(seconds: float) -> Waiting | None:
        return waiting(ProviderError("Busy.", code="rate_limited", transient=True, retry_after=seconds))

    asked, short = wish(90.0), wish(0.2)
    assert asked is not None
    assert short is not None
    assert 190.0 <= asked.until <= 190.0 + MAX_JITTER
    assert short.until >= 101.0
    assert wish(MAX_RETRY_AFTER + 1) is None
