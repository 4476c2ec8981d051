"""Databases of every released version are opened and migrated without loss."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from store.factories import DONE, OWNER, ROOM, append, ids_of, log_of, submit, text_deltas
from store.schemas import dump
from store.serving import PACKAGE, opened

from jupyter_bgstream.cli.fill.answer_sources import DatabaseSource
from jupyter_bgstream.cli.fill.lookup import Lookup
from jupyter_bgstream.cli.fill.outputs import job_outputs, refreshed
from jupyter_bgstream.client.widgets.batch import BatchWidget
from jupyter_bgstream.client.widgets.job import JobWidget
from jupyter_bgstream.core.codec import BUNDLE_MIME, decode_events
from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.port_values import JobFilter
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.store.sqlite.sql_files import migrations

SCHEMAS = Path(dump.__file__).parent
VERSIONS = sorted(int(path.stem) for path in SCHEMAS.glob("*.sql"))
NOTEBOOKS = sorted(int(path.stem) for path in SCHEMAS.glob("*.ipynb"))  # every version from 10 on
OLD = "server-old"

# Opens the database with one more migration, which stops half-way and says so.
HALF_WAY = """
import asyncio, sys
from pathlib import Path
from jupyter_bgstream.store.sqlite import SQLiteStore, connection

def half():
    yield "DELETE FROM events"
    yield "ALTER TABLE jobs ADD COLUMN more"
    print("half-way", flush=True)
    sys.stdin.read()

steps = [*connection.migrations(), half()]
connection.migrations = lambda: steps
asyncio.run(SQLiteStore(Path(sys.argv[1]), server="two").open())
"""


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def released(database, version):
    """A database as that version has left it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.executescript((SCHEMAS / f"{version}.sql").read_text("utf-8"))
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("PRAGMA journal_mode = WAL")
    return database


@pytest.fixture
def found_then(version):
    """What that version itself read in it."""
    return json.loads((SCHEMAS / f"{version}.json").read_text("utf-8"))


def assert_nothing_lost(now, then):
    """All that was there is there as it was; later versions may know more of it."""
    if isinstance(then, dict):
        for key, value in then.items():
            assert_nothing_lost(now[key], value)
    elif isinstance(then, list):
        assert len(now) == len(then)
        for one, other in zip(now, then, strict=True):
            assert_nothing_lost(one, other)
    else:
        assert now == then


def test_every_schema_before_newest_has_dump():
    """Run tests/store/schemas/dump.py before a migration is added."""
    assert set(range(1, len(migrations()))) <= set(VERSIONS)
    assert set(range(10, len(migrations()))) <= set(NOTEBOOKS)
    assert VERSIONS


async def test_migration_keeps_all_data(released, found_then):
    async with opened(released) as store:
        assert_nothing_lost(await dump.read(store), found_then)
        assert store.warnings == ()
    # A dump that has little in it would prove little.
    jobs = [job for owner in found_then.values() for job in owner["jobs"]]
    logs = {
        job["id"]: log for owner in found_then.values() for job, log in zip(owner["jobs"], owner["logs"], strict=True)
    }
    states = {"queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"}
    assert {job["status"] for job in jobs} == states
    assert "Der Himmel ist blau 🌤" in fold(decode_events(map(str.encode, logs["job-running"]))).text
    read_by = found_then[OWNER]["notices"]
    assert [notice["read_at"] for notice in read_by[""]] == [None, None, 60.0]
    assert len(read_by["eve"]) == 2


@pytest.mark.parametrize("version", NOTEBOOKS, indirect=True)
async def test_saved_notebook_has_same_answers(released, version):
    outputs = list(job_outputs(nbformat.read(SCHEMAS / f"{version}.ipynb", as_version=4)))
    saved = [dict(data) for data in outputs]
    assert len(saved) == 5
    assert "data:image/png" in saved[0]["text/markdown"]
    for data in outputs:  # as if it had been saved before the end
        data["text/markdown"] = data["text/plain"] = "*Running…*"
        if BUNDLE_MIME in data:
            data[BUNDLE_MIME] = data[BUNDLE_MIME] | {"status": "running", "cursor": "-1"}
    async with opened(released) as store:

        async def source():
            return DatabaseSource(store, OWNER)

        known = await Lookup(None, source).look(outputs)
    assert known.unknown == set()
    assert [data | refreshed(data, known) for data in outputs] == saved


