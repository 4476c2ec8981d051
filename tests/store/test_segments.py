"""Compaction of a log changes no event, also with concurrent reads and compactions."""

import asyncio
import itertools
import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.factories import ALL, DONE, HERE, OWNER, append, ended, new_job, running, text_deltas
from store.serving import PACKAGE, opened
from store.texts import CLAIMED, deltas, written

from jupyter_bgstream.core.errors import NotFoundError
from jupyter_bgstream.store.sqlite import SQLiteStore, maintenance

numbers = itertools.count(1)


def rows(database, column="count(*)", where="1"):
    with closing(sqlite3.connect(database)) as db:
        return [row[0] for row in db.execute(f"SELECT {column} FROM events WHERE {where}")]


async def tidied(store):
    """Join all that can be joined; returns how many steps that took."""
    steps = 0
    while await store.compact():
        steps += 1
    return steps


async def whole(store, job_id="job-0001"):
    return await store.events(await store.job(OWNER, job_id), after=0, max_bytes=ALL)


async def long_job(store, events, *, per_row, job_id="job-0001"):
    """Let a job run and say so many deltas."""
    job = await running(store, job_id)
    for begin in range(CLAIMED, CLAIMED + events, per_row):
        await append(store, job, deltas(begin, min(per_row, CLAIMED + events - begin)))
    return job


# What is joined


async def test_compaction_of_ended_job_joins_rows_and_keeps_events(database):
    async with opened(database) as store:
        job = await long_job(store, 1000, per_row=3)
        await store.end(OWNER, job.id, DONE)
        before, size = await whole(store), sum(rows(database, "length(body)"))
        assert rows(database) == [337]
        await tidied(store)
        assert await whole(store) == before
        assert before[CLAIMED:-1] == [written(seq) for seq in range(3, 1003)]
        assert rows(database) == [4]
        assert rows(database, where="NOT packed") == [0]
        assert sum(rows(database, "length(body)")) < size / 3
        assert not await store.compact()


async def test_long_log_of_running_job_is_compacted_and_can_grow(database):
    async with opened(database) as store:
        job = await long_job(store, 1000, per_row=5)
        assert await tidied(store) == 0
        await append(store, job, deltas(1002, 100))
        await tidied(store)
        assert rows(database, where="packed") == [4]
        assert await append(store, job, deltas(1102, 5)) == 1107
        await store.end(OWNER, job.id, DONE)
        await tidied(store)
        assert (await whole(store))[CLAIMED:-1] == [written(seq) for seq in range(3, 1108)]
        assert rows(database, where="NOT packed") == [0]


async def test_events_larger_than_segment_stay_whole(database):
    async with opened(database) as store:
        job = await running(store)
        for size in (10, 700_000, 10, 300_000, 5_000_000):
            await append(store, job, text_deltas("ä" * size))
        await store.end(OWNER, job.id, DONE)
        before = await whole(store)
        assert await tidied(store) > 1  # a step is small
        assert await whole(store) == before
        assert rows(database, where="NOT packed") == [0]


async def test_compaction_publishes_no_change(database):
    async with opened(database) as store, opened(database, "server-two") as other:
        feeds = store.changes(), other.changes()

        async def told(feed):
            async with asyncio.timeout(60):
                return [(change.kind, change.subject) for change in await anext(feed)]

        await ended(store)
        while (("notice", "job-0001")) not in await told(feeds[1]):
            pass
        while (("notice", "job-0001")) not in await told(feeds[0]):
            pass
        assert await tidied(store) == 1
        await store.submit(new_job("job-last"), max_queued=9)
        assert [await told(feed) for feed in feeds] == [[("job", "job-last")]] * 2


async def test_job_deleted_during_compaction_stays_deleted(database):
    async with opened(database) as store:
        await ended(store)
        found = await store._open.readers.run(maintenance.next_segments)
        await store.delete(OWNER, "job-0001")
        await ended(store)  # the same id again
        before = await whole(store)
        await store._open.writer.run(lambda tx: tx.join_segments(found))
        assert await whole(store) == before
        assert len(found) == 1
        assert rows(database, where="packed") == [0]


