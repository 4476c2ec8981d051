"""One database and two machines: a living machine keeps its lease, and a dead one loses it."""

import asyncio
import errno
import json
import os
import shutil
import sqlite3
import sys
import threading
from contextlib import closing

import pytest
from store.factories import HERE, OWNER, append, ids_of, log_of, running, submit, text_deltas
from store.serving import DEADLINE, opened, serving
from store.test_lost_locks import until

from jupyter_bgstream.core.errors import FencedError, UnavailableError
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.sqlite import SQLiteStore, availability, database_file, lease, server_locks
from jupyter_bgstream.store.sqlite.lease import Lease, Machine, TakenOverError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

NODE1, NODE2, NODE3 = Machine("node1", "boot-1"), Machine("node2", "boot-2"), Machine("node3", "boot-3")
OTHER_POD = ["unshare", "--uts", "sh", "-c", 'hostname other-pod && exec "$@"', "sh"]
OPTIONS = {"journal": "rollback", "host": "ada"}
DEAD = {"watch": 3.0}  # seconds; longer than a renewal, where nobody renews
ENDLESS = {"watch": 3600.0}  # seconds; a start that waited for the lease would not end within the test


def folder_of(database):
    return database.with_name("jobs.ada.sqlite.servers")


def on(machine, **options):
    return OPTIONS | {"machine": machine} | options


async def refused(database, machine, server="server-new"):
    with pytest.raises(UnavailableError) as caught:
        await SQLiteStore(database, server=server, **on(machine)).open()
    return caught.value.message


async def test_living_server_on_another_machine_refuses_start(database):
    async with serving(database, **on(NODE1)) as server:
        message = await refused(database, NODE2)
        assert "used by a server on another machine, node1, that is still alive" in message
        assert await server.ask("append") == "5"
        assert await server.ask("warnings") == "[]"


async def test_living_server_is_detected_without_locks(database, monkeypatch):
    """As on a network disk whose locks are local to each machine."""
    monkeypatch.setattr(server_locks, "try_lock", lambda fd: True)
    async with serving(database, **on(NODE1)):
        assert "still alive" in await refused(database, NODE2)


async def test_same_host_name_with_another_boot_id_is_another_machine(database):
    async with serving(database, **on(NODE1)):
        assert "still alive" in await refused(database, Machine("node1", "boot-of-a-clone"))


async def test_jobs_of_dead_machine_are_taken_over_although_its_locks_are_held(database, monkeypatch):
    """As on a network disk whose file server still holds the locks of a dead machine."""
    async with serving(database, **on(NODE1)) as server:
        assert await server.ask("append") == "5"
        server.stop()  # it holds its lock and renews nothing
        async with opened(database, "server-new", **on(NODE2, **DEAD)) as store:
            assert [job.id for job in await store.abandoned_jobs(owner=None, limit=9)] == [server.job]
            await submit(store, "job-0001", server="server-new")


async def test_server_that_wakes_after_takeover_cannot_write(database):
    async with serving(database, **on(NODE1)) as server:
        assert await server.ask("append") == "5"
        server.stop()
        async with opened(database, HERE, **on(NODE2, **DEAD)) as store:
            (job,) = await store.abandoned_jobs(owner=None, limit=9)
            await store.end(OWNER, job.id, Cancelled(at=9.0))
            server.say("append")  # at once, before any look at the lease
            server.go_on()
            assert await server.hear() == "TakenOverError"
            assert await server.ask("append") == "TakenOverError"
            assert await server.ask("taken") == "taken over"
            (warning,) = json.loads(await server.ask("warnings"))
            assert "The machine node2 has taken over the database" in warning
            assert fold(await log_of(store, job.id)).text == "a word " * 3
            assert [job.id for job in await store.abandoned_jobs(owner=None, limit=9)] == []
            assert await store.job(OWNER, job.id) is not None
            await server.end()
            await submit(store, "job-0001")  # its end took nothing from us
            assert store.warnings == ()


async def test_server_that_wakes_in_its_transaction_commits_nothing(database):
    """A file server would have released its locks; here the frozen process still holds them."""
    async with serving(database, **on(NODE1)) as server:
        server.say("freeze")
        await asyncio.to_thread(server.wait_until_stopped)
        folder = folder_of(database)
        taking = Lease(folder, database, "server-new", machine=NODE2, watch=3.0)
        before = await asyncio.to_thread(taking.acquire, threading.Event())
        assert before.host == "node1"
        server.go_on()
        assert await server.hear() == "TakenOverError"
        assert await server.ask("append") == "TakenOverError"


async def test_taken_over_error_is_fenced_and_unavailable():
    error = TakenOverError("…")
    assert isinstance(error, FencedError)
    assert isinstance(error, UnavailableError)
    assert (error.status, error.code) == (503, "unavailable")


