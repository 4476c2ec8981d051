"""Full and read-only disks are reported, lose nothing and are used again afterwards."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from store.database_files import limited_file, limited_pages, posix, read_only, refused
from store.factories import DONE, OWNER, append, ids_of, log_of, running, submit, text_deltas
from store.serving import opened

from jupyter_bgstream.core.errors import UnavailableError


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