async def test_two_servers_compacting_same_rows_write_them_once(database):
    async with opened(database) as store, opened(database, "server-two") as other:
        job = await long_job(store, 2000, per_row=2)
        await store.end(OWNER, job.id, DONE)
        before = await whole(store)
        await asyncio.gather(*(tidied(server) for server in (store, other, store, other)))
        assert await whole(store) == await whole(other) == before
        assert rows(database) == [8]


async def test_delete_removes_compacted_rows(database):
    async with opened(database) as store:
        job = await long_job(store, 1000, per_row=1)
        await store.end(OWNER, job.id, DONE)
        await store.compact()  # joined in part
        await store.delete(OWNER, job.id)
        assert rows(database) == [0]
        with pytest.raises(NotFoundError):
            await store.events(job, after=0, max_bytes=ALL)


# Random appends, joins and reads, while another process reads

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 12)),
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.just("join"), st.sampled_from([0, 1])),
        st.tuples(st.just("read"), st.integers(0, 60), st.integers(1, 400)),
        st.tuples(st.just("race"), st.integers(1, 12)),
    ),
    min_size=5,
    max_size=40,
)


@contextmanager
def read_elsewhere(database, job_id):
    """Let another process read the log while the ``with`` lasts; what it reads must be right."""
    command = [sys.executable, Path(__file__).with_name("reader.py"), database, "server-reader", job_id]
    env = os.environ | {"PYTHONPATH": str(PACKAGE)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert int(out.split()[0]) > 20, out


@pytest.fixture
def tiny(monkeypatch):
    """Let everything have its edges often."""
    monkeypatch.setattr(maintenance, "SEGMENT_EVENTS", 8)
    monkeypatch.setattr(maintenance, "SEGMENT_BYTES", 500)
    monkeypatch.setattr(maintenance, "STEP_ROWS", 5)
    monkeypatch.setattr(maintenance, "LONG", 16)


def test_random_appends_joins_and_reads_return_log_in_order(database, tiny):
    with asyncio.Runner() as runner:
        stores = [SQLiteStore(database, server=HERE), SQLiteStore(database, server="server-two")]
        for store in stores:
            runner.run(store.open())
        watched = runner.run(running(stores[0], "job-watched"))

        async def grow(job, count):
            seq = (await stores[0].job(OWNER, job.id)).seq
            await append(stores[0], job, deltas(seq, count))

        async def play(plan):
            job = await running(stores[0], f"job-{next(numbers):06}")
            log = await whole(stores[0], job.id)
            for step in plan:
                match step:
                    case "append", count:
                        await append(stores[0], job, deltas(len(log), count))
                        log += map(written, range(len(log) + 1, len(log) + 1 + count))
                    case "join", server:
                        await stores[server].compact()
                    case "race", count:  # both servers join while both logs grow
                        await asyncio.gather(grow(job, count), grow(watched, count), *(it.compact() for it in stores))
                        log += map(written, range(len(log) + 1, len(log) + 1 + count))
                    case "read", after, max_bytes:
                        after = min(after, len(log))
                        found = await stores[after % 2].events(job, after=after, max_bytes=max_bytes)
                        assert found == log[after : after + len(found)]
                        assert found or after == len(log)
            await stores[0].end(OWNER, job.id, DONE)
            log = [*log, *(await stores[0].events(job, after=len(log), max_bytes=ALL))]
            await asyncio.gather(*map(tidied, stores))
            for after in range(len(log) + 1):
                assert await stores[after % 2].events(job, after=after, max_bytes=ALL) == log[after:]
            await stores[0].delete(OWNER, job.id)

        @settings(max_examples=40, deadline=None, derandomize=True)
        @given(steps)
        def check(plan):
            runner.run(play(plan))

        try:
            with read_elsewhere(database, watched.id):
                check()
        finally:
            for store in stores:
                runner.run(store.close())
    assert rows(database, where="packed")[0] > 10  # of the log that was read elsewhere
