"""Loads plug-ins: providers of other packages, from entry points of the group ``jupyter_bgstream.providers``.

An entry point names an async generator function (see ``plugin``), or a function without arguments that returns a
Provider. It is imported at the first use. A broken plug-in reports its error to its users and affects nothing else.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import msgspec

from ...core.errors import ProviderError
from ...core.job import Job
from ...core.state import ErrorInfo
from ..daemon_threads import run_in_daemon_thread
from ..errors import ErrorBuilder
from ..event_limits import Sanitizer
from ..port import Provider, ProviderEvent, ProviderStatus
from ..provider_settings import IDLE_SECONDS, PROVIDER_NAME, TOTAL_SECONDS, check_timeouts, read_fields
from .foreign_code import guarded
from .generator import GRACE_SECONDS, KIND, GeneratorProvider, errors_of, secrets_of
from .validation import checked_batch, checked_error_info, checked_exception, checked_status, safe_text, split_batches

GROUP = "jupyter_bgstream.providers"
IMPORT_SECONDS = 120.0  # for an import that a job needs
STATUS_SECONDS = 3.0  # for an import that only a status needs

# Bundled entry points, which also exist if this package is on the path without being installed.
_BUNDLED = {
    "demo": "jupyter_bgstream.providers.bundled_plugins.demo:demo",
    "litellm": "jupyter_bgstream.providers.bundled_plugins.litellm:complete",
}
# Packages that a bundled plug-in needs and how to install them.
_REQUIRES = {
    "jupyter_bgstream.providers.bundled_plugins.litellm": ("litellm", "pip install 'jupyter_bgstream[litellm]'")
}

_END = object()  # of a stream

log = logging.getLogger(__name__)


class PluginSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a plug-in in the ``providers`` setting."""

    models: tuple[str, ...] = ()  # the list of models
    default_model: str | None = None
    idle_timeout: float = IDLE_SECONDS  # seconds without an event
    total_timeout: float = TOTAL_SECONDS  # seconds


