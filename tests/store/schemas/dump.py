"""Writes the dump of today's schema, with jobs of every kind: ``python tests/store/schemas/dump.py``.

Run it before a new migration is added. Released files are then never written again: ``<version>.sql`` is the database,
``<version>.json`` the contents as that version read them, ``<version>.ipynb`` a notebook that it saved.
"""

import asyncio
import sqlite3
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from jupyter_bgstream.cli.fill.answer_sources import DatabaseSource
from jupyter_bgstream.client.widgets.batch import BatchWidget
from jupyter_bgstream.client.widgets.job import JobWidget
from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.errors import NotFoundError
from jupyter_bgstream.core.events import (
    Attempt,
    Cancelled,
    Citation,
    Completed,
    Delta,
    Failed,
    Image,
    Interrupted,
    ToolCall,
    Usage,
    Waiting,
)
from jupyter_bgstream.core.job import JobSource, JobSpec, StoredPriority
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.notices import Mute
from jupyter_bgstream.outputs.batch import batch_bundle
from jupyter_bgstream.outputs.mimebundle import OutputSnapshot, bundle, bundle_of_several
from jupyter_bgstream.store.port_values import JobFilter
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.store.sqlite.sql_files import migrations

sys.path.insert(0, str(Path(__file__).parents[2]))
from store.factories import ALL, ROOM, append, new_job

FOLDER = Path(__file__).parent
OWNERS = ("ada", "grace")
VIEWERS = ("", "eve")
ENDS = {
    "completed": Completed(at=50.0, finish_reason="stop"),
    "failed": Failed(at=51.0, code="rate_limited", message="The provider has had enough."),
    "cancelled": Cancelled(at=52.0),
    "interrupted": Interrupted(at=53.0, code="server_died", message="The server died."),
    "deleted": Completed(at=54.0, finish_reason="length"),
}
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SAID = [
    Delta(channel="reasoning", text="Light … "),
    Delta(channel="text", text="Der Himmel ist blau 🌤, weil\n„kurze Wellen“ "),
    Delta(channel="text", text="\u2028gestreut\x00 werden."),
    Citation(url="https://example.org/sky", title="Rayleigh"),
    ToolCall(id="call-1", name="look_up", arguments='{"of": "sky"}'),
    Usage(input_tokens=10, output_tokens=20, cached_tokens=5, reasoning_tokens=3),
]


async def fill(store):
    """Play a life of many kinds of jobs."""
    for n, name in enumerate((*ENDS, "running", "waiting", "queued")):
        job_id = f"job-{name}"
        spec = JobSpec(
            model="open/small",
            messages=(Message(role="system", content="Be brief."), Message(role="user", content="Why? 🌤")),
            params={"temperature": 0.5, "stop": ["x", None]},
            thread="sky" if n % 2 else None,
            title="Why?",
            tags=("a", "b") if n % 2 else (),
            batch="g" if n % 3 else None,
            priority=StoredPriority.bulk if n % 3 else StoredPriority.interactive,
            source=JobSource(notebook="sky.ipynb", cell=f"cell-{n}"),
            on_restart="retry" if n % 2 else "interrupt",
        )
        old = "job-completed" if name == "interrupted" else None
        submitter = "eve" if n % 2 else None
        await store.submit(
            new_job(
                job_id,
                log=f"{n:08x}",
                spec=spec,
                server="server-old",
                created_at=10.0 + n,
                retry_of=old,
                submitted_by=submitter,
            ),
            max_queued=99,
        )
        if name == "queued":
            continue
        (job,) = await store.claim(server="server-old", owner=None, room=ROOM, limit=1, at=20.0 + n)
        job = await store.set_history(job, (Message(role="user", content="Before?"),))
        for event in SAID:
            await append(store, job, [event], preview="Der Himmel")
        await append(store, job, SAID[:3] * 5)
        if name == "waiting":
            waiting = Waiting(at=40.0, until=4e9, code="rate_limited", message="Later.")
            await append(store, job, [waiting])
        if name == "completed":
            await append(store, job, [Attempt(at=45.0, reason="retry"), Delta(channel="text", text="Again.")])
        if name == "failed":
            image = Image(id="1-1", media_type="image/png", bytes=len(IMAGE))
            await append(store, job, [image], files={"1-1": IMAGE})
        if name in ENDS:
            await store.end(job.owner, job.id, ENDS[name])
    await store.submit(new_job("job-of-grace", log="f" * 8, owner="grace", server="server-old"), max_queued=9)
    batch = Batch(spec=BatchSpec(id="group-0001", total=2, title="Two"), owner="ada", total=2, created_at=30.0)
    member = new_job("job-of-group", log="e" * 8, batch="group-0001", server="server-old")
    await store.submit_batch(batch, [member], max_queued=99)
    await store.mute("ada", "", Mute(kind="notebook", name="sky.ipynb"), on=True)
    notices = {notice.job: notice for notice in await store.notices("ada", "")}
    await store.mark_read("ada", "", ids=[notices["job-completed"].id], at=60.0)
    await store.dismiss("ada", "eve", notices["job-failed"].id, at=60.0)
    await store.delete("ada", "job-deleted")


