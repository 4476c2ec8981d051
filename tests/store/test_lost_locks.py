"""The folder of locks is deleted or replaced under running servers: a living server does not count as dead."""

import asyncio
import shutil
import sys
import time

import pytest
from store.factories import HERE, ids_of, running, submit
from store.serving import DEADLINE, opened, serving

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import server_locks
from jupyter_bgstream.store.sqlite.server_locks import ServerLocks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


def delete(folder):
    shutil.rmtree(folder)


def empty(folder):
    for path in folder.iterdir():
        path.unlink()


def replace(folder):
    folder.rename(folder.with_name("moved"))
    folder.mkdir()


async def until(condition):
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - of files
            await asyncio.sleep(0.05)


def folder_of(database, journal):
    host = ".here" if journal == "rollback" else ""
    return database.with_name(f"jobs{host}.sqlite.servers")


async def abandoned(store):
    return [job.id for job in await store.abandoned_jobs(owner=None, limit=99)]


@pytest.mark.parametrize("disturb", [delete, empty, replace])
async def test_living_server_without_lock_file_is_not_dead(database, journal, disturb):
    options = {"journal": journal, "host": "here"}
    folder = folder_of(database, journal)
    async with opened(database, **options) as store, serving(database, **options) as server:
        await running(store)
        disturb(folder)
        assert await abandoned(store) == []
        await until(lambda: {f"{HERE}.lock", "two.lock"} <= {path.name for path in folder.glob("*")})
        async with opened(database, "server-late", **options) as late:
            assert await abandoned(late) == await abandoned(store) == []
            assert await server.ask("append") == "5"
            server.kill()
            assert await abandoned(late) == await abandoned(store) == [server.job]


async def test_frozen_server_without_lock_file_is_not_dead(database):
    folder = folder_of(database, "wal")
    async with opened(database, missing=0.1) as store, serving(database) as server:
        server.stop()
        delete(folder)
        await until((folder / f"{HERE}.lock").exists)
        began = time.monotonic()
        while time.monotonic() < began + 1:  # far longer than a lock may be missing
            assert await abandoned(store) == []
            await asyncio.sleep(0.05)
        server.go_on()
        await until((folder / "two.lock").exists)
        assert await abandoned(store) == []
        server.kill()
        assert await abandoned(store) == [server.job]


async def test_jobs_of_server_without_lock_file_are_abandoned_after_delay(database):
    """As in a database that was copied without its folder of locks."""
    async with opened(database, "server-two") as two:
        await submit(two, "job-0001", server="server-two")
    shutil.rmtree(folder_of(database, "wal"))
    async with opened(database, missing=3.0) as store:
        began = time.monotonic()
        assert await abandoned(store) == []
        async with asyncio.timeout(DEADLINE):
            while await abandoned(store) != ["job-0001"]:  # noqa: ASYNC110 - of files
                await asyncio.sleep(0.05)
        assert time.monotonic() - began >= 2.9


async def test_lock_that_cannot_be_recreated_is_reported_until_it_is_back(database, monkeypatch):
    folder = folder_of(database, "wal")
    async with opened(database) as store:
        await submit(store, "job-0001")
        shutil.rmtree(folder)
        folder.write_text("in the way")
        await until(lambda: any("lock" in warning and "cannot be made again" in warning for warning in store.warnings))
        folder.unlink()
        await until(lambda: store.warnings == ())
        assert (folder / f"{HERE}.lock").exists()
        assert await ids_of(store) == ["job-0001"]


def test_lock_of_living_server_is_not_taken_by_same_id(tmp_path, monkeypatch):
    monkeypatch.setattr(server_locks, "PATIENCE", 0.01)
    with (
        ServerLocks(tmp_path, "a") as one,
        pytest.raises(UnavailableError, match="already runs"),
        ServerLocks(tmp_path, "a"),
    ):
        pass
    assert not one.is_dead("b")
    assert len(list(tmp_path.iterdir())) == 1
