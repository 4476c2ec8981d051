"""A provider that is known by name and cannot be asked, and says why."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from ..core.errors import ProviderError
from ..core.job import Job
from ..core.state import ErrorInfo
from .base import ProviderEvent, ProviderStatus


class UnconfiguredProvider:
    """A Provider whose every job fails with the same words."""

    def __init__(self, name: str, kind: str, fault: ErrorInfo, *, configured: bool) -> None:
        self.name = name
        self._status = ProviderStatus(name=name, kind=kind, error=fault, configured=configured)
        self._fault = fault

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Raise ProviderError."""
        raise ProviderError(f"{self.name}: {self._fault.message}", code=self._fault.code)
        yield  # what makes this a generator

    async def cancel_response(self, job: Job) -> None:
        """Do nothing: there is nobody to tell."""

    async def status(self) -> ProviderStatus:
        """Return why it cannot be asked."""
        return self._status

    def config_error(self) -> ErrorInfo | None:
        """Return why it cannot be asked."""
        return self._fault
