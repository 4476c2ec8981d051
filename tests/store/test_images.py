"""The file of an image and its event are stored in one transaction."""

import os
import subprocess
import sys

import pytest
from store.contract.images import file_of, new_image
from store.database_files import limited_file, limited_pages, posix
from store.factories import OWNER, append, log_of, running, text_deltas
from store.serving import PACKAGE, opened

from jupyter_bgstream.core.errors import NotFoundError, UnavailableError

# Stores an image of three chunks, and stops in the transaction, before the query that is named.
HALF_WAY = """
import asyncio, sys
from pathlib import Path
from jupyter_bgstream.store.sqlite import SQLiteStore, job_writes as module
from store.contract.images import new_image
from store.factories import append, running, text_deltas

name, left = sys.argv[2], int(sys.argv[3])
do = module.Transaction._do

def stop(transaction, query, /, **values):
    global left
    if query == name:
        left -= 1
        if left == 0:
            print("half-way", flush=True)
            sys.stdin.read()
    return do(transaction, query, **values)

async def main():
    store = SQLiteStore(Path(sys.argv[1]), server="two")
    await store.open()
    job = await running(store)
    await append(store, job, text_deltas("before"))
    module.Transaction._do = stop
    image, file = new_image("1-1", 600_000)
    await append(store, job, [*text_deltas("(Picture 1)"), image], files={"1-1": file})

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("query", "call"),
    [("insert_image", 1), ("insert_image_chunk", 1), ("insert_image_chunk", 3), ("grow_job", 1), ("set_revision", 1)],
)
async def test_server_killed_during_append_leaves_neither_event_nor_file(database, query, call):
    command = [sys.executable, "-c", HALF_WAY, str(database), query, str(call)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join((str(PACKAGE), str(PACKAGE / "tests")))}
    with subprocess.Popen(  # noqa: ASYNC220
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as server:
        assert server.stdout.readline() == "half-way\n"
        server.kill()
    async with opened(database) as store:
        assert [event.seq for event in await log_of(store)] == [1, 2, 3]
        with pytest.raises(NotFoundError):
            await store.image(OWNER, "job-0001", "1-1")
        reader = store._parts.readers
        for table in ("images", "image_chunks"):
            rows = await reader.run(lambda db, table=table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            assert rows == 0


@posix
@pytest.mark.parametrize("trouble", [limited_file, limited_pages])
async def test_full_disk_stores_neither_event_nor_file(database, trouble):
    async with opened(database) as store:
        job = await running(store)
        image, file = new_image("1-1", 3_000_000)
        with trouble(store, database), pytest.raises(UnavailableError):
            await append(store, job, [*text_deltas("(Picture 1)"), image], files={"1-1": file})
        with pytest.raises(NotFoundError):
            await store.image(OWNER, job.id, "1-1")
        assert await append(store, job, [*text_deltas("(Picture 1)"), image], files={"1-1": file}) == 4
        assert await file_of(store, await store.image(OWNER, job.id, "1-1")) == file


async def test_image_is_readable_after_restart(database):
    image, file = new_image("1-1", 600_000)
    async with opened(database) as store:
        job = await running(store)
        await append(store, job, [image], files={"1-1": file})
    async with opened(database, "server-next") as store:
        assert await file_of(store, await store.image(OWNER, job.id, "1-1")) == file
