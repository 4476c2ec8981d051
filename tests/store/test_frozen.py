"""Servers that freeze (SIGSTOP, a sleeping machine) in the middle of a transaction, and those beside them."""

import asyncio
import sys
import time

import pytest
from store.serving import opened, serving

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.testing.factories import append
from jupyter_bgstream.testing.store_contract import running, submit, text_deltas

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

FROZEN = 6.0  # seconds


async def test_frozen_server_writes_at_once_when_it_goes_on(database, journal):
    async with serving(database, journal=journal) as server:
        server.say("freeze")
        await asyncio.to_thread(server.wait_until_stopped)
        await asyncio.sleep(FROZEN)  # what is tested is the time itself
        server.go_on()
        assert await server.hear() == "goes on"
        began = time.monotonic()
        assert await server.ask("append") == "5"
        assert time.monotonic() - began < FROZEN / 2


async def test_server_beside_a_frozen_one_refuses_after_one_patience(database, journal):
    async with opened(database, patience=2.0, journal=journal) as store, serving(database, journal=journal) as server:
        job = await running(store)
        server.say("freeze")
        await asyncio.to_thread(server.wait_until_stopped)
        writes = []
        for n in range(8):  # there is always one that waits already
            writes.append(asyncio.create_task(_seconds_until_refused(submit(store, f"job-n{n:03}"))))
            await asyncio.wait(writes[-1:], timeout=0.5)
        assert max(await asyncio.gather(*writes)) < 3.0
        server.go_on()
        assert await server.hear() == "goes on"
        assert await append(store, job, text_deltas("a")) == 3


async def _seconds_until_refused(write):
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="locked"):
        await write
    return time.monotonic() - began
