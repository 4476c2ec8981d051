"""The file of the database: network disks, full and read-only disks, damage."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, contextmanager
from pathlib import Path, PureWindowsPath

import pytest
from store.factories import ALL, DONE, HERE, OWNER, append, ids_of, log_of, running, submit, text_deltas
from store.serving import DEADLINE, opened, serving
from store.test_lost_locks import until

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import SQLiteStore, network_filesystem, open_database
from jupyter_bgstream.store.sqlite import connection as database_module
from jupyter_bgstream.store.sqlite.connection import check
from jupyter_bgstream.store.sqlite.network_filesystem import is_shared, type_of
from jupyter_bgstream.store.sqlite.open_database import default_host

if sys.platform != "win32":
    import resource

posix = pytest.mark.skipif(sys.platform == "win32", reason="limits, modes and signals are POSIX")


async def refused(path, **options):
    with pytest.raises(UnavailableError) as caught:
        await SQLiteStore(path, server=HERE, **options).open()
    return caught.value.message


def kept_aside(path):
    """The databases kept aside, without their logs."""
    return sorted(path.parent.glob(f"{path.name}.corrupt-*Z"))


# Network file systems

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 0:40 / /home rw,relatime shared:2 - autofs systemd-1 rw,fd=51
41 40 0:41 / /home rw,relatime shared:3 master:1 - nfs4 server:/export/home rw,vers=4.2
42 41 0:42 / /home/ada/with\040space rw - tmpfs tmpfs rw
43 27 0:43 / /home2 rw - fuse.sshfs ada@there: rw
a line of another kind
44 27 0:44 / /mnt/disk rw - fuseblk /dev/sdb1 rw
45 27 0:45 / /mnt/gone rw - nfs a:/b rw
46 45 0:46 / /mnt/gone rw - xfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "shared"),
    [
        ("/var/lib", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/ada/.local", "nfs4", True),
        ("/home/ada/with space/x", "tmpfs", False),
        ("/home2/x", "fuse.sshfs", True),
        ("/home20", "ext4", False),
        ("/mnt/disk/x", "fuseblk", False),
        ("/mnt/gone", "xfs", False),
    ],
)
def test_nearest_and_newest_mount_determines_file_system(folder, kind, shared):
    found = type_of(Path(folder), MOUNTS)
    assert (found, is_shared(found)) == (kind, shared)


@pytest.mark.parametrize("kind", ["nfs", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "virtiofs"])
def test_network_file_system_is_shared(kind):
    assert is_shared(kind)
    assert is_shared(f"fuse.{kind}")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuse.gocryptfs"])
def test_local_file_system_is_not_shared(kind):
    assert not is_shared(kind)


def test_windows_share_is_shared():
    class Folder(PureWindowsPath):
        def resolve(self):
            return self

    assert network_filesystem.network_file_system(Folder(r"\\server\home\ada")) == "smb"


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A folder that this machine's list of mounts tells to be on a network disk."""
    mounts = tmp_path / "mountinfo"
    folder = tmp_path / "home"
    folder.mkdir()
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {folder} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(network_filesystem, "MOUNTS", mounts)
    return folder