async def read(store):
    """Return all that can be read, as JSON has it."""
    found = {}
    for owner in OWNERS:
        listed, _ = await store.jobs(owner, JobFilter(limit=500))
        jobs = [await store.job(owner, job.id) for job in listed]
        found[owner] = {
            "counts": await store.counts(owner),
            "jobs": jobs,
            "logs": [[event.decode() for event in await store.events(job, after=0, max_bytes=ALL)] for job in jobs],
            "notices": {viewer: await store.notices(owner, viewer) for viewer in VIEWERS},
            "mutes": await store.mutes(owner, ""),
            "threads": [job.id for job in (await store.jobs(owner, JobFilter(thread="sky")))[0]],
        }
    with suppress(NotFoundError):  # of version 1, which knew no groups
        found["ada"]["group"] = await store.batch("ada", "group-0001")
    with suppress(NotFoundError):  # of versions before images
        found["ada"]["image"] = await DatabaseSource(store, "ada").image("job-failed", "1-1")
    return msgspec.to_builtins(found)


async def saved_notebook(store):
    """Return a notebook with the outputs of ended jobs and a batch, and the states of two widgets."""
    source = DatabaseSource(store, "ada")
    jobs = []
    for name in ("failed", "cancelled", "interrupted"):
        cursor, answer = await source.answer(f"job-{name}")
        files = {image.id: await source.image(f"job-{name}", image.id) for image in answer.images}
        jobs.append(OutputSnapshot(f"job-{name}", "open/small", cursor, answer, files))
    batch = await source.batch("group-0001")
    outputs = [*map(bundle, jobs), bundle_of_several(jobs)]
    outputs.append(batch_bundle(batch))
    cells = [new_code_cell("%%bg", outputs=[new_output("display_data", data)]) for data in outputs]
    widgets = {"job": (JobWidget, "job-failed"), "batch": (BatchWidget, batch.id)}
    states = {kind: {"state": _state(cls) | {"kind": kind, "id": id}} for kind, (cls, id) in widgets.items()}
    mime = "application/vnd.jupyter.widget-state+json"
    return new_notebook(cells=cells, metadata={"widgets": {mime: {"state": states}}})


def _state(widget):
    return {name: None for name in sorted(widget.class_traits(sync=True)) if not name.startswith("_")}


async def main():
    version = len(migrations())
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "jobs.sqlite"
        store = SQLiteStore(database, server="server-old")
        await store.open()
        await fill(store)
        found = await read(store)
        nbformat.write(await saved_notebook(store), FOLDER / f"{version}.ipynb")
        await store.close()
        with closing(sqlite3.connect(database)) as db:
            (FOLDER / f"{version}.sql").write_text("\n".join(db.iterdump()) + "\n", "utf-8")
    (FOLDER / f"{version}.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    asyncio.run(main())
