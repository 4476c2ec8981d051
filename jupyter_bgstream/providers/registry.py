"""All services of a server, by name: the built-in ones, what the ``providers`` setting makes of them, and plug-ins."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..core.errors import Invalid, ProviderError
from ..core.events import Usage
from ..core.job import JobSpec
from ..core.machine import Fault
from .asking import Asking
from .base import Default, Provider, ProviderStatus
from .catalogue import NAMES, BuiltIn, adjusted, built_in
from .defaults import Candidate, choose
from .endpoint import Endpoint, read_endpoint
from .plugins import PluginService, PluginSettings, discovered, read_settings
from .service import HTTPService
from .unusable import Unusable

_ALIAS = re.compile(r"[A-Za-z0-9_.:-]+")
_DEMO = "demo/tour"


class Registry:
    """The Providers of a server.

    ``config`` maps a name to the fields of Endpoint: for a built-in one those that differ, for a plug-in those of
    PluginSettings, and None takes one away. ``environ`` holds the keys. ``aliases`` maps names to full names of
    models. Raises Invalid for settings that cannot be meant, at start-up rather than in somebody's job.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str],
        default_model: str | None = None,
        aliases: Mapping[str, Any] | None = None,
        keyring: bool = False,
        own: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._keyring = keyring
        self._providers: dict[str, Provider] = {}
        self._candidates: dict[str, Candidate] = {}  # for a default, in order
        config = dict(config or {})
        known = built_in(environ) if own else {}
        for name, entry in config.items():
            if entry not in (None, False) and name not in known:
                self._add_configured(name, entry)
        for name, found in known.items():
            entry = config.get(name, {})
            if entry not in (None, False):
                self._add_built_in(name, found, entry, meant=name in config)
        for name, plugin in (discovered() if own else {}).items():
            entry = config.get(name, {})
            if entry not in (None, False) and name not in self._providers:
                settings = read_settings(name, entry) if entry else PluginSettings()
                self._providers[name] = PluginService(plugin, settings, environ=environ)
        self._asking = Asking(self._providers, monotonic=monotonic)
        self.aliases = self._checked_aliases(aliases or {})
        self._default = self._checked_default(default_model)

    def full_name(self, model: str) -> str:
        """Return the model that an alias stands for; what is no alias is returned as it is."""
        return self.aliases.get(model, model)

    def resolve(self, model: str) -> Provider:
        """Return the service of ``provider/name``; the name may hold more slashes.

        Raises ProviderError: ``unknown_provider``, and ``model_not_found`` if there is no name.
        """
        name, slash, rest = model.partition("/")
        service = self._providers.get(name)
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

    def check(self, spec: JobSpec) -> None:
        """Raise Invalid for a part of a message that the model's service cannot be sent.

        A model of no service is no error here: the job waits for a server that has it, or fails.
        """
        with suppress(ProviderError):
            service = self.resolve(spec.model)
            if isinstance(service, HTTPService):
                service.check(spec.messages)

    async def price(self, model: str, usage: Usage) -> Usage:
        """Return counts with what they cost by list prices, where these are known; raises ProviderError."""
        service = self.resolve(model)
        return await service.price(model, usage) if isinstance(service, HTTPService) else usage

    async def default(self) -> Default | None:
        """Return the model of a job that names none, in bounded time.

        What the config names; else a provider's own default, of the first with a key; else the first model of the
        first local server that answers; else the demo.
        """
        if self._default is not None:
            return Default(model=self._default, why="c.BgStreamApp.default_model names it.")
        if (found := await choose(list(self._candidates.values()), self._asking, self._environ)) is not None:
            return found
        if not isinstance(self._providers.get(_DEMO.partition("/")[0]), PluginService):
            return None
        why = "No provider has a key and no local server answers. Set OPENAI_API_KEY, say, where Jupyter is started."
        return Default(model=_DEMO, why=why)

    async def status(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return what each service offers now, in order of their names, in bounded time. Never raises."""
        return await self._asking.all(refresh=refresh)

    def _add_configured(self, name: str, entry: Any) -> None:
        if isinstance(entry, Mapping) and "base_url" not in entry and name in discovered():
            return  # the settings of a plug-in
        if isinstance(entry, Mapping) and "base_url" not in entry and name in NAMES:
            raise Invalid(f"providers[{name!r}]: this version cannot speak its format.", field=f"providers[{name!r}]")
        self._add(name, read_endpoint(name, entry), meant=True)

    def _add_built_in(self, name: str, found: BuiltIn, entry: Any, *, meant: bool) -> None:
        where = f"providers[{name!r}]"
        if not isinstance(entry, Mapping):
            raise Invalid(f'{where} must be an object such as {{"idle_timeout": 300}}.', field=where)
        fields = adjusted(name, found.fields | dict(entry))
        if "base_url" not in fields:
            fault = Fault(code="missing_key", message=f"Not configured: set {found.needs}.")
            self._providers[name] = Unusable(name, str(fields["format"]), fault, configured=meant)
            return
        try:
            endpoint = read_endpoint(name, fields)
        except Invalid as error:
            if "base_url" in entry or error.field != f"{where}.base_url":
                raise
            # The environment is not ours to judge: what is wrong in it takes only this provider away.
            words = f"The environment's address for {name} cannot be used. {error.message.partition(': ')[2]}"
            fault = Fault(code="unreachable", message=words)
            self._providers[name] = Unusable(name, str(fields["format"]), fault, configured=True)
            return
        self._add(name, endpoint, meant=meant or found.named)

    def _add(self, name: str, endpoint: Endpoint, *, meant: bool) -> None:
        service = HTTPService(name, endpoint, environ=self._environ, keyring=self._keyring, meant=meant)
        self._providers[name] = service
        self._candidates[name] = Candidate(service=service, endpoint=endpoint, meant=meant)

    def _checked_aliases(self, aliases: Mapping[str, Any]) -> dict[str, str]:
        checked: dict[str, str] = {}
        for name, model in aliases.items():
            where = f"aliases[{name!r}]"
            if not isinstance(name, str) or not _ALIAS.fullmatch(name):
                raise Invalid(f"{where}: an alias has only letters, digits, and _ . : -", field=where)
            if name in self._providers:
                raise Invalid(f"{where}: this is a provider's name; choose another.", field=where)
            if not isinstance(model, str):
                raise Invalid(f"{where} must be the name of a model, as provider/name.", field=where)
            try:
                self.resolve(model)
            except ProviderError as error:
                raise Invalid(f"{where}: {error.message}", field=where) from None
            checked[name] = model
        return checked

    def _checked_default(self, model: str | None) -> str | None:
        if model is None:
            return None
        model = self.full_name(model)
        try:
            self.resolve(model)
        except ProviderError as error:
            raise Invalid(f"default_model: {error.message}", field="default_model") from None
        return model

    def _listed(self) -> str:
        return ", ".join(sorted(self._providers))
