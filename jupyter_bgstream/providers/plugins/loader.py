"""Providers of other packages: entry points of the group ``jupyter_bgstream.providers``, imported when they are used.

An entry point names an async generator function (see ``plugin``), or a function without arguments that returns a
Provider. One that is broken says so wherever it is asked for, and takes nothing else with it.
"""

from __future__ import annotations

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

from ...core.errors import InvalidRequestError, ProviderError
from ...core.job import Job
from ...core.state import ErrorInfo
from ..base import Provider, ProviderEvent, ProviderStatus
from ..context_window import RequestSize
from ..daemon_threads import run_in_daemon_thread
from ..endpoint import IDLE_SECONDS, PROVIDER_NAME, TOTAL_SECONDS
from ..errors import ErrorBuilder
from ..formats.base import model_name
from ..sanitize import Sanitizer
from .generator import GRACE_SECONDS, KIND, GeneratorProvider, secrets_of
from .isolation import guarded
from .validation import batches, checked_batch, checked_failure, checked_fault, checked_status, safe_text

GROUP = "jupyter_bgstream.providers"
IMPORT_SECONDS = 120.0  # that an import may take when a job needs it
GLANCE_SECONDS = 3.0  # when somebody only asks what there is

# Our own entry points, which are also there where this package was not installed but put on the path.
_OWN = {
    "demo": "jupyter_bgstream.providers.bundled.demo:demo",
    "litellm": "jupyter_bgstream.providers.bundled.litellm:complete",
}
# What a plug-in of ours needs that is not installed with it, and how it is.
_NEEDS = {"jupyter_bgstream.providers.bundled.litellm": ("litellm", "pip install 'jupyter_bgstream[litellm]'")}

_END = object()  # of a stream

log = logging.getLogger(__name__)


class PluginSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the ``providers`` setting may say of a plug-in."""

    models: tuple[str, ...] = ()  # the list shown
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
        self._loading = threading.Lock()
        self._loaded: Provider | None = None

    def __repr__(self) -> str:
        return f"PluginService({self.name!r}, {self._entry.value!r})"

    async def stream(self, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield what the plug-in says; raises ProviderError, also for a plug-in that cannot be imported."""
        provider = await self._provider(IMPORT_SECONDS)
        batches = provider.stream(job) if isinstance(provider, GeneratorProvider) else self._of_others(provider, job)
        screen = Sanitizer(self.name, self._errors)
        async with aclosing(batches):
            async for batch in batches:
                if said := screen.passed(batch):
                    yield said

    async def cancel_response(self, job: Job) -> None:
        """Tell the plug-in's own Provider that nobody wants this answer any more, if it wants to know.

        It may have begun on a server before this one, which has not imported the plug-in yet.
        """
        if job.resume is None:
            return
        try:
            provider = await self._provider(GLANCE_SECONDS)
        except ProviderError as error:
            log.warning("job %s: %s cannot be told that nobody wants its answer: %s", job.id, self.name, error.message)
            return
        if (cancel_response := getattr(provider, "cancel_response", None)) is None:
            return
        try:
            with guarded():
                await cancel_response(job)
        except Exception as error:
            words = self._errors.redacted(safe_text(error))
            log.warning("job %s: %s failed to stop its answer: %s %s", job.id, self.name, type(error).__name__, words)

    async def status(self) -> ProviderStatus:
        """Return its models, or why it cannot be used; never raises. Imports it."""
        if (missing := self._missing()) is not None:
            fault = ErrorInfo(code="provider_error", message=f"Not installed: {missing}.")
            return ProviderStatus(name=self.name, kind=KIND, error=fault, configured=False)
        try:
            provider = await self._provider(GLANCE_SECONDS)
            with guarded():
                return checked_status(await provider.status(), self._errors)
        except ProviderError as error:
            return ProviderStatus(name=self.name, kind=KIND, error=ErrorInfo(code=error.code, message=error.message))
        except Exception as error:  # its own Provider is code of others
            return ProviderStatus(name=self.name, kind=KIND, error=self._broken(error))

    def config_error(self) -> ErrorInfo | None:
        """Return why it cannot be asked, as far as that is known without importing it."""
        if (missing := self._missing()) is not None:
            words = f"The plug-in {self.name} is not installed whole: {missing}, then restart the Jupyter server."
            return ErrorInfo(code="provider_error", message=words)
        if self._loaded is None:
            return None
        try:
            with guarded():
                return checked_fault(self._loaded.config_error(), self._errors)
        except Exception as error:
            return self._broken(error)

    async def _provider(self, seconds: float) -> Provider:
        if self._loaded is not None:
            return self._loaded
        if (config_error := self.config_error()) is not None:
            raise ProviderError(config_error.message, code=config_error.code)
        try:
            return await run_in_daemon_thread(self._load, seconds=seconds, name=f"import-{self.name}")
        except TimeoutError:
            words = f"The plug-in {self.name} is still being imported; try again in a moment."
            raise ProviderError(words, code="provider_error", transient=True) from None
        except ProviderError:
            raise
        except Exception as error:
            fault = self._broken(error)
            raise ProviderError(fault.message, code=fault.code) from None

    def _load(self) -> Provider:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._made(self._entry.load())
            return self._loaded

    async def _of_others(self, provider: Provider, job: Job) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        stream: AsyncGenerator[Sequence[ProviderEvent], None] | None = None
        try:
            with guarded():
                stream = provider.stream(job)
            while True:
                with guarded():
                    batch: object = await anext(stream, _END)
                if batch is _END:
                    return
                for part in batches(checked_batch(batch)):
                    yield part
        except Exception as error:
            errors = ErrorBuilder(
                self.name, model=model_name(job), secrets=secrets_of(self._environ), size=RequestSize.of(job)
            )
            raise checked_failure(error, errors) from None
        finally:
            if stream is not None:
                await self._close(stream)

    async def _close(self, stream: AsyncGenerator[Sequence[ProviderEvent], None]) -> None:
        # Its answer, or its failure, is known by now; what it does wrong at its end changes neither.
        try:
            with guarded():
                async with asyncio.timeout(GRACE_SECONDS):
                    await stream.aclose()
        except Exception as error:
            log.warning("The plug-in %s cannot be closed: %s", self.name, type(error).__name__)

    @property
    def _errors(self) -> ErrorBuilder:
        return ErrorBuilder(self.name, secrets=secrets_of(self._environ))

    def _made(self, found: Any) -> Provider:
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
            if all(callable(getattr(provider, verb, None)) for verb in ("stream", "status", "config_error")):
                return provider  # type: ignore[no-any-return]  # it has what a Provider has
        raise TypeError("it is neither an async generator function nor a function that returns a Provider")

    def _broken(self, error: Exception) -> ErrorInfo:
        # What an import says may hold a key, and the list of models shows it to everybody.
        words = self._errors.redacted(f"{type(error).__name__}: {safe_text(error)}")
        words = " ".join(words.split())[:500]
        message = f"The plug-in {self.name} cannot be used; its package is to be mended. Details: {words}"
        return ErrorInfo(code="provider_error", message=message)

    def _missing(self) -> str | None:
        module, advice = _NEEDS.get(self._entry.module, (None, ""))
        return advice if module is not None and find_spec(module) is None else None


def discovered() -> dict[str, EntryPoint]:
    """Return the plug-ins that are installed, by name; nothing is imported. Of two with one name the first counts."""
    own = [EntryPoint(name, value, GROUP) for name, value in _OWN.items()]
    found: dict[str, EntryPoint] = {}
    try:
        others = tuple(entry_points(group=GROUP))
    except Exception:  # the metadata of any package may be broken
        log.exception("the plug-ins of other packages cannot be listed")
        others = ()
    for entry in (*own, *others):
        if PROVIDER_NAME.fullmatch(entry.name):
            found.setdefault(entry.name, entry)
    return found


def read_settings(name: str, config: Mapping[str, Any]) -> PluginSettings:
    """Check what the ``providers`` setting says of a plug-in; raises InvalidRequestError."""
    where = f"providers[{name!r}]"
    try:
        settings = msgspec.convert(dict(config), PluginSettings)
    except msgspec.ValidationError as error:
        fields = ", ".join(PluginSettings.__struct_fields__)
        raise InvalidRequestError(
            f"{where} is wrong: {error}. It is a plug-in, whose fields are {fields}; with a base_url it is a service.",
            field=where,
        ) from None
    for setting in ("idle_timeout", "total_timeout"):
        if not getattr(settings, setting) > 0:
            raise InvalidRequestError(f"{where}: {setting} must be more than 0 seconds.", field=f"{where}.{setting}")
    return settings