class PluginProvider:
    """A Provider that is imported at its first use."""

    def __init__(self, entry: EntryPoint, settings: PluginSettings, *, environ: Mapping[str, str]) -> None:
        self.name = entry.name
        self.settings = settings
        self._entry = entry
        self._environ = environ
        self._load_lock = threading.Lock()
        self._loaded: Provider | None = None

    def __repr__(self) -> str:
        return f"PluginProvider({self.name!r}, {self._entry.value!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield the plug-in's events; raise ProviderError, also for a plug-in that cannot be imported."""
        provider = await self._provider(IMPORT_SECONDS)
        batches = provider.stream(job) if isinstance(provider, GeneratorProvider) else self._checked(provider, job)
        sanitizer = Sanitizer(self.name, self._errors)
        async with aclosing(batches):
            async for batch in batches:
                if events := sanitizer.sanitized(batch):
                    yield events

    async def cancel_response(self, job: Job) -> None:
        """Cancel a response, if the plug-in has its own Provider with ``cancel_response``.

        The response may have started on an earlier server, and this one has not imported the plug-in yet.
        """
        if job.resume is None:
            return
        try:
            provider = await self._provider(STATUS_SECONDS)
        except ProviderError as error:
            log.warning("job %s: its response could not be cancelled at %s: %s", job.id, self.name, error.message)
            return
        if (cancel_response := getattr(provider, "cancel_response", None)) is None:
            return
        try:
            with guarded():
                await cancel_response(job)
        except Exception as error:
            details = self._errors.redacted(safe_text(error))
            log.warning("job %s: %s failed to cancel it: %s %s", job.id, self.name, type(error).__name__, details)

    async def status(self) -> ProviderStatus:
        """Import it; return its models, or why they are missing; never raise."""
        if (missing := self._missing()) is not None:
            info = ErrorInfo(code="provider_error", message=f"Not installed: {missing}.")
            return ProviderStatus(name=self.name, kind=KIND, error=info, configured=False)
        try:
            provider = await self._provider(STATUS_SECONDS)
            with guarded():
                return checked_status(await provider.status(), self._errors)
        except ProviderError as error:
            return ProviderStatus(name=self.name, kind=KIND, error=ErrorInfo(code=error.code, message=error.message))
        except Exception as error:  # of a plug-in's own Provider
            return ProviderStatus(name=self.name, kind=KIND, error=self._broken(error))

    def config_error(self) -> ErrorInfo | None:
        """Return why jobs cannot run, as far as that is known without an import."""
        if (missing := self._missing()) is not None:
            message = f"The plug-in {self.name} needs a package: {missing}, then restart the Jupyter server."
            return ErrorInfo(code="provider_error", message=message)
        if self._loaded is None:
            return None
        try:
            with guarded():
                return checked_error_info(self._loaded.config_error(), self._errors)
        except Exception as error:
            return self._broken(error)

    async def _provider(self, seconds: float) -> Provider:
        if self._loaded is not None:
            return self._loaded
        if (error_info := self.config_error()) is not None:
            raise ProviderError(error_info.message, code=error_info.code)
        try:
            return await run_in_daemon_thread(self._load, seconds=seconds, name=f"import-{self.name}")
        except TimeoutError:
            message = f"The plug-in {self.name} is still being imported; try again later."
            raise ProviderError(message, code="provider_error", transient=True) from None
        except ProviderError:
            raise
        except Exception as error:
            error_info = self._broken(error)
            raise ProviderError(error_info.message, code=error_info.code) from None

    def _load(self) -> Provider:
        with self._load_lock:
            if self._loaded is None:
                self._loaded = self._provider_of(self._entry.load())
            return self._loaded

    async def _checked(self, provider: Provider, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        stream: AsyncGenerator[Sequence[ProviderEvent], None] | None = None
        try:
            with guarded():
                stream = provider.stream(job)
            while True:
                with guarded():
                    batch: object = await anext(stream, _END)
                if batch is _END:
                    return
                for part in split_batches(checked_batch(batch)):
                    yield part
        except Exception as error:
            raise checked_exception(error, errors_of(self.name, job, self._environ)) from None
        finally:
            if stream is not None:
                await self._close(stream)

    async def _close(self, stream: AsyncGenerator[Sequence[ProviderEvent], None]) -> None:
        # The answer or its error is known by now; an error at the end changes neither.
        try:
            with guarded():
                async with asyncio.timeout(GRACE_SECONDS):
                    await stream.aclose()
        except Exception as error:
            log.warning("The plug-in %s cannot be closed: %s", self.name, type(error).__name__)

    @property
    def _errors(self) -> ErrorBuilder:
        return ErrorBuilder(self.name, secrets=secrets_of(self._environ))

    def _provider_of(self, found: Any) -> Provider:
        if inspect.isasyncgenfunction(found) or inspect.isasyncgenfunction(getattr(found, "__call__", None)):  # noqa: B004
            settings = self.settings
            return GeneratorProvider(
                self.name,
                found,
                environ=self._environ,
                models=settings.models or tuple(getattr(found, "models", ())),
                idle_timeout=settings.idle_timeout,
                total_timeout=settings.total_timeout,
            )
        if callable(found) and not inspect.iscoroutinefunction(found) and not inspect.isgeneratorfunction(found):
            provider: Any = found()
            if all(callable(getattr(provider, name, None)) for name in ("stream", "status", "config_error")):
                return provider  # type: ignore[no-any-return]  # it has a Provider's methods
        raise TypeError("it is neither an async generator function nor a function that returns a Provider")

    def _broken(self, error: Exception) -> ErrorInfo:
        # The message of an import may hold a key, and the list of models shows it to all users.
        details = self._errors.redacted(f"{type(error).__name__}: {safe_text(error)}")
        details = " ".join(details.split())[:500]
        message = f"The plug-in {self.name} cannot be used; report it to its author. Details: {details}"
        return ErrorInfo(code="provider_error", message=message)

    def _missing(self) -> str | None:
        module, advice = _REQUIRES.get(self._entry.module, (None, ""))
        return advice if module is not None and find_spec(module) is None else None


def discovered() -> dict[str, EntryPoint]:
    """Return the installed plug-ins by name, without importing them; of two with one name the first counts."""
    bundled = [EntryPoint(name, value, GROUP) for name, value in _BUNDLED.items()]
    found: dict[str, EntryPoint] = {}
    try:
        others = tuple(entry_points(group=GROUP))
    except Exception:  # the metadata of any package may be broken
        log.exception("the plug-ins of other packages cannot be listed")
        others = ()
    for entry in (*bundled, *others):
        if PROVIDER_NAME.fullmatch(entry.name):
            found.setdefault(entry.name, entry)
    return found


def read_settings(name: str, config: Mapping[str, Any]) -> PluginSettings:
    """Check a plug-in's entry in the ``providers`` setting; raise InvalidRequestError."""
    hint = "A plug-in has the fields {}; with a base_url it is a provider."
    settings = read_fields(name, config, PluginSettings, hint)
    check_timeouts(name, settings)
    return settings