async def test_start_after_clean_stop_does_not_wait(database):
    async with opened(database, "server-old", **on(NODE1)) as store:
        await submit(store, "job-0001", server="server-old")
    async with opened(database, **on(NODE2, **ENDLESS)) as store:
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=9)] == ["job-0001"]
        assert store.warnings == ()


async def test_start_on_same_machine_does_not_wait(database):
    async with serving(database, **on(NODE1)) as server, opened(database, **on(NODE1, **ENDLESS)) as store:
        assert await store.abandoned_jobs(owner=None, limit=9) == []
        server.kill()
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=9)] == [server.job]
    async with opened(database, "server-new", **on(NODE1, **ENDLESS)):
        pass


async def test_machine_keeps_lease_until_its_last_server_has_stopped(database):
    async with opened(database, **on(NODE1)):
        async with opened(database, "server-two", **on(NODE1)):
            pass
        assert "still alive" in await refused(database, NODE2)
    async with opened(database, **on(NODE2)):
        pass


async def test_one_of_several_machines_takes_lease_at_same_time(database):
    async with opened(database, **on(NODE1)):
        pass
    for _ in range(5):
        machines = [Machine(f"node{n}", f"boot-{n}") for n in range(4)]
        stores = [SQLiteStore(database, server=f"server-{n}", **on(machine)) for n, machine in enumerate(machines)]
        outcomes = await asyncio.gather(*(store.open() for store in stores), return_exceptions=True)
        writes = await asyncio.gather(
            *(
                submit(store, f"job-{store._settings.server}")
                for store, error in zip(stores, outcomes, strict=True)
                if not error
            ),
            return_exceptions=True,
        )
        assert [type(write).__name__ for write in writes].count("Job") == 1
        await asyncio.gather(*(store.close() for store in stores))


async def test_first_machines_at_same_time_create_one_lease(database):
    machines = [Machine(f"node{n}", f"boot-{n}") for n in range(4)]
    stores = [SQLiteStore(database, server=f"server-{n}", **on(machine)) for n, machine in enumerate(machines)]
    outcomes = await asyncio.gather(*(store.open() for store in stores), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", *["UnavailableError"] * 3]
    await asyncio.gather(*(store.close() for store in stores))


async def test_lease_is_created_again_after_its_folder_was_deleted(database):
    async with opened(database, **on(NODE1)) as store:
        shutil.rmtree(folder_of(database))
        await until((folder_of(database) / "lease").exists)
        assert "still alive" in await refused(database, NODE2)
        await submit(store, "job-0001")
        assert await ids_of(store) == ["job-0001"]


async def test_empty_lease_is_taken_after_delay(database):
    """The server that created the lease was killed before it wrote its content."""
    folder_of(database).mkdir()
    (folder_of(database) / "lease").touch()
    async with opened(database, **on(NODE1, **DEAD)) as store:
        await submit(store, "job-0001")


async def test_full_disk_at_renewal_is_reported_until_renewal_succeeds(database, monkeypatch):
    async with opened(database, **on(NODE1)) as store:
        job = await running(store)
        with monkeypatch.context() as patch:

            def full(self):
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(Lease, "renew", full)
            await until(lambda: store.warnings)
            (warning,) = store.warnings
            assert "cannot be renewed" in warning
            assert "No space left on device" in warning
            assert await append(store, job, text_deltas("a")) == 3
        await until(lambda: store.warnings == ())


async def test_hanging_renewal_blocks_neither_writes_nor_close(database, monkeypatch):
    """As on a network disk that hangs."""
    monkeypatch.setattr(availability, "STOPPING", 0.1)
    before = set(threading.enumerate())
    goes_on, hangs, given_up = threading.Event(), threading.Event(), threading.Event()

    def hang(self):
        hangs.set()
        if not goes_on.wait(DEADLINE):
            given_up.set()

    monkeypatch.setattr(Lease, "renew", hang)
    async with opened(database, **on(NODE1)) as store:
        job = await running(store)
        await asyncio.to_thread(hangs.wait, DEADLINE)
        assert await append(store, job, text_deltas("a")) == 3
    assert not given_up.is_set()
    goes_on.set()
    await until(lambda: not any(thread.name == "bgstream-guard" for thread in set(threading.enumerate()) - before))


async def test_start_that_waits_for_lease_can_be_cancelled(database):
    async with serving(database, **on(NODE1)) as server:
        server.stop()
        store = SQLiteStore(database, server=HERE, **on(NODE2, watch=600.0))
        opening = asyncio.create_task(store.open())
        await until((folder_of(database) / f"{HERE}.lock").exists)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until(lambda: not (folder_of(database) / f"{HERE}.lock").exists())
        server.go_on()
        assert await server.ask("append") == "5"


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 2000,
        b'{"host": "h", "boot": "b", "token": "../../x"}',
        b'{"host": "h", "boot": "b", "token": "a\\u0000"}',
    ],
    ids=["too long", "a path", "a null byte"],
)
async def test_malformed_lease_is_taken_after_delay(database, content):
    folder_of(database).mkdir()
    (folder_of(database) / "lease").write_bytes(content)
    for _ in range(2):
        async with opened(database, **on(NODE1, **DEAD)) as store:
            await submit(store, "job-0001")


