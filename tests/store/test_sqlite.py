"""Files and transactions of the SQLite store."""

import asyncio
import os
import sqlite3
import stat
import sys
import time
from contextlib import contextmanager

import pytest
from store.database_files import written_by_hand
from store.factories import (
    ALL,
    DONE,
    HERE,
    OWNER,
    ROOM,
    append,
    ended,
    ids_of,
    log_of,
    new_job,
    running,
    submit,
    text_deltas,
)
from store.serving import opened

from jupyter_bgstream.core.errors import NotFoundError, UnavailableError
from jupyter_bgstream.store.port_values import Append
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.store.sqlite.availability import Availability
from jupyter_bgstream.store.sqlite.checkpoints import Checkpoints
from jupyter_bgstream.store.sqlite.errors import Troubles
from jupyter_bgstream.store.sqlite.server_locks import ServerLocks
from jupyter_bgstream.store.sqlite.sql_files import migrations
from jupyter_bgstream.store.sqlite.writer import MIN_UNLOCKED_SECONDS, Writer

if sys.platform != "win32":
    import resource


async def refused(database, **options):
    store = SQLiteStore(database, server=HERE, **options)
    with pytest.raises(UnavailableError) as caught:
        await store.open()
    await store.close()
    return caught.value.message


# The file


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
async def test_database_files_are_private_to_owner(tmp_path):
    database = tmp_path / "new" / "jobs.sqlite"
    before = os.umask(0)
    try:
        async with opened(database) as store:
            await submit(store, "job-0001")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.parent.rglob("*")}
            assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    assert modes == {
        "jobs.sqlite": 0o600,
        "jobs.sqlite-wal": 0o600,
        "jobs.sqlite-shm": 0o600,
        "jobs.sqlite.servers": 0o700,
        f"{HERE}.lock": 0o600,
    }


async def test_job_and_log_survive_restart(database):
    async with opened(database) as store:
        job = await running(store, thread="t", tags=("a",), priority="bulk", params={"n": [1, None]})
        await append(store, job, text_deltas("The sky"), preview="The sky")
        before = await store.job(OWNER, job.id)
        log = await store.events(job, after=0, max_bytes=ALL)
    assert not database.with_name("jobs.sqlite-wal").exists()
    async with opened(database, "server-two") as store:
        assert await store.job(OWNER, job.id) == before
        assert await store.events(before, after=0, max_bytes=ALL) == log


async def test_newer_schema_is_refused_and_left_alone(database):
    async with opened(database) as store:
        await submit(store, "job-0001")
    newer = len(migrations()) + 1
    with written_by_hand(database) as db:
        db.execute(f"PRAGMA user_version = {newer}")
    assert "newer" in await refused(database)
    with written_by_hand(database) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (newer,)
        assert db.execute("SELECT id FROM jobs").fetchall() == [("job-0001",)]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_file_of_another_format_is_refused_and_kept(database, content):
    database.write_bytes(content)
    assert "left as it is" in await refused(database)
    assert database.read_bytes() == content


async def test_database_of_another_program_is_refused(database):
    with written_by_hand(database) as db:
        db.execute("CREATE TABLE jobs (mine)")
    assert "belongs to something else" in await refused(database)


async def test_unusable_folder_is_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be opened" in await refused(tmp_path / "file" / "jobs.sqlite")
    assert "cannot be opened" in await refused(tmp_path)


async def test_servers_starting_together_create_one_database(database):
    stores = [SQLiteStore(database, server=f"server-{n}") for n in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(submit(store, f"job-{n:04}") for n, store in enumerate(stores)))
    assert len(await ids_of(stores[0])) == 4
    await asyncio.gather(*(store.close() for store in stores))


# Trouble


async def test_locked_file_is_unavailable_and_works_again_afterwards(database):
    async with opened(database, patience=0.05) as store:
        job = await running(store)
        with written_by_hand(database) as other:
            other.execute("BEGIN IMMEDIATE")
            writes = [append(store, job, text_deltas("a")), submit(store, "job-0002"), store.delete(OWNER, "job-none")]
            for error in await asyncio.gather(*writes, return_exceptions=True):
                assert isinstance(error, UnavailableError)
                assert "database is locked" in error.message
            assert (await store.job(OWNER, job.id)).seq == 2
            other.execute("ROLLBACK")
        assert await append(store, job, text_deltas("b")) == 3
        with pytest.raises(NotFoundError):
            await store.job(OWNER, "job-0002")


