"""Damaged databases are renamed and reported; files of other programs are left unchanged."""

import asyncio
import logging
import os
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from store.database_files import filled, posix, refused
from store.factories import ALL, HERE, OWNER, append, ids_of, submit, text_deltas
from store.serving import DEADLINE, opened, serving
from store.test_lost_locks import until

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import SQLiteStore, database_file
from jupyter_bgstream.store.sqlite.connection import check


def corrupt_files(path):
    """Return the renamed databases, without their logs."""
    return sorted(path.parent.glob(f"{path.name}.corrupt-*Z"))


def overwrite(path, start, end):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * (min(end, path.stat().st_size) - start))


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


DAMAGES = {
    "header": lambda path: overwrite(path, 0, 100),
    "schema": lambda path: overwrite(path, 100, 4096),
    "pages": lambda path: overwrite(path, 8192, 1 << 40),
    "tail": lambda path: overwrite(path, path.stat().st_size - 40_960, 1 << 40),
    "cut": cut,
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_database_is_renamed_and_reported(database, damage, caplog):
    await filled(database)
    DAMAGES[damage](database)
    damaged = database.read_bytes()
    async with opened(database) as store:
        (warning,) = store.warnings
        (aside,) = corrupt_files(database)
        assert f"{database} was damaged" in warning
        assert f"sqlite3 '{aside}' .recover" in warning
        assert (logging.CRITICAL, warning) in [(record.levelno, record.message) for record in caplog.records]
        assert aside.read_bytes() == damaged
        assert await ids_of(store) == []
        await submit(store, "job-0002")
    async with opened(database) as store:  # for as long as it is there
        assert (store.warnings, await ids_of(store)) == ((warning,), ["job-0002"])
    aside.unlink()
    async with opened(database) as store:
        assert store.warnings == ()


async def test_damaged_database_on_network_disk_is_kept_too(database):
    path = database.with_name("jobs.here.sqlite")
    await filled(database, journal="rollback", host="here")
    overwrite(path, 8192, 1 << 40)
    async with opened(database, journal="rollback", host="here") as store:
        assert len(corrupt_files(path)) == len(store.warnings) == 1


async def test_damaged_file_without_folder_of_locks_is_left_unchanged(database, journal):
    options = {"journal": journal, "host": "here"}
    path = database.with_name("jobs.here.sqlite") if journal == "rollback" else database
    await filled(database, **options)
    shutil.rmtree(path.with_name(path.name + ".servers"))
    overwrite(path, 0, 4096)
    damaged = path.read_bytes()
    for _ in range(2):  # a first look at it does not make it ours
        assert "left as it is" in await refused(database, **options)
    assert path.read_bytes() == damaged
    assert {found.name for found in database.parent.iterdir()} <= {path.name, path.name + "-journal"}


@posix
async def test_damaged_file_is_not_renamed_while_another_server_uses_it(database):
    await filled(database)
    async with serving(database) as server:
        await server.ask("append")
        overwrite(database, 0, 100)
        database.with_name("jobs.sqlite-wal").write_bytes(b"")
        assert "other Jupyter servers still use it" in await refused(database)
        assert database.exists()
        server.kill()
    async with opened(database) as store:
        assert len(corrupt_files(database)) == len(store.warnings) == 1


async def test_servers_starting_together_rename_damaged_file_once(database):
    await filled(database)
    overwrite(database, 0, 4096)
    stores = [SQLiteStore(database, server=f"server-{n}") for n in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(submit(store, f"job-{n:04}") for n, store in enumerate(stores)))
    assert [len(await ids_of(store)) for store in stores] == [3, 3, 3]
    assert [len(store.warnings) for store in stores] == [1, 1, 1]
    assert len(corrupt_files(database)) == 1
    await asyncio.gather(*(store.close() for store in stores))


def test_log_without_database_is_kept_under_corrupt_name(database, monkeypatch):
    """The rename of a damaged database was interrupted; SQLite would delete its log."""
    log = database.with_name("jobs.sqlite-wal")
    log.write_bytes(b"what was written last")

    async def start():
        async with opened(database) as store:
            await submit(store, "job-0001")

    asyncio.run(start())
    (aside,) = database.parent.glob("*.corrupt-*-wal")
    assert aside.read_bytes() == b"what was written last"


async def test_damage_found_while_running_is_reported_and_repaired_at_next_start(database, monkeypatch, caplog):
    job = await filled(database)
    with closing(sqlite3.connect(database)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    overwrite(database, (root - 1) * size, root * size)
    with monkeypatch.context() as patch:
        # As if there were too much to look at.
        patch.setattr(database_file, "check", lambda db, *, seconds: None)
        async with opened(database) as store:
            assert store.warnings == ()
            for action in (store.events(job, after=0, max_bytes=ALL), append(store, job, text_deltas("more"))):
                with pytest.raises(UnavailableError, match=r"is damaged .* Restart"):
                    await action
            assert len(store.warnings) == 1  # not for every one who asks
            assert await store.counts(OWNER) == {"running": 1}  # what is sound still works
            assert [record.levelno for record in caplog.records].count(logging.CRITICAL) == 1
    async with opened(database) as store:
        assert "was damaged" in store.warnings[0]
        assert await ids_of(store) == []
    assert len(corrupt_files(database)) == 1
    assert [path.name for path in database.with_name("jobs.sqlite.servers").iterdir()] == [f"{HERE}.lock"]


async def test_false_alarm_is_cleared_after_whole_check(database):
    await filled(database)
    mark = database.with_name("jobs.sqlite.servers") / database_file.MARK
    mark.touch()
    async with opened(database) as store:
        assert (store.warnings, await ids_of(store)) == ((), ["job-0001"])
    assert not mark.exists()


async def test_check_of_sound_database_reports_no_damage_with_any_time_limit(database):
    await filled(database)
    with closing(sqlite3.connect(database, check_same_thread=False)) as db:
        assert check(db, seconds=30) is None
        assert check(db, seconds=0.0) is None
        assert db.execute("SELECT 1").fetchone() == (1,)


class Interrupted(sqlite3.Connection):
    """A connection whose statement is interrupted while it reads a row with 0."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.reading, self.interrupted = threading.Event(), threading.Event()

    def interrupt(self):
        self.reading.wait(60)
        super().interrupt()
        self.interrupted.set()

    def is_sound(self, value):
        if value == 0:
            self.reading.set()
            self.interrupted.wait(5)
        return value < 2


def test_check_ends_at_its_time_limit():
    with closing(sqlite3.connect(":memory:", factory=Interrupted, check_same_thread=False)) as db:
        db.create_function("is_sound", 1, db.is_sound, deterministic=True)
        db.executescript("""
            CREATE TABLE numbers (n CHECK (is_sound(n)));
            PRAGMA ignore_check_constraints = ON;
            INSERT INTO numbers VALUES (0), (2);
            PRAGMA ignore_check_constraints = OFF;
        """)
        assert check(db, seconds=0.0) is None
        assert db.interrupted.is_set()
        assert check(db, seconds=30) == check(db, seconds=None) == "CHECK constraint failed in numbers"


async def test_failing_read_is_unavailable_and_logged(database, caplog):
    async with opened(database) as store:

        def broken(db):
            raise ZeroDivisionError

        with pytest.raises(UnavailableError, match="ZeroDivisionError"):
            await store._parts.readers.run(broken)
        assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


async def test_file_of_another_format_is_left_alone_by_servers_starting_together(tmp_path):
    """The folder of locks that the first server creates must not mark the file as a database for the second."""
    path = tmp_path / "thesis.sqlite"
    path.write_text("Chapter 1")
    folder = path.with_name(path.name + ".servers")
    for _ in range(20):
        stores = [SQLiteStore(path, server=f"server-{n}") for n in range(4)]
        for outcome in await asyncio.gather(*(store.open() for store in stores), return_exceptions=True):
            assert "cannot be used as a database and was left as it is" in str(outcome)
        assert (path.read_text(), corrupt_files(path), folder.exists()) == ("Chapter 1", [], False)


async def test_open_of_locked_database_can_be_cancelled(tmp_path):
    path = tmp_path / "jobs.sqlite"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = asyncio.create_task(SQLiteStore(path, server=HERE).open())
        await until((path.with_name(path.name + ".servers") / f"{HERE}.lock").exists)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        async with asyncio.timeout(DEADLINE / 3):  # its patience is longer
            await asyncio.get_running_loop().shutdown_default_executor()