@pytest.mark.parametrize("version", NOTEBOOKS)
def test_saved_widgets_have_known_traits(version):
    (states,) = nbformat.read(SCHEMAS / f"{version}.ipynb", as_version=4).metadata.widgets.values()
    for kind, widget in (("job", JobWidget), ("batch", BatchWidget)):
        state = states["state"][kind]["state"]
        assert state["kind"] == kind
        assert state.keys() <= widget.class_traits(sync=True).keys()


async def test_migrated_database_accepts_all_writes(released):
    async with opened(released, missing=0.0) as store:
        job = await store.job(OWNER, "job-running")
        assert await append(store, job, text_deltas("more")) == job.seq + 1
        await store.end(OWNER, job.id, DONE)
        assert fold(await log_of(store, job.id)).text.endswith("gestreut\x00 werden.more")
        claimed = await store.claim(server=OLD, owner=None, room=ROOM, limit=9, at=90.0)
        assert "job-of-grace" in [job.id for job in claimed]
        await store.end(OWNER, "job-waiting", dump.ENDS["failed"])
        await store.end(OWNER, "job-queued", dump.ENDS["failed"])
        assert len(await store.notices(OWNER, "")) == 6
        await store.delete(OWNER, "job-completed")
        await submit(store, "job-0001")
        assert {job.id for job in await store.abandoned_jobs(owner=None, limit=99)} >= {"job-of-grace"}


@pytest.mark.parametrize("version", [each for each in VERSIONS if each < 8], indirect=True)
async def test_jobs_older_than_submitted_by_have_no_submitter(released):
    async with opened(released) as store:
        jobs, _ = await store.jobs(OWNER, JobFilter())
        assert {job.submitted_by for job in jobs} == {None}
        (sums,) = await store.costs(OWNER, "submitted_by")
        assert (sums.key, sums.jobs) == (None, sum(each.jobs for each in await store.costs(OWNER, "model")))
        await submit(store, "job-0001", submitted_by="eve")
        assert await ids_of(store, submitted_by="eve") == ["job-0001"]


async def test_servers_starting_together_migrate_once(released, found_then):
    stores = [SQLiteStore(released, server=f"server-{n}") for n in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        assert_nothing_lost(await dump.read(store), found_then)
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
async def test_kill_during_migration_changes_nothing(released, found_then):
    command = [sys.executable, "-c", HALF_WAY, released]
    environ = os.environ | {"PYTHONPATH": str(PACKAGE)}
    with subprocess.Popen(  # noqa: ASYNC220
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as server:
        assert server.stdout.readline() == "half-way\n"
        server.kill()
    async with opened(released) as store:
        assert_nothing_lost(await dump.read(store), found_then)
    with closing(sqlite3.connect(released)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(migrations()),)


async def test_failed_migration_changes_nothing(released, found_then, monkeypatch):
    steps = [*migrations(), ["DELETE FROM events", "SELECT no_such_column"]]
    with monkeypatch.context() as patch:
        patch.setattr("jupyter_bgstream.store.sqlite.connection.migrations", lambda: steps)
        with pytest.raises(UnavailableError, match="no_such_column"):
            await SQLiteStore(released, server="one").open()
    async with opened(released) as store:
        assert_nothing_lost(await dump.read(store), found_then)


async def test_database_of_running_server_is_not_migrated(database, monkeypatch):
    async with opened(database) as store:
        await submit(store, "job-0001")
        steps = [*migrations(), ["ALTER TABLE jobs ADD COLUMN more"]]
        monkeypatch.setattr("jupyter_bgstream.store.sqlite.connection.migrations", lambda: steps)
        with pytest.raises(UnavailableError, match="stop that server"):
            await SQLiteStore(database, server="two").open()
        assert (await store.job(OWNER, "job-0001")).status == "queued"
    async with opened(database, "two"):
        pass
