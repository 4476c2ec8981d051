"""A server that sends one notice and may be killed while it does: ``python calling.py <database> <receiver's url>``."""

import asyncio
import sys
from pathlib import Path

from engine.conftest import OWNER, Puppet, ended, spec

from jupyter_bgstream.engine.service import Service
from jupyter_bgstream.server.webhook import Webhook, WebhookTarget
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock


async def main(database: str, url: str) -> None:
    puppet, clock = Puppet(), FakeClock()
    service = Service(store=SQLiteStore(Path(database), server="dying"), providers=puppet, server="dying", clock=clock)
    await service.open()
    job, _ = await service.jobs.submit(OWNER, spec())
    (await puppet.call()).say("x").finish()
    await ended(service, job.id)
    clock.advance(31)
    await Webhook(
        WebhookTarget(url=url, keys=(b"k" * 24,), preview=False), service=service, owner=OWNER, clock=clock
    ).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
