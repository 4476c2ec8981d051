"""Retention by age and size: unfinished jobs stay, and unread answers are announced before deletion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from store.factories import HERE, OWNER, append, ended, ids_of, running, submit, text_deltas
from store.model import MemoryStore

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.core.events import Cancelled, Completed, Event
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.retention import DAY, HOUR, STARTS_AFTER, TIDY_EVERY, Deleted, Retention, RetentionWorker
from jupyter_bgstream.store.port_values import Change
from jupyter_bgstream.store.ports.store import Store
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import START, FakeClock


class Hurried(FakeClock):
    """A clock for one sleeper, who never waits."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path) -> AsyncIterator[Store]:
    store = MemoryStore(server=HERE) if request.param == "memory" else SQLiteStore(tmp_path / "jobs", server=HERE)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def clock() -> Hurried:
    return Hurried()


def done(days_ago: float) -> Event:
    return Completed(at=START - days_ago * DAY, finish_reason="stop")


async def read_all(store: Store, days_ago: float) -> None:
    await store.mark_read(OWNER, "", ids=None, at=START - days_ago * DAY)


async def test_only_read_or_cancelled_answers_are_deleted_by_age(store: Store, clock: Hurried) -> None:
    await ended(store, "job-read-long-ago", done(95))
    await ended(store, "job-dismissed", done(95))
    await read_all(store, 91)
    await ended(store, "job-cancelled", Cancelled(at=START - 91 * DAY))
    await ended(store, "job-opened-lately", done(300))
    await read_all(store, 89)
    await ended(store, "job-unread", done(300))
    await ended(store, "job-young", done(89))
    await running(store, "job-running", created_at=START - 900 * DAY)
    await submit(store, "job-queued", created_at=START - 900 * DAY)
    changes = store.changes()
    deleted = await RetentionWorker(store=store, clock=clock, owner=None, retention=Retention()).prune()
    assert deleted.jobs == 3
    assert deleted.bytes > 100
    assert sorted(await ids_of(store)) == [
        "job-opened-lately",
        "job-queued",
        "job-running",
        "job-unread",
        "job-young",
    ]
    told: list[Change] = []
    async with asyncio.timeout(60):
        while len(told) < 3:
            told += await anext(changes)
    gone = {"job-read-long-ago", "job-dismissed", "job-cancelled"}
    assert {(change.kind, change.subject) for change in told} == {("deleted", job_id) for job_id in gone}


async def test_zero_days_keep_answers_without_limit(store: Store, clock: Hurried) -> None:
    await ended(store, "job-read", done(9000))
    await read_all(store, 8999)
    await ended(store, "job-unread", done(9000))
    for retention in (
        Retention(retention_days=0),
        Retention(retention_days=0, unread_retention_days=1),
        Retention(unread_retention_days=0),
    ):
        keeper = RetentionWorker(store=store, clock=clock, owner=None, retention=retention)
        before = len(await ids_of(store))
        await keeper.prune()
        clock.advance(20 * DAY)
        await keeper.prune()
        assert keeper.warnings == ()
        if not retention.retention_days:
            assert len(await ids_of(store)) == before
    assert await ids_of(store) == ["job-unread"]


async def test_unread_answers_are_announced_before_deletion(
    store: Store, clock: Hurried, caplog: pytest.LogCaptureFixture
) -> None:
    await ended(store, "job-unread", done(350))
    await ended(store, "job-saved", done(351))
    await ended(store, "job-later", done(340))
    keeper = RetentionWorker(store=store, clock=clock, owner=None, retention=Retention())
    await keeper.prune()
    assert keeper.warnings == ()
    clock.advance(2 * DAY)  # 352 and 353 days old
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            await keeper.prune()
            clock.advance(HOUR)
    (warning,) = keeper.warnings
    assert warning.startswith("2 unread answers will be deleted from 2023-11-30 on")  # 14 days after the announcement
    assert "kept for 90 more days;" in warning
    assert "unread_retention_days" in warning
    assert len(caplog.records) == 2  # once a day
    (saved,) = [notice for notice in await store.notices(OWNER, "") if notice.job == "job-saved"]
    await store.mark_read(OWNER, "", ids=[saved.id], at=clock.time())
    clock.advance(12 * DAY)
    await keeper.prune()
    assert sorted(await ids_of(store)) == ["job-later", "job-saved", "job-unread"]
    clock.advance(DAY)
    assert (await keeper.prune()).jobs == 1
    assert sorted(await ids_of(store)) == ["job-later", "job-saved"]
    assert keeper.warnings[0].startswith(
        "1 unread answer will be deleted from 2023-12-14 on"
    )  # not from 12-09: no server looked


