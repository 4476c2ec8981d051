"""A process that reads a log from random places, again and again, and says if anything was not as it must be.

    python reader.py <database> <server's id> <job's id>

It prints "ready", reads until its input is closed, and prints how often it read, or what was wrong.
"""

import asyncio
import random
import sys
import threading
from pathlib import Path

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.store.sqlite import SQLiteStore

sys.path.insert(0, str(Path(__file__).parents[1]))
from store.factories import OWNER
from store.texts import CLAIMED, written


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def read(database, server, job_id):
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    store = SQLiteStore(Path(database), server=server)
    await store.open()
    say("ready")
    reads = 0
    while not stop.is_set() or not reads:
        job = await store.job(OWNER, job_id)
        after = random.randrange(job.seq + 1)
        events = await store.events(job, after=after, max_bytes=random.choice([1, 3000, 1 << 20, 1 << 30]))
        assert events or after == job.seq, f"nothing after {after} of {job.seq}"
        for seq, event in enumerate(events, after + 1):
            if seq > CLAIMED and not (job.ended and seq == job.seq) and b'"delta"' in event:
                assert event == written(seq), f"event {seq} is {event!r}"
            assert decode_events([event])[0].seq == seq
        reads += 1
    await store.close()
    say(f"{reads} reads")


asyncio.run(read(*sys.argv[1:]))
