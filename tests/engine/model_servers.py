"""The servers and viewers that are compared with the model."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

from engine.conftest import Call, Puppet
from engine.model import MAX_ATTEMPTS, MAX_BULK, MAX_QUEUED, MAX_RUNNING
from engine.shared_store import Gate

from jupyter_bgstream.core.errors import ProviderError, UnavailableError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.schemas.server_info import LimitsInfo
from jupyter_bgstream.engine.engine import Engine
from jupyter_bgstream.engine.recovery import Recovery
from jupyter_bgstream.testing.clock import FakeClock

LIMITS = LimitsInfo(
    max_running=MAX_RUNNING,
    reserved_interactive=MAX_RUNNING - MAX_BULK,
    max_queued=MAX_QUEUED,
    max_attempts=MAX_ATTEMPTS,
    stop_grace=0.0,
)


class Watch:
    """A server's own view of the common clock, which knows when its recovery rests."""

    def __init__(self, clock: FakeClock, late: float) -> None:
        self._clock = clock
        self._late = late  # seconds; no two servers look after the dead at the same time
        self.rests_until: float | None = None

    def time(self) -> float:
        return self._clock.time()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None or task.get_coro().__qualname__ != Recovery.run.__qualname__:
            return await self._clock.sleep(seconds)
        self.rests_until = self._clock.time() + seconds + self._late
        await self._clock.sleep(seconds + self._late)
        self.rests_until = None
        return None


class Known(Puppet):
    """A provider that only knows some models."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    def resolve(self, model: str) -> Puppet:
        if model.partition("/")[0] not in self._names:
            raise ProviderError(f"No provider for {model}.", code="unknown_provider")
        return self

    @property
    def open(self) -> list[Call]:
        return [call for call in self.calls if not call.closed.is_set()]


class Server:
    """One server under test."""

    def __init__(self, name: str, store: Any, clock: FakeClock, knows: tuple[str, ...]) -> None:
        self.name = name
        self.gate = Gate(store)
        self.watch = Watch(clock, late=0.001 * int(name.rpartition("-")[2]))
        self.puppet = Known(knows)
        self.engine = Engine(
            store=self.gate,  # type: ignore[arg-type]
            providers=self.puppet,
            server=name,
            limits=LIMITS,
            clock=self.watch,
        )


class Reader:
    """A viewer that follows one job on one server."""

    def __init__(self, server: Server, job: Job, after: int) -> None:
        self.job, self.after = job, after
        self.events: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.closed = False
        self.server = server
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        with suppress(UnavailableError):  # its server stops
            async with aclosing(self.server.engine.jobs.follow(self.job, after=self.after)) as batches:
                async for batch in batches:
                    await self.reads.wait()
                    self.events.extend(batch.events)
                    assert batch.cursor.seq == self.after + len(self.events)
                    self.closed = batch.closed
