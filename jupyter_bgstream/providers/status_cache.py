"""Asks providers which models they have: each not too often, all at once, and never for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from ..core.state import ErrorInfo
from .base import Provider, ProviderStatus

KEPT_SECONDS = 60.0
FAULT_KEPT_SECONDS = 10.0  # somebody is mending it
ALL_SECONDS = 6.0  # for all together: more than a service is given to answer


class StatusCache:
    """Remembers what providers said. Who asks while an answer is under way gets the same one."""

    def __init__(self, providers: Mapping[str, Provider], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._providers = providers
        self._monotonic = monotonic
        self._kept: dict[str, tuple[float, ProviderStatus]] = {}  # until when
        self._under_way: dict[str, asyncio.Task[ProviderStatus]] = {}

    async def all(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return the state of all providers, in order of their names; one that takes too long is said to."""
        return await self.some(sorted(self._providers), seconds=ALL_SECONDS, refresh=refresh)

    async def some(self, names: list[str], *, seconds: float, refresh: bool = False) -> list[ProviderStatus]:
        """Return the state of these providers, in this order, after so many seconds at most."""
        found: dict[str, ProviderStatus] = {}
        tasks: dict[str, asyncio.Task[ProviderStatus]] = {}
        now = self._monotonic()
        for name in names:
            until, kept = self._kept.get(name, (0.0, None))
            if kept is not None and now < until and not refresh:
                found[name] = kept
            else:
                tasks[name] = self._task(name)
        if tasks:
            await asyncio.wait(tasks.values(), timeout=seconds)  # those that go on are remembered when they end
        for name, task in tasks.items():
            found[name] = task.result() if task.done() and not task.cancelled() else _silent(name, seconds)
        return [found[name] for name in names]

    def _task(self, name: str) -> asyncio.Task[ProviderStatus]:
        if (task := self._under_way.get(name)) is None:
            task = self._under_way[name] = asyncio.create_task(self._ask(name))
            task.add_done_callback(lambda _: self._under_way.pop(name, None))
        return task

    async def _ask(self, name: str) -> ProviderStatus:
        try:
            status = msgspec.structs.replace(await self._providers[name].status(), name=name)
        except Exception as error:  # a plug-in's own Provider may break its promise
            fault = ErrorInfo(code="provider_error", message=f"Asking it failed: {type(error).__name__}.")
            status = ProviderStatus(name=name, kind="plug-in", error=fault)
        kept = FAULT_KEPT_SECONDS if status.error is not None else KEPT_SECONDS
        self._kept[name] = (self._monotonic() + kept, status)
        return status


def _silent(name: str, seconds: float) -> ProviderStatus:
    fault = ErrorInfo(code="unreachable", message=f"{name} did not say within {seconds:g} s which models it has.")
    return ProviderStatus(name=name, kind="", error=fault)
