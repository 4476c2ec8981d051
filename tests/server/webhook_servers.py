"""Servers with a webhook, on one clock and, with a database, on one store."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from contextlib import AsyncExitStack
from pathlib import Path

from engine.conftest import OWNER, Puppet, ended, spec
from server.receiver import Receiver
from store.model import MemoryStore

from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.server.webhook import Webhook, read_target
from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ENVIRON = {"HOOK_SECRET": SECRET}


class Servers:
    """Servers with a webhook, on one clock and, with a database, on one store."""

    def __init__(self, receiver: Receiver, stack: AsyncExitStack, *, database: Path | None, now: float) -> None:
        self.clock = FakeClock(now)
        self.puppet = Puppet()
        self.services: list[Engine] = []
        self.calling: list[asyncio.Task[None]] = []
        self._receiver = receiver
        self._stack = stack
        self._database = database
        self._sleepers = 0

    async def add(self, *, preview: bool = False) -> Engine:
        name = f"server-{len(self.services)}"
        store = SQLiteStore(self._database, server=name) if self._database else MemoryStore(server=name)
        engine = Engine(
            store=store, providers=self.puppet, server=name, clock=self.clock, limits=LimitsInfo(stop_grace=0.0)
        )
        await engine.open()
        self._stack.push_async_callback(engine.close)
        target = read_target(self._receiver.url, secret_env="HOOK_SECRET", preview=preview, environ=ENVIRON)
        calling = asyncio.create_task(Webhook(target, engine=engine, owner=OWNER, clock=self.clock).run())
        self._stack.push_async_callback(self._cancel, calling)
        self.calling.append(calling)
        self.services.append(engine)
        self._sleepers += 2  # the look for dead servers' jobs, and the webhook
        return engine

    async def _cancel(self, calling: asyncio.Task[None]) -> None:
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)

    async def passes(self, seconds: int, *, sleepers: int | None = None) -> None:
        """Let time pass, and all that happens meanwhile."""
        for _ in range(seconds):
            await self.clock.sleeping(self._sleepers if sleepers is None else sleepers)
            self.clock.advance(1)
        await self.clock.sleeping(self._sleepers if sleepers is None else sleepers)

    async def said(self, text: str = "Paris.", **fields: object) -> str:
        """Run a job to its end; returns its id."""
        job, _ = await self.services[0].jobs.submit(OWNER, spec("What is the capital?", **fields))
        (await self.puppet.call()).say(text).finish()
        await ended(self.services[0], job.id)
        return job.id


def by_the_standard(headers: dict[str, str], body: bytes) -> str:
    """The signature as the specification words it."""
    content = headers["webhook-id"] + "." + headers["webhook-timestamp"] + "." + body.decode()
    return "v1," + base64.b64encode(hmac.new(KEY, content.encode(), hashlib.sha256).digest()).decode()
