"""Faults in the thread of the writer: every waiting and every later write gets an outcome."""

import asyncio
import concurrent.futures
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from store.factories import append, ids_of, log_of, running, submit, text_deltas
from store.serving import opened

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import connection, loop_bridge
from jupyter_bgstream.store.sqlite import writer as writer_module
from jupyter_bgstream.store.sqlite.availability import Availability
from jupyter_bgstream.store.sqlite.checkpoints import Checkpoints
from jupyter_bgstream.store.sqlite.errors import Troubles
from jupyter_bgstream.store.sqlite.job_writes import Transaction
from jupyter_bgstream.store.sqlite.loop_bridge import Delivery
from jupyter_bgstream.store.sqlite.writer import MAX_FAILURES, Writer

SOON = 60  # seconds; on a busy machine


class Killed(BaseException):
    """What no code expects, as KeyboardInterrupt is."""


STEPS = [
    (Writer, "_step"),
    (Writer, "_next"),
    (Writer, "_commit"),
    (Writer, "_transact"),
    (Writer, "_catch_up"),
    (Writer, "_check_commit"),
    (Writer, "_try"),
    (Writer, "_overdue"),
    (Writer, "_deliver"),
    (Delivery, "put"),
    (Delivery, "notify_loop"),
    (Writer, "_roll_back"),
    (Writer, "_unavailable"),
    (Writer, "_poll_other_commits"),
    (Transaction, "finish"),
    (Checkpoints, "note_commit"),
    (Availability, "check_access"),
    (Availability, "check_commit"),
    (Troubles, "unavailable"),
]


@pytest.mark.parametrize("error", [ValueError, MemoryError, sqlite3.OperationalError, Killed])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
async def test_fault_at_any_step_leaves_no_write_unanswered(database, monkeypatch, owner, step, error):
    async with opened(database, patience=0.2) as store:
        original, left = getattr(owner, step), [1]
        loop, happened = asyncio.get_running_loop(), asyncio.Event()

        def faulty(*args, **options):
            if left:
                left.pop()
                loop.call_soon_threadsafe(happened.set)
                raise error(f"injected into {step}")
            return original(*args, **options)

        monkeypatch.setattr(owner, step, staticmethod(faulty) if step == "_try" else faulty)
        outcomes = []
        async with asyncio.timeout(SOON):
            if step in ("_unavailable", "unavailable", "_overdue", "_roll_back"):  # only asked where something fails
                with closing(sqlite3.connect(database, isolation_level=None)) as other:
                    other.execute("BEGIN IMMEDIATE")
                    writes = [submit(store, f"job-{n:04}") for n in range(3)]
                    outcomes = await asyncio.gather(*writes, return_exceptions=True)
            if step == "_poll_other_commits":
                await happened.wait()
            while not happened.is_set():
                outcomes += await asyncio.gather(
                    *(submit(store, f"job-{len(outcomes) + n:04}") for n in range(3)), return_exceptions=True
                )
            later = await asyncio.gather(submit(store, "job-later"), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes + later if isinstance(outcome, Exception)} <= {UnavailableError}
        if isinstance(later[0], UnavailableError):
            assert "until Jupyter is restarted" in later[0].message
            assert later[0].message in store.warnings
    async with opened(database) as store:  # the file is free, and what was acknowledged is there
        stored = {f"job-{n:04}" for n, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)}
        assert stored <= set(await ids_of(store))


async def test_write_is_answered_although_event_loop_rejects_calls_briefly(database, monkeypatch):
    async with opened(database) as store:
        job = await running(store)
        loop, left = asyncio.get_running_loop(), [1, 2, 3]
        call = loop.call_soon_threadsafe

        def full(*args, **options):
            if left:
                left.pop()
                raise MemoryError
            return call(*args, **options)

        monkeypatch.setattr(loop, "call_soon_threadsafe", full)
        async with asyncio.timeout(SOON):
            assert await append(store, job, text_deltas("a")) == 3  # stored, and so it is said
        assert left == []


async def test_repeated_failures_end_writer_and_are_reported(database, monkeypatch, caplog):
    async with opened(database, patience=3600.0) as store:
        failed = []

        def faulty(self):
            failed.append(1)
            raise MemoryError("no more")

        monkeypatch.setattr(Writer, "_next", faulty)
        async with asyncio.timeout(SOON):
            assert (await store._parts.writer.run(lambda tx: "the step under way")) == "the step under way"
            with pytest.raises(UnavailableError, match=r"MemoryError: no more.* until Jupyter is restarted"):
                await submit(store, "job-0001")
        assert len(failed) == MAX_FAILURES
        async with asyncio.timeout(SOON):
            with pytest.raises(UnavailableError, match="until Jupyter is restarted"):
                await submit(store, "job-0002")
        assert any("MemoryError" in warning for warning in store.warnings)
        assert "the store's writer has ended" in caplog.text


