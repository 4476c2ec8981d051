"""How many events a second the SQLite store takes, beside the floor in the same run.

    python -m benchmarks.store [seconds per row] [--full]

The floor is what SQLite itself can do here: one thread, one connection, executemany of ready-made rows, one row per
event and as many per transaction, one transaction after the other. The store does more (checks fences, numbers and
encodes events, updates jobs, tells followers, leaves the lock free for others) and stores fewer rows (one per append).
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from jupyter_bgstream.core.codec import encode, stamped
from jupyter_bgstream.core.cursor import new_log
from jupyter_bgstream.core.events import Delta
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.port_values import Append, Capacity
from jupyter_bgstream.store.sqlite import SQLiteStore

WRITERS = 20
ROOM = Capacity(running=1000, bulk=1000, owner=1000)
BATCHES = (1, 5, 10, 20, 50, 200)  # events per append
EVENT = Delta(channel="text", text=" some words of an answer")


def floor(path: Path, *, rows: int, seconds: float, full: bool) -> float:
    """Return events per second of bare executemany, ``rows`` per transaction."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
    db.execute("CREATE TABLE events (n INTEGER PRIMARY KEY, job INTEGER, seq INTEGER, body BLOB)")
    body = stamped(encode(EVENT), seq=1000, attempt=1)
    ready = [(n % WRITERS, n, body) for n in range(rows)]
    began, done = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events (job, seq, body) VALUES (?, ?, ?)", ready)
        db.execute("COMMIT")
        done += rows
    took = time.perf_counter() - began
    db.close()
    return done / took


async def store(path: Path, *, batch: int, seconds: float, full: bool) -> tuple[float, float]:
    """Return events and appends per second of WRITERS jobs, each with one append under way at a time."""
    here = SQLiteStore(path, server="bench", full=full)
    await here.open()
    spec = JobSpec(model="open/small", messages=(Message(role="user", content="Why is the sky blue?"),))
    for n in range(WRITERS):
        job = Job(id=f"job-{n:04}", owner="a", log=new_log(), spec=spec, status="new", server="bench", created_at=1.0)
        await here.submit(job, max_queued=WRITERS)
    jobs = await here.claim(server="bench", owner=None, room=ROOM, limit=WRITERS, at=2.0)
    events = [EVENT] * batch
    appends = 0

    async def follow() -> None:
        async for _ in here.changes():
            pass

    async def write(job: Job) -> None:
        nonlocal appends
        while time.perf_counter() < began + seconds:
            await here.append([Append(job=job, events=events)])
            appends += 1

    follower = asyncio.create_task(follow())
    began = time.perf_counter()
    await asyncio.gather(*(write(job) for job in jobs))
    took = time.perf_counter() - began
    await here.close()
    await follower
    return appends * batch / took, appends / took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float, nargs="?", default=2.0)
    parser.add_argument("--full", action="store_true", help="sync every commit to disk")
    arguments = parser.parse_args()
    print(f"{WRITERS} writers, SQLite {sqlite3.sqlite_version}, synchronous={'FULL' if arguments.full else 'NORMAL'}")
    print(f"{'events/append':>13} {'store events/s':>15} {'appends/s':>10} {'floor rows/s':>13} {'store/floor':>11}")
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as folder:
            options = {"seconds": arguments.seconds, "full": arguments.full}
            bare = floor(Path(folder) / "floor.sqlite", rows=WRITERS * batch, **options)
            events, appends = asyncio.run(store(Path(folder) / "store.sqlite", batch=batch, **options))
        print(f"{batch:>13} {events:>15,.0f} {appends:>10,.0f} {bare:>13,.0f} {events / bare:>11.2f}")


if __name__ == "__main__":
    main()
