"""The provider's port: what an LLM service is to the engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from ..core.events import Completed, Delta, Source, ToolCall, Usage
from ..core.job import Job
from ..core.machine import Fault

Said = Delta | Usage | Source | ToolCall | Completed


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of a provider right now."""

    name: str
    kind: str  # the format it speaks, such as chat_completions
    models: tuple[str, ...] = ()  # full names, provider/name
    error: Fault | None = None  # why there are none


class Provider(Protocol):
    """One service. ``stream`` yields what it said, in order; the last is Completed, or it raises ProviderError."""

    name: str

    def stream(self, job: Job) -> AsyncGenerator[Sequence[Said], None]: ...  # closing it closes the socket
    async def status(self) -> ProviderStatus: ...  # in bounded time; never raises
    def unready(self) -> Fault | None: ...  # why it could not be asked now, as far as can be told without asking


class Providers(Protocol):
    """All services that are configured."""

    default_model: str | None

    def resolve(self, model: str) -> Provider: ...  # ProviderError: unknown_provider
    async def status(self) -> list[ProviderStatus]: ...
