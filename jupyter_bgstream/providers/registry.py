"""All services that are configured, by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import Invalid, ProviderError
from .base import ProviderStatus
from .endpoint import Endpoint, read_endpoint
from .service import HTTPService

STATUS_KEPT_SECONDS = 60.0

OPENAI_URL = "https://api.openai.com/v1"


class Registry:
    """The Providers of a server: ``openai``, and what the ``providers`` setting adds or replaces.

    ``config`` maps a name to the fields of Endpoint. ``environ`` holds the keys, and OPENAI_BASE_URL. Raises Invalid
    for settings that cannot be meant, at start-up rather than in somebody's job.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str],
        default_model: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        endpoints = {"openai": _openai(environ)} | {
            name: read_endpoint(name, entry) for name, entry in (config or {}).items()
        }
        self._services = {name: HTTPService(name, endpoint, environ=environ) for name, endpoint in endpoints.items()}
        self._monotonic = monotonic
        self._status: dict[str, tuple[float, ProviderStatus]] = {}  # with the time it was asked for
        self.default_model = self._checked_default(default_model)

    def resolve(self, model: str) -> HTTPService:
        """Return the service of ``provider/name``; the name may hold more slashes.

        Raises ProviderError: ``unknown_provider``, and ``model_not_found`` if there is no name.
        """
        name, slash, rest = model.partition("/")
        service = self._services.get(name)
        if service is None or not slash:
            raise ProviderError(
                f"{model!r} names no provider. Write provider/model; the providers are {self._listed()}. More can be"
                " added in BgStreamApp.providers of the Jupyter server's config.",
                code="unknown_provider",
            )
        if not rest:
            raise ProviderError(
                f"{model!r} names no model. Write {name}/ and the model's name.", code="model_not_found"
            )
        return service

    async def status(self) -> list[ProviderStatus]:
        """Return what each service offers now, in order of their names; asked at most once a minute. Never raises."""
        return list(await asyncio.gather(*(self._asked(self._services[name]) for name in sorted(self._services))))

    async def _asked(self, service: HTTPService) -> ProviderStatus:
        at, status = self._status.get(service.name, (0.0, None))
        now = self._monotonic()
        if status is None or now - at >= STATUS_KEPT_SECONDS:
            status = await service.status()
            self._status[service.name] = (now, status)
        return status

    def _checked_default(self, model: str | None) -> str | None:
        # The one rule today: what the configuration names. Others, such as "the only key there is", belong here.
        if model is None:
            return None
        try:
            self.resolve(model)
        except ProviderError as error:
            raise Invalid(f"default_model: {error.message}", field="default_model") from None
        return model

    def _listed(self) -> str:
        return ", ".join(sorted(self._services))


def _openai(environ: Mapping[str, str]) -> Endpoint:
    url = environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL
    return read_endpoint("openai", {"base_url": url, "api_key_env": "OPENAI_API_KEY"})
