"""A server that sends one notice and may be killed while it does: ``python calling.py <database> <receiver's url>``."""

import asyncio
import sys
from pathlib import Path

from engine.conftest import OWNER, Puppet, ended, spec

from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.server.webhook import Webhook, WebhookTarget
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock


async def main(database: str, url: str) -> None:
    puppet, clock = Puppet(), FakeClock()
    engine = Engine(store=SQLiteStore(Path(database), server="dying"), providers=puppet, server="dying", clock=clock)
    await engine.open()
    job, _ = await engine.jobs.submit(OWNER, spec())
    (await puppet.call()).say("x").finish()
    await ended(engine, job.id)
    clock.advance(31)
    await Webhook(
        WebhookTarget(url=url, keys=(b"k" * 24,), preview=False), engine=engine, owner=OWNER, clock=clock
    ).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
