"""A database that is deleted, moved or replaced under a running server is reported, and writes are refused."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from store.factories import HERE, OWNER, append, ids_of, log_of, running, submit, text_deltas
from store.serving import DEADLINE, opened, serving
from store.test_lost_locks import until

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.store.sqlite.availability import Availability
from jupyter_bgstream.store.sqlite.errors import Troubles
from jupyter_bgstream.store.sqlite.file_watch import FileWatch, LostFileError
from jupyter_bgstream.store.sqlite.server_locks import ServerLocks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an open file cannot be deleted, or found")


def file_of(database, journal):
    return database.with_name("jobs.here.sqlite") if journal == "rollback" else database


async def refused_write(store, job):
    with pytest.raises(UnavailableError) as caught:
        await append(store, job, text_deltas("lost"))
    with pytest.raises(UnavailableError):
        await submit(store, "job-lost")
    return caught.value.message


async def warning(store):
    async with asyncio.timeout(DEADLINE):
        while not store.warnings:  # noqa: ASYNC110 - of files
            await asyncio.sleep(0.05)
    (sentence,) = store.warnings
    return sentence


async def test_deleted_database_is_reported_at_the_next_write_and_can_be_copied(database, journal, tmp_path):
    path = file_of(database, journal)
    async with opened(database, journal=journal, host="here") as store:
        job = await running(store)
        await append(store, job, text_deltas("kept"))
        path.unlink()
        message = await refused_write(store, job)
        assert f"{path} was deleted" in message
        assert await warning(store) == message
        assert len(await log_of(store)) == 3  # what is there can still be read
        source = re.search(r"cp (/proc/\d+/fd/\d+) COPY", message)[1]
        copy = tmp_path / "copy.sqlite"
        subprocess.run(["cp", source, copy], check=True)  # noqa: ASYNC221
    assert not path.exists()
    copy.rename(path)
    async with opened(database, "server-two", journal=journal, host="here") as store:
        assert fold(await log_of(store)).text == "kept"
        assert store.warnings == ()


async def test_deleted_database_is_reported_without_write(database, journal):
    async with opened(database, journal=journal, host="here") as store:
        await running(store)
        file_of(database, journal).unlink()
        assert "was deleted" in await warning(store)


async def test_moved_database_works_again_when_it_is_back(database, journal):
    path = file_of(database, journal)
    elsewhere = database.with_name("elsewhere.sqlite")
    async with opened(database, journal=journal, host="here") as store:
        job = await running(store)
        path.rename(elsewhere)
        message = await refused_write(store, job)
        assert f"{path} was moved to {elsewhere}" in message
        assert await warning(store) == message
        elsewhere.rename(path)
        assert await append(store, job, text_deltas("on")) == 3
        await until(lambda: store.warnings == ())
        assert fold(await log_of(store)).text == "on"


async def test_moved_database_is_complete_without_its_log(database):
    async with opened(database) as store:
        job = await running(store)
        await append(store, job, text_deltas("kept"))
        elsewhere = database.with_name("elsewhere.sqlite")
        database.rename(elsewhere)
        await refused_write(store, job)
        alone = database.with_name("alone.sqlite")
        shutil.copy(elsewhere, alone)
        with closing(sqlite3.connect(alone)) as db:
            assert db.execute("SELECT id FROM jobs").fetchall() == [("job-0001",)]
            assert b"kept" in b"".join(body for (body,) in db.execute("SELECT body FROM events").fetchall())


async def test_replaced_database_is_reported_and_new_file_is_left_alone(database, journal):
    path = file_of(database, journal)
    async with opened(database, journal=journal, host="here") as store:
        job = await running(store)
        other = database.with_name("other.sqlite")
        other.write_bytes(b"another file")
        other.replace(path)
        assert f"{path} was replaced by another file" in await refused_write(store, job)
    assert path.read_bytes() == b"another file"


@pytest.mark.parametrize("part", ["-wal", "-shm"])
async def test_deleted_part_is_reported_and_nothing_is_lost(database, part):
    async with opened(database) as store:
        job = await running(store)
        for n in range(20):
            await append(store, job, text_deltas(f"{n} "))
        database.with_name(database.name + part).unlink()
        message = await refused_write(store, job)
        assert f"{database}{part}, a part of the database, was deleted" in message
        assert await warning(store) == message
    async with opened(database, "server-two") as store:
        assert fold(await log_of(store)).text == "".join(f"{n} " for n in range(20))


async def test_moved_folder_works_again_when_it_is_back(tmp_path, journal):
    folder = tmp_path / "home"
    database = folder / "jobs.sqlite"
    async with opened(database, journal=journal, host="here") as store:
        job = await running(store)
        folder.rename(tmp_path / "moved")
        assert f"was moved to {tmp_path / 'moved'}" in await refused_write(store, job)
        await warning(store)
        assert not folder.exists()
        (tmp_path / "moved").rename(folder)
        assert await append(store, job, text_deltas("on")) == 3
        await until(lambda: store.warnings == ())
    async with opened(database, journal=journal, host="here") as store:
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=9)] == []
        assert fold(await log_of(store)).text == "on"


async def test_unmounted_disk_is_reported_and_works_again_when_it_is_back(tmp_path):
    disk, point = tmp_path / "disk", tmp_path / "point"
    disk.mkdir()
    point.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", disk, point], check=False).returncode:  # noqa: ASYNC221
        pytest.skip("only root may mount")
    try:
        async with opened(point / "jobs.sqlite") as store:
            job = await running(store)
            subprocess.run(["umount", "--lazy", point], check=True)  # noqa: ASYNC221
            assert "its disk was unmounted" in await refused_write(store, job)
            subprocess.run(["mount", "--bind", disk, point], check=True)  # noqa: ASYNC221
            assert await append(store, job, text_deltas("on")) == 3
            await until(lambda: store.warnings == ())
    finally:
        subprocess.run(["umount", "--lazy", point], check=False)  # noqa: ASYNC221


@pytest.mark.parametrize("how", ["delete", "move"])
async def test_acknowledged_appends_are_in_deleted_or_moved_file(database, journal, how):
    """The server streams while its file is deleted or moved."""
    path = file_of(database, journal)
    async with serving(database, journal=journal, host="here") as server:
        server.say("stream")
        for _ in range(50):
            await server.hear()
        kept = path.with_name("kept.sqlite")
        if how == "delete":
            kept.hardlink_to(path)
            path.unlink()
        else:
            path.rename(kept)
        acknowledged = 0
        while (line := await server.hear()).isdigit():
            acknowledged = int(line)
        assert line == "LostFileError"
        await server.hear()  # the log is in the file once it has been refused
        copy = path.with_name("copy.sqlite")
        shutil.copy(kept, copy)
        with closing(sqlite3.connect(copy)) as db:
            (seq,) = db.execute("SELECT seq FROM jobs WHERE id = ?", (server.job,)).fetchone()
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert seq >= acknowledged


async def test_target_of_symbolic_link_is_watched(database, tmp_path):
    real = tmp_path / "real.sqlite"
    real.touch()
    database.symlink_to(real)
    async with opened(database) as store:
        job = await running(store)
        database.unlink()  # the link: the file that is used is where it was
        assert await append(store, job, text_deltas("on")) == 3
        assert store.path == real
        real.unlink()
        assert f"{real} was deleted" in await refused_write(store, job)


async def test_failed_start_leaves_nothing_behind_and_can_be_repeated(database, monkeypatch):
    before = _open_things()
    database.write_bytes(b"no database" * 100)
    async with opened(database.with_name("other.sqlite"), "two"):
        pass
    store = SQLiteStore(database, server=HERE)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="left as it is"):
            await store.open()
        assert _open_things() == before
        assert not database.with_name("jobs.sqlite.servers").exists()
    database.unlink()
    await store.open()
    await submit(store, "job-0001")
    assert await ids_of(store, OWNER) == ["job-0001"]
    await store.close()
    assert _open_things() == before


def _open_things():
    threads = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("bgstream"))
    files = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            files.append(str(link.readlink()))
    return threads, sorted(file for file in files if "jobs" in file)


def test_log_removed_by_close_is_not_reported_as_lost(database, monkeypatch):
    database.touch()
    troubles = Troubles(database, mark=database.parent / "damaged")
    locks = ServerLocks(database.parent, HERE)
    availability = Availability(database, liveness=locks, lease=None, troubles=troubles)
    watch = FileWatch(database, "wal")
    availability.watch(watch)

    def check_late():  # the store is closed during the check
        availability.watch(None)
        raise LostFileError("The log is gone.")

    monkeypatch.setattr(watch, "check", check_late)
    availability.check_commit()
    assert troubles.warnings == ()
