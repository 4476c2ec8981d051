"""Clocks that jump: no jump deletes an answer or stops pruning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from engine.clocks import DAY, HOUR, pass_time, settle
from store import factories
from store.model import MemoryStore

from jupyter_bgstream.core.events import Cancelled, Completed
from jupyter_bgstream.engine.retention import Deleted, Retention, RetentionWorker
from jupyter_bgstream.testing.clock import START, FakeClock


class Hurried(FakeClock):
    """A clock for one sleeper, who never waits."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


@pytest.fixture
async def opened(store: MemoryStore) -> AsyncIterator[MemoryStore]:
    await store.open()
    yield store
    await store.close()


async def read(store: MemoryStore, job_id: str, ago: float) -> None:
    await factories.ended(store, job_id, Completed(at=START - ago, finish_reason="stop"))
    await store.mark_read(factories.OWNER, "", ids=None, at=START - ago)


async def test_clock_set_forward_deletes_nothing_for_one_day(opened: MemoryStore) -> None:
    clock = Hurried()
    keeper = RetentionWorker(store=opened, clock=clock, owner=None, retention=Retention())
    await read(opened, "job-read", DAY)
    clock.jump(365 * DAY)
    for _ in range(23):
        assert await keeper.prune() == Deleted()
        (warning,) = keeper.warnings
        assert "set forward by 365 days" in warning
        clock.advance(HOUR)
    clock.jump(-365 * DAY)  # it was a mistake
    for _ in range(3):
        assert await keeper.prune() == Deleted()
        assert keeper.warnings == ()
        clock.advance(HOUR)


async def test_clock_that_stays_set_forward_counts_after_one_day(opened: MemoryStore) -> None:
    clock = Hurried()
    keeper = RetentionWorker(store=opened, clock=clock, owner=None, retention=Retention())
    await read(opened, "job-read", DAY)
    await keeper.prune()
    clock.jump(100 * DAY)
    await keeper.prune()
    clock.advance(12 * HOUR)
    clock.jump(100 * DAY)  # another jump: the day begins again
    await keeper.prune()
    clock.advance(23 * HOUR)
    assert await keeper.prune() == Deleted()
    clock.advance(HOUR)
    assert (await keeper.prune()).jobs == 1
    assert keeper.warnings == ()


async def test_clock_set_forward_does_not_age_recently_read_answer(opened: MemoryStore) -> None:
    clock = Hurried()
    keeper = RetentionWorker(store=opened, clock=clock, owner=None, retention=Retention(max_database_bytes=1))
    await read(opened, "job-just-read", 60)
    clock.jump(2 * HOUR)
    assert await keeper.prune() == Deleted()


async def test_clock_set_back_does_not_stop_hourly_pruning(opened: MemoryStore) -> None:
    clock = FakeClock()
    keeper = RetentionWorker(store=opened, clock=clock, owner=None, retention=Retention(max_database_bytes=1))
    looking = asyncio.create_task(keeper.run())
    await settle()
    await pass_time(clock, 200, step=60)
    clock.jump(-30 * DAY)
    await factories.ended(opened, "job-cancelled", Cancelled(at=START - 40 * DAY))
    await pass_time(clock, HOUR + 200, step=60)
    assert await factories.ids_of(opened) == []
    looking.cancel()