async def test_failing_publish_does_not_fail_write(database, caplog):
    async with opened(database) as store:

        def faulty(changes):
            raise ZeroDivisionError

        store._parts.writer._delivery._publish = faulty
        async with asyncio.timeout(SOON):
            await asyncio.gather(*(submit(store, f"job-{n:04}") for n in range(3)))
    assert "could not be published" in caplog.text


async def test_writes_wait_no_longer_than_patience_in_total(database, monkeypatch):
    """The patience of a write starts at its call, not when an earlier write has failed."""
    loop, expect = asyncio.get_running_loop(), Delivery.expect
    late: list[concurrent.futures.Future[float]] = []
    asked, expected = [], threading.Event()

    class Time:
        """Time that passes only while the writer waits for the lock."""

        now = 0.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds
            if self.now > 0.6 and not late:
                late.append(asyncio.run_coroutine_threadsafe(refused("job-0002"), loop))
                assert expected.wait(SOON)

    async def refused(job_id):
        began = passing.now
        with pytest.raises(UnavailableError, match="locked"):
            await submit(store, job_id)
        return passing.now - began

    def noted(self, *args, **options):
        item = expect(self, *args, **options)
        asked.append(item)
        if len(asked) == 2:
            expected.set()
        return item

    async with opened(database, patience=1.0) as store:
        with closing(sqlite3.connect(database, isolation_level=None)) as other, monkeypatch.context() as patch:
            passing = Time()
            for module in (writer_module, loop_bridge, connection):
                patch.setattr(module, "time", passing)
            patch.setattr(Delivery, "expect", noted)
            other.execute("BEGIN IMMEDIATE")
            await refused("job-0001")
            assert await asyncio.wrap_future(late[0]) == pytest.approx(1.0, abs=0.05)
            other.execute("ROLLBACK")
        await submit(store, "job-0003")
        assert await ids_of(store) == ["job-0003"]


async def test_waiting_write_with_patience_left_is_stored_when_lock_is_free(database):
    async with opened(database, patience=1.0) as store:
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            first = asyncio.create_task(submit(store, "job-0001"))
            await asyncio.wait([first], timeout=0.6)
            second = asyncio.create_task(submit(store, "job-0002"))
            with pytest.raises(UnavailableError, match="locked"):
                await first
            other.execute("ROLLBACK")
            await second


async def test_pause_after_commit_is_short_even_after_long_transaction(database, monkeypatch):
    """As if this process was frozen in its transaction."""
    async with opened(database) as store:
        real, offset = time.monotonic, [0.0]

        class Time:
            monotonic = staticmethod(lambda: real() + offset[0])
            sleep = staticmethod(time.sleep)

        monkeypatch.setattr(writer_module, "time", Time)
        await store._parts.writer.run(lambda tx: offset.__setitem__(0, 3600.0))
        async with asyncio.timeout(SOON):
            await submit(store, "job-0001")
        assert await ids_of(store) == ["job-0001"]


async def test_hanging_disk_leaves_no_write_unanswered(database, monkeypatch):
    """Writes behind the hanging operation are refused and never stored."""
    monkeypatch.setattr(loop_bridge, "SQLITE_CALL_SECONDS", 0.2)
    monkeypatch.setattr(loop_bridge, "CHECK_SECONDS", 0.1)
    goes_on, hangs = threading.Event(), threading.Event()

    def hang(tx):
        hangs.set()
        assert goes_on.wait(SOON)
        return "answered"

    async with opened(database, patience=0.3) as store:
        job = await running(store)
        stuck = asyncio.create_task(store._parts.writer.run(hang))
        await asyncio.to_thread(hangs.wait, SOON)
        writes = [submit(store, "job-0002"), append(store, job, text_deltas("lost")), store.delete(job.owner, job.id)]
        outcomes = await asyncio.gather(*writes, stuck, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == [loop_bridge.NOT_RESPONDING] * 4
        goes_on.set()
        await submit(store, "job-0003")
        assert await ids_of(store) == ["job-0003", "job-0001"]
        assert [type(event).__name__ for event in await log_of(store)] == ["Queued", "Attempt"]


async def test_hanging_commit_is_answered_when_it_ends(database, monkeypatch):
    """The outcome of a commit is unknown until it ends; a claim that is given up would never run."""
    monkeypatch.setattr(loop_bridge, "SQLITE_CALL_SECONDS", 0.0)
    monkeypatch.setattr(loop_bridge, "CHECK_SECONDS", 0.05)
    goes_on, hangs, original = threading.Event(), threading.Event(), Writer._wait_for

    def hang(self, statement, item):
        if statement == "COMMIT" and not hangs.is_set():
            hangs.set()
            assert goes_on.wait(SOON)
        original(self, statement, item)

    async with opened(database, patience=0.2) as store:
        monkeypatch.setattr(Writer, "_wait_for", hang)
        first = asyncio.create_task(submit(store, "job-0001"))
        await asyncio.to_thread(hangs.wait, SOON)
        with pytest.raises(UnavailableError, match="does not respond"):
            await submit(store, "job-0002")
        assert not first.done()
        goes_on.set()
        assert (await first).id == "job-0001"
        assert await ids_of(store) == ["job-0001"]