async def test_answer_that_expired_while_no_server_ran_is_announced_first(store: Store, clock: Hurried) -> None:
    await ended(store, "job-unread", done(2000))
    keeper = RetentionWorker(store=store, clock=clock, owner=None, retention=Retention())
    await keeper.prune()
    assert "1 unread answer will be deleted from 2023-11-28 on" in keeper.warnings[0]
    clock.advance(13.9 * DAY)
    await RetentionWorker(store=store, clock=clock, owner=None, retention=Retention()).prune()  # after another restart
    assert await ids_of(store) == ["job-unread"]
    clock.advance(0.2 * DAY)
    await keeper.prune()
    assert await ids_of(store) == []
    assert keeper.warnings == ()


async def large(store: Store, job_id: str, at: float) -> None:
    job = await running(store, job_id)
    await append(store, job, text_deltas("words " * 200_000))
    await store.end(OWNER, job_id, Completed(at=at, finish_reason="stop"))


async def test_size_limit_deletes_oldest_read_answers_first_and_no_others(store: Store, clock: Hurried) -> None:
    for n in (3, 1, 4, 2):
        await large(store, f"job-000{n}", START - 10 * DAY + n)
    await read_all(store, 1)
    await large(store, "job-unread", START - 80 * DAY)
    await large(store, "job-just-read", START - 120)
    (notice, *_) = await store.notices(OWNER, "")
    await store.mark_read(OWNER, "", ids=[notice.id], at=START - 60)
    size = await store.size(owner=None)
    keeper = RetentionWorker(
        store=store, clock=clock, owner=None, retention=Retention(max_database_bytes=size - 1_300_000)
    )
    assert (await keeper.prune()).jobs == 2
    assert sorted(await ids_of(store)) == ["job-0003", "job-0004", "job-just-read", "job-unread"]
    assert keeper.warnings == ()
    keeper = RetentionWorker(store=store, clock=clock, owner=None, retention=Retention(max_database_bytes=1000))
    assert (await keeper.prune()).jobs == 2
    assert sorted(await ids_of(store)) == ["job-just-read", "job-unread"]
    (warning,) = keeper.warnings
    assert "max_database_bytes" in warning
    assert (
        await RetentionWorker(store=store, clock=clock, owner=None, retention=Retention(max_database_bytes=0)).prune()
    ) == Deleted()


async def test_two_servers_pruning_at_once_delete_each_answer_once(store: Store, clock: Hurried) -> None:
    for n in range(30):
        await ended(store, f"job-00{n:02}", Cancelled(at=START - 100 * DAY))
    keepers = [RetentionWorker(store=store, clock=clock, owner=None, retention=Retention()) for _ in range(2)]
    deleted = await asyncio.gather(*(keeper.prune() for keeper in keepers))
    assert sum(it.jobs for it in deleted) == 30
    assert await ids_of(store) == []


async def test_continued_thread_keeps_its_earlier_turn(store: Store, clock: Hurried) -> None:
    await ended(store, "job-turn-one", done(200), thread="t")
    await read_all(store, 200)
    await submit(store, "job-turn-two", thread="t")
    keeper = RetentionWorker(store=store, clock=clock, owner=None, retention=Retention(max_database_bytes=1))
    await keeper.prune()
    assert (await store.job(OWNER, "job-turn-two")).previous == "job-turn-one"


# The loop


class Counting(MemoryStore):
    """Has some tidying to do each time, and may be out of order."""

    def __init__(self) -> None:
        super().__init__(server=HERE)
        self.steps = self.looks = 0
        self.faulty = False

    async def compact(self) -> bool:
        if self.faulty:
            raise UnavailableError("The store cannot be read.")
        self.steps += 1
        return self.steps % 3 != 0

    async def size(self, *, owner: str | None) -> int:
        self.looks += 1
        return await super().size(owner=owner)


async def test_server_compacts_every_minute_and_prunes_every_hour(puppet, caplog) -> None:
    store, clock = Counting(), FakeClock()
    engine = Engine(store=store, providers=puppet, server=HERE, retention=Retention(), clock=clock)
    await engine.open()

    async def wait(seconds: float) -> None:
        # In steps, so that whoever sleeps, sleeps again: the look for dead servers, and the one that is tested.
        for _ in range(int(seconds)):
            for _ in range(20):
                await asyncio.sleep(0)
            clock.advance(1)
        for _ in range(20):
            await asyncio.sleep(0)

    await wait(STARTS_AFTER - 1)
    assert (store.steps, store.looks) == (0, 0)
    await wait(TIDY_EVERY)
    assert store.steps == 3
    looks = store.looks
    assert looks > 0
    await ended(store, "job-old", Cancelled(at=START - 100 * DAY))
    store.faulty = True
    await wait(TIDY_EVERY)
    assert "cannot be maintained" in caplog.text
    store.faulty = False
    await wait(2 * TIDY_EVERY)
    assert store.steps >= 6
    assert store.looks == looks
    assert await ids_of(store) == ["job-old"]
    await wait(HOUR)
    assert store.looks > looks
    assert await ids_of(store) == []
    assert engine.warnings == []
    await engine.close()
