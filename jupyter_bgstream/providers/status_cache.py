"""Caches the status of providers: all are queried at once, not too often, and in bounded time."""

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from ..core.state import ErrorInfo
from .port import Provider, ProviderStatus

CACHE_SECONDS = 60.0
ERROR_CACHE_SECONDS = 10.0  # an error may soon be fixed
ALL_SECONDS = 6.0  # for all providers together: more than the time-out of one


class StatusCache:
    """The last status of each provider. Concurrent callers share one query."""

    def __init__(self, providers: Mapping[str, Provider], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._providers = providers
        self._monotonic = monotonic
        self._cached: dict[str, tuple[float, ProviderStatus]] = {}  # with the time until which it is valid
        self._queries: dict[str, asyncio.Task[ProviderStatus]] = {}

    async def all(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return the status of all providers, in order of their names; a time-out is an error in its status."""
        return await self.get(sorted(self._providers), seconds=ALL_SECONDS, refresh=refresh)

    async def get(self, names: list[str], *, seconds: float, refresh: bool = False) -> list[ProviderStatus]:
        """Return the status of these providers, in this order, within ``seconds``."""
        found: dict[str, ProviderStatus] = {}
        tasks: dict[str, asyncio.Task[ProviderStatus]] = {}
        now = self._monotonic()
        for name in names:
            until, cached = self._cached.get(name, (0.0, None))
            if cached is not None and now < until and not refresh:
                found[name] = cached
            else:
                tasks[name] = self._query(name)
        if tasks:
            await asyncio.wait(tasks.values(), timeout=seconds)  # later results are cached when they arrive
        for name, task in tasks.items():
            found[name] = task.result() if task.done() and not task.cancelled() else _timed_out(name, seconds)
        return [found[name] for name in names]

    def _query(self, name: str) -> asyncio.Task[ProviderStatus]:
        if (task := self._queries.get(name)) is None:
            task = self._queries[name] = asyncio.create_task(self._status(name))
            task.add_done_callback(lambda _: self._queries.pop(name, None))
        return task

    async def _status(self, name: str) -> ProviderStatus:
        try:
            status = msgspec.structs.replace(await self._providers[name].status(), name=name)
        except Exception as error:  # a plug-in's own Provider may raise
            problem = ErrorInfo(code="provider_error", message=f"Its status failed: {type(error).__name__}.")
            status = ProviderStatus(name=name, kind="plug-in", error=problem)
        valid = ERROR_CACHE_SECONDS if status.error is not None else CACHE_SECONDS
        self._cached[name] = (self._monotonic() + valid, status)
        return status


def _timed_out(name: str, seconds: float) -> ProviderStatus:
    error = ErrorInfo(code="unreachable", message=f"{name} did not list its models within {seconds:g} s.")
    return ProviderStatus(name=name, kind="", error=error)
