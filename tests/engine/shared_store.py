"""An in-memory store that several servers share, and a gate that suspends its calls."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from store.model import MemoryStore
from store.model.inbox import Inbox
from store.model.state import State

from jupyter_bgstream.core.errors import UnavailableError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.store.changefeed import Changefeed
from jupyter_bgstream.store.port_values import Change


class Shared:
    """State that several memory stores of one process share, as servers share a file."""

    def __init__(self) -> None:
        self.contents = State(Inbox(self.publish))
        self.alive: set[str] = set()
        self.feeds: list[Changefeed] = []

    def publish(self, changes: Sequence[Change]) -> None:
        for feed in self.feeds:
            Changefeed.publish(feed, changes)


class SharedMemory(MemoryStore):
    """A memory store that outlives its server; who is dead is told by who has closed it."""

    def __init__(self, shared: Shared, server: str) -> None:
        super().__init__(server=server)
        self._shared = shared
        self._name = server

    async def open(self) -> None:
        self._contents = self._shared.contents
        self._shared.alive.add(self._name)
        self._shared.feeds.append(self._feed)
        self._feed.publish = self._shared.publish  # type: ignore[method-assign]

    async def close(self) -> None:
        self._shared.alive.discard(self._name)
        self._shared.feeds.remove(self._feed)
        await super().close()

    async def abandoned_jobs(self, *, owner: str | None, limit: int) -> list[Job]:
        jobs = [stored.job for stored in self._of(owner)]
        return [job for job in jobs if not job.ended and job.server not in self._shared.alive][:limit]


class Gate:
    """A store behind which a server may die or stand still, at any call."""

    def __init__(self, store: Any) -> None:
        self.dead = False
        self.open_wide = asyncio.Event()
        self.open_wide.set()
        self._store = store
        self.kind = store.kind
        self.patience = 1.0

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    def changes(self) -> AsyncIterator[Sequence[Change]]:
        return self._store.changes()  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        @functools.wraps(method)
        async def guarded(*arguments: Any, **options: Any) -> Any:
            await self.open_wide.wait()
            if not self.dead:
                result = await method(*arguments, **options)
                await self.open_wide.wait()
                if not self.dead:
                    return result
            if name in ("claim", "next_due"):  # a dead server has no trouble, and does not try again
                return [] if name == "claim" else None
            raise UnavailableError("This server is dead.")

        return guarded