async def test_unreadable_lease_leaves_at_most_one_heartbeat_file(database):
    """As on a network where a new name is seen late."""
    folder_of(database).mkdir()
    (folder_of(database) / "lease").symlink_to("nowhere")
    start = asyncio.create_task(SQLiteStore(database, server=HERE, **on(NODE1)).open())
    await until((folder_of(database) / f"{HERE}.lock").exists)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await until(lambda: not (folder_of(database) / f"{HERE}.lock").exists())
    assert len(list(folder_of(database).glob("lease-*"))) <= 1


async def test_lease_is_renewed_while_writer_waits_for_lock(database):
    async with serving(database, **on(NODE1)) as frozen, opened(database, patience=30.0, **on(NODE1)) as store:
        frozen.say("freeze")
        await asyncio.to_thread(frozen.wait_until_stopped)
        waiting = asyncio.create_task(submit(store, "job-0001"))
        assert "still alive" in await refused(database, NODE2)
        assert not waiting.done()
        frozen.go_on()
        await waiting


async def test_start_from_other_host_name_in_own_namespace_is_refused(database, tmp_path):
    """A real other host name, as in another pod."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may take another host name")
    async with serving(database, journal="rollback", host="ada", inside=OTHER_POD) as server:
        with pytest.raises(UnavailableError, match="another machine, other-pod, that is still alive"):
            await SQLiteStore(database, server=HERE, journal="rollback", host="ada").open()
        assert await server.ask("append") == "5"


def test_heartbeat_is_written_in_place(tmp_path):
    """Another machine may see a new file under an old name only after a delay."""
    mine = Lease(tmp_path, tmp_path / "jobs", "a", machine=NODE1)
    assert mine.acquire(threading.Event()) is None
    (heartbeat,) = tmp_path.glob("lease-*")
    before = [(path.name, path.stat().st_ino, path.stat().st_size) for path in (heartbeat, tmp_path / "lease")]
    content = heartbeat.read_bytes()
    mine.renew()
    assert content != heartbeat.read_bytes()
    assert before == [(path.name, path.stat().st_ino, path.stat().st_size) for path in (heartbeat, tmp_path / "lease")]
    assert [size for _, _, size in before] == [lease.SIZE] * 2


def test_servers_of_one_machine_share_recreated_lease(tmp_path):
    """The folder was deleted, and a new server recreated it before the running one."""
    folder = tmp_path / "servers"
    folder.mkdir()
    first, second = (Lease(folder, tmp_path / "jobs", name, machine=NODE1) for name in "ab")
    first.acquire(threading.Event())
    shutil.rmtree(folder)
    folder.mkdir()
    second.acquire(threading.Event())
    first.check()
    (heartbeat,) = folder.glob("lease-*")
    before = heartbeat.read_bytes()
    first.renew()
    assert heartbeat.read_bytes() != before
    second.check()


async def test_refused_start_does_not_take_lease_of_faster_server(database, monkeypatch):
    make = database_file._make

    def make_and_be_overtaken(folder):
        ours = make(folder)
        monkeypatch.setattr(database_file, "_make", make)
        asyncio.run_coroutine_threadsafe(faster.open(), loop).result(DEADLINE)
        return ours

    loop = asyncio.get_running_loop()
    faster = SQLiteStore(database, server="faster", **on(NODE1))
    monkeypatch.setattr(database_file, "_make", make_and_be_overtaken)
    assert "still alive" in await refused(database, NODE2)
    assert (folder_of(database) / "lease").exists()
    await submit(faster, "job-0001")
    assert "still alive" in await refused(database, NODE2)
    await faster.close()


async def test_failed_start_releases_lease_at_once(database):
    async with opened(database, **on(NODE1)) as store:
        path = store.path
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 99")
        for _ in range(2):
            assert "newer jupyter_bgstream" in await refused(database, NODE1)
        db.execute(f"PRAGMA user_version = {version}")
    async with opened(database, **on(NODE2, **ENDLESS)) as store:
        await submit(store, "job-0001")
