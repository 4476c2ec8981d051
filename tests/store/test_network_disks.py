"""Databases on network disks: detection, one file for each host, and the rollback journal."""

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path, PureWindowsPath

import pytest
from store.database_files import posix, refused
from store.factories import ALL, OWNER, append, ids_of, log_of, running, submit, text_deltas
from store.serving import DEADLINE, opened

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.store.sqlite import connection as database_module
from jupyter_bgstream.store.sqlite import network_filesystem
from jupyter_bgstream.store.sqlite.database_file import default_host
from jupyter_bgstream.store.sqlite.network_filesystem import is_shared, type_of

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