async def test_each_host_has_own_file_on_network_disk(network):
    path = network / "jobs.sqlite"
    async with opened(path, host="node1") as one, opened(path, "server-two", host="node/2") as two:
        await submit(one, "job-0001")
        await submit(two, "job-0002")
        assert (await ids_of(one), await ids_of(two)) == (["job-0001"], ["job-0002"])
        assert one.warnings == ()
        (warning,) = two.warnings
        assert "earlier jobs are in jobs.node1.sqlite" in warning
    assert sorted(entry.name for entry in network.glob("*.sqlite")) == [
        "jobs.node%2F2.sqlite",
        "jobs.node1.sqlite",
    ]
    async with opened(path, host="node/2") as two:
        assert two.warnings == ()
    with closing(sqlite3.connect(network / "jobs.node1.sqlite")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # of a new connection; never wal


async def test_earlier_database_named_after_machine_is_offered_until_there_are_jobs(network, monkeypatch):
    path = network / "jobs.sqlite"
    before = path.with_name(f"jobs.{socket.gethostname()}.sqlite")
    async with opened(path) as store:
        assert store.path == before
        await submit(store, "job-0001")
    monkeypatch.setenv("JUPYTERHUB_USER", "ada@example.org")
    for _ in range(2):
        async with opened(path) as store:
            assert store.path == path.with_name("jobs.ada%40example.org.sqlite")
            (warning,) = store.warnings
            assert f"earlier jobs are in {before.name} (under this machine's name)" in warning
            assert f"rename that file to {store.path.name}" in warning
    monkeypatch.setenv("JUPYTERHUB_SERVER_NAME", "gpu")
    async with opened(path) as store:
        assert store.path == path.with_name("jobs.ada%40example.org~gpu.sqlite")
        await submit(store, "job-0001")
    async with opened(path) as store:
        assert store.warnings == ()
    assert default_host({"JUPYTERHUB_USER": "a~b"}) != default_host(
        {"JUPYTERHUB_USER": "a", "JUPYTERHUB_SERVER_NAME": "b"}
    )


async def test_rollback_journal_is_used_without_shared_memory(database, monkeypatch):
    connect = database_module.sqlite3.connect

    def without_memory(database, **options):
        return connect(f"{database}&vfs=unix-dotfile", **options)

    monkeypatch.setattr(database_module.sqlite3, "connect", without_memory)
    async with opened(database, host="here") as store:
        await submit(store, "job-0001")
    assert database.with_name("jobs.here.sqlite").exists()
    assert "put it on a local disk" in await refused(database, journal="wal")


async def test_rollback_journal_is_always_synced(database):
    async with opened(database, journal="rollback", host="here") as store:
        job = await running(store)
        statements = []
        store._parts.writer._db.set_trace_callback(statements.append)
        await append(store, job, text_deltas("a"))
        assert not [statement for statement in statements if "NORMAL" in statement]
        assert store._parts.writer._db.execute("PRAGMA synchronous").fetchone()[0] == 2


async def test_reader_delays_commit_without_failing_it(database):
    path = database.with_name("jobs.here.sqlite")
    async with opened(database, journal="rollback", host="here") as store:
        job = await running(store)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM jobs").fetchall()
            write = asyncio.create_task(append(store, job, text_deltas("a")))
            done, _ = await asyncio.wait([write], timeout=0.2)
            assert not done
            reader.execute("ROLLBACK")
            assert await asyncio.wait_for(write, DEADLINE) == 3
            store.patience = 0.05
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM jobs").fetchall()
            with pytest.raises(UnavailableError, match="locked"):
                await append(store, job, text_deltas("b"))
            reader.execute("ROLLBACK")
        assert await append(store, job, text_deltas("c")) == 4
        assert [event.text for event in await log_of(store, after=2)] == ["a", "c"]


# Writes so much in one transaction that it reaches the file before the commit, and then waits to be killed.
SPILL = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 5")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE jobs SET preview = 'wrong'")
db.execute("UPDATE events SET body = zeroblob(length(body))")
print("written", flush=True)
sys.stdin.read()
"""


@posix
async def test_half_written_transaction_of_killed_server_is_rolled_back(database):
    path = database.with_name("jobs.here.sqlite")
    async with opened(database, journal="rollback", host="here") as store:
        job = await running(store)
        for _ in range(20):
            await append(store, job, text_deltas("x" * 10_000))
        before = await store.events(job, after=0, max_bytes=ALL)
        with subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", SPILL, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout.readline() == "written\n"
            # Now: as soon as the other is dead, a read may roll it back.
            assert path.with_name(path.name + "-journal").stat().st_size > 100_000
            reads = [asyncio.create_task(store.events(job, after=0, max_bytes=ALL)) for _ in range(4)]
            await asyncio.wait(reads, timeout=0.05)
            other.send_signal(signal.SIGKILL)
        assert [await read for read in reads] == [before] * 4
        assert await append(store, job, text_deltas("y")) == 23
        assert (await store.job(OWNER, job.id)).preview == ""


# Full and read-only disks


@contextmanager
def limited_file(store, path):
    """Let no file of this process grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [part.stat().st_size for part in path.parent.glob(path.name + "*") if part.is_file()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def limited_pages(store, path):
    """Let SQLite find the disk full."""
    db = store._parts.writer._db  # idle meanwhile
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (before,) = db.execute("PRAGMA max_page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA max_page_count = {before}")


@contextmanager
def read_only(store, path):
    """Let SQLite find the file read-only."""
    db = store._parts.writer._db
    db.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        db.execute("PRAGMA query_only = OFF")


@posix
@pytest.mark.parametrize(
    ("trouble", "sentence"), [(limited_file, "refuses"), (limited_pages, "is full"), (read_only, "is read-only")]
)
async def test_disk_error_loses_nothing_and_store_works_again_afterwards(database, journal, trouble, sentence):
    path = database.with_name("jobs.here.sqlite") if journal == "rollback" else database
    async with opened(database, journal=journal, host="here") as store:
        job = await running(store)
        assert await append(store, job, text_deltas("before")) == 3
        with trouble(store, path):
            writes = [append(store, job, text_deltas("x" * 3_000_000)), store.end(OWNER, job.id, DONE)]
            for error in await asyncio.gather(*writes, return_exceptions=True):
                assert isinstance(error, UnavailableError)
                assert error.code == "unavailable"
                assert error.message.startswith("The store cannot be written: ")
                assert sentence in error.message
                assert "No restart is needed then." in error.message
            with pytest.raises(UnavailableError):
                await append(store, job, text_deltas("y" * 3_000_000))
            assert (await store.job(OWNER, job.id)).status == "running"
            assert len(await log_of(store)) == 3
        assert await append(store, job, text_deltas("after")) == 4
        await store.end(OWNER, job.id, DONE)
        assert [event.seq for event in await log_of(store)] == [1, 2, 3, 4, 5]
        assert store.warnings == ()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def plain_folder():
    """A folder of somebody who is not root, who we then are: root may write where modes forbid it."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for entry in (folder, *folder.rglob("*")):
            entry.chmod(0o700)
        shutil.rmtree(folder)


@posix
async def test_read_only_folder_is_reported(plain_folder):
    plain_folder.chmod(0o500)
    for path in (plain_folder / "jobs.sqlite", plain_folder / "deeper" / "jobs.sqlite"):
        assert "Permission denied" in await refused(path)
    assert list(plain_folder.iterdir()) == []


@posix
async def test_read_only_file_is_reported_and_then_works_again(plain_folder, journal):
    path = plain_folder / "jobs.sqlite"
    async with opened(path, journal=journal) as store:
        await submit(store, "job-0001")
    (file,) = plain_folder.glob("*.sqlite")
    file.chmod(0o400)
    assert "read-only" in await refused(path, journal=journal)
    file.chmod(0o600)
    async with opened(path, journal=journal) as store:
        assert await ids_of(store) == ["job-0001"]


@posix
async def test_unsearchable_folder_does_not_stop_open_store(plain_folder):
    """The files are open and still have their names."""
    async with opened(plain_folder / "jobs.sqlite") as store:
        job = await running(store)
        plain_folder.chmod(0o000)
        assert await append(store, job, text_deltas("on")) == 3
        plain_folder.chmod(0o700)
        assert store.warnings == ()


# Damage


async def filled(path, **options):
    """Write a database of some pages and close it."""
    async with opened(path, **options) as store:
        job = await running(store)
        for n in range(50):
            await append(store, job, text_deltas(f"{n} " * 2000))
    return job


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
        (aside,) = kept_aside(database)
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
        assert len(kept_aside(path)) == len(store.warnings) == 1


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
        assert len(kept_aside(database)) == len(store.warnings) == 1


async def test_servers_starting_together_rename_damaged_file_once(database):
    await filled(database)
    overwrite(database, 0, 4096)
    stores = [SQLiteStore(database, server=f"server-{n}") for n in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(submit(store, f"job-{n:04}") for n, store in enumerate(stores)))
    assert [len(await ids_of(store)) for store in stores] == [3, 3, 3]
    assert [len(store.warnings) for store in stores] == [1, 1, 1]
    assert len(kept_aside(database)) == 1
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
        patch.setattr(open_database, "check", lambda db, *, seconds: None)
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
    assert len(kept_aside(database)) == 1
    assert [path.name for path in database.with_name("jobs.sqlite.servers").iterdir()] == [f"{HERE}.lock"]


async def test_false_alarm_is_cleared_after_whole_check(database):
    await filled(database)
    mark = database.with_name("jobs.sqlite.servers") / open_database.MARK
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
        assert (path.read_text(), kept_aside(path), folder.exists()) == ("Chapter 1", [], False)


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
