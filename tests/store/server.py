"""A server of its own process, for tests: ``python server.py <database> <server id> [<journal>]``.

Opens the store, submits and claims one job, prints ``ready``, and then obeys lines on stdin, each answered by one line:
``append`` (the tail, or the error's name), ``stream`` (appends for ever, a line for each tail that was acknowledged),
``watch <job>`` (waits for a change of that job, prints its kind and status).
"""

import asyncio
import sys
from pathlib import Path

from jupyter_bgstream.core.cursor import new_log
from jupyter_bgstream.core.errors import BgStreamError
from jupyter_bgstream.core.events import Delta
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.store_contract import ROOM

OWNER = "ada"


def tell(answer):
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


async def append(store, job):
    try:
        return await store.append(job, [Delta(channel="text", text="a word ")] * 3)
    except BgStreamError as error:
        return type(error).__name__


async def watch(changes, job_id):
    async for batch in changes:
        for change in batch:
            if change.job == job_id:
                return f"{change.kind} {change.status}"
    return "closed"


async def main(database, server, journal=None):
    store = SQLiteStore(Path(database), server=server, journal=journal)
    await store.open()
    changes = store.changes()
    spec = JobSpec(model="open/small", messages=(Message(role="user", content="Why?"),))
    await store.submit(
        Job(id=f"job-{server}", owner=OWNER, log=new_log(), spec=spec, status="new", server=server, created_at=1.0),
        max_queued=100,
    )
    (job,) = await store.claim(server=server, owner=None, room=ROOM, limit=1, at=2.0)
    tell("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["append"]:
                tell(await append(store, job))
            case ["stream"]:
                while True:
                    tell(await append(store, job))
            case ["watch", job_id]:
                tell(await watch(changes, job_id))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
