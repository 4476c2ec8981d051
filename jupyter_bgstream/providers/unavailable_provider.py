"""A provider that is known by name but cannot be used."""

from collections.abc import AsyncGenerator, Sequence

from ..core.errors import ProviderError
from ..core.job import Job
from ..core.state import ErrorInfo
from .port import ProviderEvent, ProviderStatus


class UnavailableProvider:
    """A Provider whose jobs all fail with the same message."""

    def __init__(self, name: str, kind: str, error: ErrorInfo, *, configured: bool) -> None:
        self.name = name
        self._status = ProviderStatus(name=name, kind=kind, error=error, configured=configured)
        self._error = error

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Raise ProviderError."""
        raise ProviderError(f"{self.name}: {self._error.message}", code=self._error.code)
        yield  # makes this a generator

    async def cancel_response(self, job: Job) -> None:
        """Do nothing: no response was started."""

    async def status(self) -> ProviderStatus:
        """Return why it cannot be used."""
        return self._status

    def config_error(self) -> ErrorInfo | None:
        """Return why it cannot be used."""
        return self._error
