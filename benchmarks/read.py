"""How long reading a whole log takes, loose, joined and compressed; and what joining it costs.

    python -m benchmarks.read [events]

The floor is the same bytes in one row of a bare table, read and split at its newlines.
"""

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from jupyter_bgstream.core.cursor import new_log
from jupyter_bgstream.core.events import Completed, Delta
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.port_values import Append, Capacity
from jupyter_bgstream.store.ports.logs import append_one
from jupyter_bgstream.store.sqlite import SQLiteStore

WORDS = Path(__file__).parents[1].joinpath("docs/explanation/architecture.md").read_text().split()
ROUNDS = 15
PAGE = 1 << 30  # bytes


async def best(read: Callable[[], Awaitable[list[bytes]]]) -> float:
    """Return the median of some rounds, in ms."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await read()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def bytes_of_logs(path: Path) -> tuple[int, int]:
    with sqlite3.connect(path) as db:
        return tuple(db.execute("SELECT count(*), sum(length(body)) FROM events").fetchone())


async def measure(path: Path, events: int) -> None:
    store = SQLiteStore(path, server="bench")
    await store.open()
    spec = JobSpec(model="open/small", messages=(Message(role="user", content="Why is the sky blue?"),))
    job = Job(id="job-0001", owner="a", log=new_log(), spec=spec, status="new", server="bench", created_at=1.0)
    await store.submit(job, max_queued=1)
    (job,) = await store.claim(server="bench", owner=None, room=Capacity(running=1, bulk=1, owner=1), limit=1, at=2.0)
    # One row per delta, as from a slow model. All at once, so that many rows share a commit.
    deltas = (Delta(channel="text", text=f" {WORDS[n * 7919 % len(WORDS)]}") for n in range(events))
    await asyncio.gather(*(append_one(store, Append(job=job, events=[delta])) for delta in deltas))
    await store.end("a", job.id, Completed(at=3.0, finish_reason="stop"))

    async def read() -> list[bytes]:
        return await store.events(job, after=0, max_bytes=PAGE)

    async def tail() -> list[bytes]:
        return await store.events(job, after=events, max_bytes=PAGE)

    log = await read()
    loose = await best(read), await best(tail), *bytes_of_logs(path)
    steps, began = [], time.perf_counter()
    while True:
        step = time.perf_counter()
        if not await store.compact():
            break
        steps.append((time.perf_counter() - step) * 1000)
    took = time.perf_counter() - began
    packed = await best(read), await best(tail), *bytes_of_logs(path)
    assert await read() == log
    await store.close()

    bare = sqlite3.connect(path.with_name("floor.sqlite"))
    bare.execute("CREATE TABLE one (body BLOB)")
    bare.execute("INSERT INTO one VALUES (?)", [b"\n".join(log)])

    async def floor() -> list[bytes]:
        return bare.execute("SELECT body FROM one").fetchone()[0].split(b"\n")

    print(f"a log of {len(log):,} events, SQLite {sqlite3.sqlite_version}")
    print(f"{'':>24} {'whole log':>10} {'the end':>9} {'rows':>7} {'bytes':>11}")
    for name, (whole, end, rows, size) in {"a row per delta": loose, "joined, compressed": packed}.items():
        print(f"{name:>24} {whole:>7.1f} ms {end:>6.2f} ms {rows:>7,} {size:>11,}")
    print(f"{'floor: one row, split':>24} {await best(floor):>7.1f} ms")
    print(f"joining: {len(steps)} steps, {took * 1000:.0f} ms in all; a step {statistics.median(steps):.1f} ms", end="")
    print(f" (at most {max(steps):.1f} ms), of which its transaction is a part")
    bare.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("events", type=int, nargs="?", default=44_000)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "store.sqlite", parser.parse_args().events))


if __name__ == "__main__":
    main()
