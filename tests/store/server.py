"""A server of its own process, for tests: ``python server.py <database> <server id> [<options of the store as JSON>]``.

Opens the store, submits and claims one job, prints ``ready``, and then obeys lines on stdin, each answered by one line:
``append`` (the tail, or the error's name), ``stream`` (appends for ever, a line for each tail that was acknowledged),
``watch <job>`` (waits for a change of that job, prints its kind and status), ``freeze`` (stops the process in a
transaction, as SIGSTOP does; prints a line once it goes on), ``warnings`` (as a JSON list), ``taken`` (waits until
another machine has the store). What cannot be opened is ``refused: `` and its sentence.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from jupyter_bgstream.core.cursor import new_log
from jupyter_bgstream.core.errors import BgStreamError, UnavailableError
from jupyter_bgstream.core.events import Delta
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.port_values import Append, Capacity
from jupyter_bgstream.store.ports.logs import append_one
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.store.sqlite.lease import Machine

OWNER = "ada"
ROOM = Capacity(running=1000, bulk=1000, owner=1000)


def tell(answer):
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


async def append(store, job):
    try:
        return await append_one(store, Append(job=job, events=[Delta(channel="text", text="a word ")] * 3))
    except BgStreamError as error:
        return type(error).__name__


def freeze():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.2)  # another thread may get the signal, and stop this one a moment later


async def watch(changes, job_id):
    async for batch in changes:
        for change in batch:
            if change.subject == job_id:
                return f"{change.kind} {change.status}"
    return "closed"


async def main(database, server, options="{}"):
    options = json.loads(options)
    if "machine" in options:
        options["machine"] = Machine(*options["machine"])
    store = SQLiteStore(Path(database), server=server, **options)
    try:
        await store.open()
    except UnavailableError as error:
        tell(f"refused: {error.message}")
        return
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
            case ["freeze"]:
                try:
                    await store._parts.writer.run(lambda tx: freeze())
                    tell("goes on")
                except BgStreamError as error:
                    tell(type(error).__name__)
            case ["warnings"]:
                tell(json.dumps(store.warnings))
            case ["taken"]:
                await store.wait_until_taken_over()
                tell("taken over")
            case ["watch", job_id]:
                tell(await watch(changes, job_id))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