@contextmanager
def full_disk(database):
    """Let no file of this process grow beyond the size of the write-ahead log."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (database.with_name("jobs.sqlite-wal").stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
async def test_full_disk_is_unavailable_and_store_works_again_afterwards(database):
    async with opened(database) as store:
        job = await running(store)
        changes = store.changes()
        with full_disk(database):
            writes = [append(store, job, text_deltas("x" * 10_000)), store.end(OWNER, job.id, DONE)]
            for error in await asyncio.gather(*writes, return_exceptions=True):
                assert isinstance(error, UnavailableError)
                assert "The store cannot be written: " in error.message
        assert await store.job(OWNER, job.id) == job
        assert await append(store, job, text_deltas("y")) == 3
        assert [event.seq for event in await log_of(store)] == [1, 2, 3]
        # Nobody was told of what did not happen.
        assert [change.seq for change in await anext(changes)] == [3]


async def test_failing_operation_does_not_affect_other_operations(database, caplog):
    async with opened(database) as store:
        job = await running(store)
        writes = [
            append(store, job, text_deltas("a")),
            store.end("\ud800", job.id, DONE),
            append(store, job, text_deltas("b")),
        ]
        first, faulty, second = await asyncio.gather(*writes, return_exceptions=True)
        assert (first, second) == (3, 4)
        assert isinstance(faulty, UnavailableError)
        assert faulty.message.startswith("The store failed: UnicodeEncodeError: ")
        assert isinstance(faulty.__cause__, UnicodeEncodeError)
        (record,) = caplog.records
        assert record.exc_info[1] is faulty.__cause__


async def test_constraint_violation_does_not_affect_other_operations(database):
    async with opened(database) as store:
        job = await running(store)
        with written_by_hand(database) as db:
            db.execute("CREATE UNIQUE INDEX one_title ON jobs (preview) WHERE preview = 'twice'")
        await append(store, await running(store, "job-0002"), text_deltas("a"), preview="twice")
        writes = [
            append(store, job, text_deltas("a")),
            append(store, job, text_deltas("b"), preview="twice"),
            append(store, job, text_deltas("c")),
        ]
        first, refused, second = await asyncio.gather(*writes, return_exceptions=True)
        assert (first, second) == (3, 4)
        assert isinstance(refused, UnavailableError)
        assert isinstance(refused.__cause__, sqlite3.IntegrityError)
        assert [event.text for event in await log_of(store, after=2)] == ["a", "c"]


async def test_error_between_transactions_does_not_stop_writer(database, monkeypatch, caplog):
    async with opened(database) as store:
        job = await running(store)

        def faulty(self):
            raise ZeroDivisionError

        monkeypatch.setattr(Checkpoints, "_wal_size", faulty)
        assert [await append(store, job, text_deltas("a")) for _ in range(3)] == [3, 4, 5]
    assert {record.exc_info[0] for record in caplog.records} == {ZeroDivisionError}


async def test_lowered_patience_applies_to_waiting_write(database):
    async with opened(database) as store:
        job = await running(store)
        with written_by_hand(database) as other:
            other.execute("BEGIN IMMEDIATE")
            write = asyncio.create_task(append(store, job, text_deltas("a")))
            done, _ = await asyncio.wait([write], timeout=0.05)
            assert not done
            store.patience = 0.05
            async with asyncio.timeout(60):
                with pytest.raises(UnavailableError, match="locked"):
                    await write
                with pytest.raises(UnavailableError, match="locked"):
                    await append(store, job, text_deltas("b"))
            other.execute("ROLLBACK")


@pytest.mark.parametrize("patience", [30.0, 0.1])
async def test_close_does_not_wait_long_for_locked_file(database, monkeypatch, patience):
    monkeypatch.setattr("jupyter_bgstream.store.sqlite.database.CLOSING_PATIENCE", 0.2)
    with written_by_hand(database) as other:
        async with opened(database, patience=patience) as store:
            job = await running(store)
            other.execute("BEGIN IMMEDIATE")
            first = asyncio.create_task(append(store, job, text_deltas("a")))
            await asyncio.wait([first], timeout=0.02)
            writes = [first, *(asyncio.create_task(append(store, job, text_deltas("a"))) for _ in range(20))]
            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                await store.close()
            results = await asyncio.gather(*writes, return_exceptions=True)
            assert {type(result) for result in results} == {UnavailableError}
            other.execute("ROLLBACK")


@pytest.mark.parametrize(("full", "append_mode"), [(False, "NORMAL"), (True, "FULL")])
async def test_lifecycle_commit_is_synced_and_append_only_on_request(db, database, full, append_mode):
    statements = []
    db.set_trace_callback(statements.append)
    troubles = Troubles(database, mark=database.with_name("damaged"))
    writer = Writer(
        db,
        path=database,
        troubles=troubles,
        guard=Availability(database, liveness=ServerLocks(database.parent, HERE), lease=None, troubles=troubles),
        rev=0,
        publish=lambda changes: None,
        full=full,
        patience=lambda: 1.0,
    )
    await writer.run(lambda tx: tx.submit(new_job("job-0001"), max_queued=9))
    (job,) = await writer.run(lambda tx: tx.claim(server=HERE, owner=None, room=ROOM, limit=1, at=2.0))
    await writer.run(lambda tx: tx.append([Append(job=job, events=text_deltas("a"))]), light=True)
    await writer.run(lambda tx: tx.end(OWNER, job.id, DONE, fence=job.fence, log=job.log))
    await writer.close(patience=1.0)
    db.set_trace_callback(None)

    mode, modes = "FULL", []  # SQLite begins with it
    for statement in statements:
        if statement.startswith("PRAGMA synchronous"):
            mode = statement.split()[-1]
        if statement == "COMMIT":
            modes.append(mode)
    assert modes == ["FULL", "FULL", append_mode, "FULL"]


async def test_writer_pauses_between_commits(database):
    async with opened(database) as store:
        job = await running(store)
        began = time.monotonic()
        for _ in range(21):
            await append(store, job, text_deltas("a"))
        assert time.monotonic() - began >= 20 * MIN_UNLOCKED_SECONDS


async def test_cancelled_caller_does_not_stop_writer(database):
    async with opened(database) as store:
        job = await running(store)
        write = asyncio.create_task(append(store, job, text_deltas("a")))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        assert await append(store, job, text_deltas("b")) == 4


async def test_close_finishes_waiting_writes(database):
    async with opened(database) as store:
        job = await running(store)
        writes = [asyncio.create_task(append(store, job, text_deltas("a"))) for _ in range(30)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*writes) == list(range(3, 33))
    async with opened(database, "server-two") as store:
        assert len(await log_of(store)) == 32


async def test_write_ahead_log_has_bounded_size(database):
    wal = database.with_name("jobs.sqlite-wal")
    async with opened(database) as store:
        job = await running(store)
        sizes = []
        for _ in range(30):
            await append(store, job, text_deltas("x" * 1_000_000))
            sizes.append(wal.stat().st_size)
    assert max(sizes) < 12_000_000


async def test_reader_of_old_snapshot_does_not_stop_writer(database):
    async with opened(database) as store:
        job = await running(store)
        with written_by_hand(database) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM jobs").fetchall()
            for _ in range(20):
                await append(store, job, text_deltas("x" * 1_000_000))
            reader.execute("ROLLBACK")
        assert (await store.job(OWNER, job.id)).seq == 22


async def test_deleted_job_leaves_no_rows_in_database(database):
    async with opened(database) as store:
        job = await ended(store, prompt="a secret question")
        (notice,) = await store.notices(OWNER, "")
        await store.dismiss(OWNER, "", notice.id, at=60.0)
        await store.delete(OWNER, job.id)
    with written_by_hand(database) as db:
        for table in ("jobs", "asked", "events", "notices", "marks"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
