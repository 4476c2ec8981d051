"""Servers that freeze (SIGSTOP, a sleeping machine) in the middle of a transaction, and those beside them."""

import asyncio
import sys

import pytest
from store.factories import append, running, submit, text_deltas
from store.serving import opened, serving

from jupyter_bgstream.core.errors import UnavailableError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

PATIENCE = 1.0  # seconds


async def test_frozen_server_writes_at_once_when_it_continues(database, journal):
    async with serving(database, patience=PATIENCE, journal=journal) as server:
        server.say("freeze")
        await asyncio.to_thread(server.wait_until_stopped)
        await asyncio.sleep(2 * PATIENCE)  # what is tested is the time itself
        server.go_on()
        assert await server.hear() == "goes on"
        assert await server.ask("append") == "5"


async def test_server_beside_frozen_one_refuses_every_write(database, journal):
    async with (
        opened(database, patience=PATIENCE, journal=journal) as store,
        serving(database, journal=journal) as server,
    ):
        job = await running(store)
        server.say("freeze")
        await asyncio.to_thread(server.wait_until_stopped)
        writes = []
        for n in range(4):  # there is always one that waits already
            writes.append(asyncio.create_task(submit(store, f"job-n{n:03}")))
            await asyncio.wait(writes[-1:], timeout=PATIENCE / 4)
        for write in writes:
            with pytest.raises(UnavailableError, match="locked"):
                await write
        server.go_on()
        assert await server.hear() == "goes on"
        assert await append(store, job, text_deltas("a")) == 3
