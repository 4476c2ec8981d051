"""All services of a server, by name: the built-in ones, what the ``providers`` setting makes of them, and plug-ins."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

from ..core.errors import InvalidRequestError, ProviderError
from ..core.events import Usage
from ..core.job import JobSpec
from ..core.state import ErrorInfo
from .base import Default, Provider, ProviderStatus
from .builtin import NAMES, BuiltinProvider, adjusted, built_in
from .default_model import Candidate, choose
from .endpoint import Endpoint, read_endpoint
from .http_provider import HTTPProvider
from .plugins.loader import PluginProvider, PluginSettings, discovered, read_settings
from .status_cache import StatusCache
from .unconfigured import UnconfiguredProvider

INVALID_CONFIG = "invalid_config"  # the code of a provider whose entry in the config is wrong
CORRECT = "Correct BgStreamApp in Jupyter's config, then restart Jupyter."

_ALIAS = re.compile(r"[A-Za-z0-9_.:-]+")
_DEMO = "demo/tour"


class Registry:
    """The Providers of a server.

    ``config`` maps a name to the fields of Endpoint: for a built-in one those that differ, for a plug-in those of
    PluginSettings, and None takes one away. ``environ`` holds the keys. ``aliases`` maps names to full names of
    models. A wrong entry takes away itself alone: whoever asks for it is refused with the reason.
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
        self.problems: list[str] = []  # what is wrong in the settings, as sentences
        self._wrong_aliases: dict[str, str] = {}  # the reason by name
        self._wrong_default: str | None = None  # the reason
        config = dict(config or {})
        known = built_in(environ) if own else {}
        for name, entry in config.items():
            if _is_on(entry) and name not in known:
                self._guard(name, self._add_configured, name, entry)
        for name, found in known.items():
            if _is_on(entry := config.get(name, {})):
                self._guard(name, partial(self._add_built_in, meant=name in config), name, found, entry)
        for name, plugin in (discovered() if own else {}).items():
            if _is_on(entry := config.get(name, {})) and name not in self._providers:
                self._guard(name, self._add_plugin, name, plugin, entry)
        self._asking = StatusCache(self._providers, monotonic=monotonic)
        self.aliases = self._checked_aliases(aliases or {})
        self._default = self._checked_default(default_model)

    def full_name(self, model: str) -> str:
        """Return the model that an alias stands for; what is no alias is returned as it is.

        Raises InvalidRequestError for an alias that is wrong in the config.
        """
        if (problem := self._wrong_aliases.get(model)) is not None:
            raise InvalidRequestError(problem, field="model")
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
        """Raise InvalidRequestError for a part of a message that the model's service cannot be sent.

        A model of no service is no error here: the job waits for a server that has it, or fails.
        """
        with suppress(ProviderError):
            service = self.resolve(spec.model)
            if isinstance(service, HTTPProvider):
                service.check(spec.messages)

    async def price(self, model: str, usage: Usage) -> Usage:
        """Return counts with what they cost by list prices, where these are known; raises ProviderError."""
        service = self.resolve(model)
        return await service.price(model, usage) if isinstance(service, HTTPProvider) else usage

    async def default(self) -> Default | None:
        """Return the model of a job that names none, in bounded time.

        What the config names; else a provider's own default, of the first with a key; else the first model of the
        first local server that answers; else the demo. Raises InvalidRequestError if what the config names is wrong.
        """
        if self._wrong_default is not None:
            raise InvalidRequestError(self._wrong_default, field="model", code="no_default_model")
        if self._default is not None:
            return Default(model=self._default, why="c.BgStreamApp.default_model names it.")
        if (found := await choose(list(self._candidates.values()), self._asking, self._environ)) is not None:
            return found
        if not isinstance(self._providers.get(_DEMO.partition("/")[0]), PluginProvider):
            return None
        why = (
            "No provider that names a default model has a key, and no local server answers. Set OPENAI_API_KEY, say,"
            " where Jupyter is started, or c.BgStreamApp.default_model."
        )
        return Default(model=_DEMO, why=why)

    async def status(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return what each service offers now, in order of their names, in bounded time. Never raises."""
        return await self._asking.all(refresh=refresh)

    def _guard(self, name: Any, add: Callable[..., None], *arguments: Any) -> None:
        # Whatever is wrong with one entry, and with the code of others in it, the other providers can be asked.
        try:
            add(*arguments)
        except Exception as error:
            # The text of an unexpected error may quote a key.
            what = (
                error.message
                if isinstance(error, InvalidRequestError)
                else f"providers[{name!r}] fails: {type(error).__name__}."
            )
            message = f"{what} {CORRECT}"
            fault = ErrorInfo(code=INVALID_CONFIG, message=message)
            self._providers[str(name)] = UnconfiguredProvider(str(name), "unknown", fault, configured=True)
            self.problems.append(message)

    def _add_configured(self, name: str, entry: Any) -> None:
        if isinstance(entry, Mapping) and "base_url" not in entry and name in discovered():
            return  # the settings of a plug-in
        if isinstance(entry, Mapping) and "base_url" not in entry and name in NAMES:
            raise InvalidRequestError(
                f"providers[{name!r}]: this version cannot speak its format.", field=f"providers[{name!r}]"
            )
        self._add(name, read_endpoint(name, entry), meant=True)

    def _add_built_in(self, name: str, found: BuiltinProvider, entry: Any, *, meant: bool) -> None:
        where = f"providers[{name!r}]"
        if not isinstance(entry, Mapping):
            raise InvalidRequestError(f'{where} must be an object such as {{"idle_timeout": 300}}.', field=where)
        fields = adjusted(name, found.fields | dict(entry))
        if "base_url" not in fields:
            fault = ErrorInfo(code="missing_key", message=f"Not configured: set {found.needs}.")
            self._providers[name] = UnconfiguredProvider(name, str(fields["format"]), fault, configured=meant)
            return
        try:
            endpoint = read_endpoint(name, fields)
        except InvalidRequestError as error:
            if "base_url" in entry or error.field != f"{where}.base_url":
                raise
            # The environment is not ours to judge: what is wrong in it takes only this provider away.
            words = f"The environment's address for {name} cannot be used. {error.message.partition(': ')[2]}"
            fault = ErrorInfo(code="unreachable", message=words)
            self._providers[name] = UnconfiguredProvider(name, str(fields["format"]), fault, configured=True)
            return
        self._add(name, endpoint, meant=meant or found.named)

    def _add_plugin(self, name: str, plugin: EntryPoint, entry: Any) -> None:
        settings = read_settings(name, entry) if entry else PluginSettings()
        self._providers[name] = PluginProvider(plugin, settings, environ=self._environ)

    def _add(self, name: str, endpoint: Endpoint, *, meant: bool) -> None:
        service = HTTPProvider(name, endpoint, environ=self._environ, keyring=self._keyring, meant=meant)
        self._providers[name] = service
        self._candidates[name] = Candidate(service=service, endpoint=endpoint, meant=meant)

    def _checked_aliases(self, aliases: Mapping[str, Any]) -> dict[str, str]:
        checked: dict[str, str] = {}
        for name, model in aliases.items():
            problem = self._alias_problem(name, model)
            if problem is None:
                checked[name] = model
                continue
            message = f"aliases[{name!r}]{problem} {CORRECT}"
            self.problems.append(message)
            if "/" not in str(name):  # else it may be the name of a model, which is still there
                self._wrong_aliases[str(name)] = message
        return checked

    def _alias_problem(self, name: Any, model: Any) -> str | None:
        if not isinstance(name, str) or not _ALIAS.fullmatch(name):
            return ": an alias has only letters, digits, and _ . : -"
        if name in self._providers:
            return ": this is a provider's name; choose another."
        if not isinstance(model, str):
            return " must be the name of a model, as provider/name."
        try:
            self.resolve(model)
        except ProviderError as error:
            return f": {error.message}"
        return None

    def _checked_default(self, model: str | None) -> str | None:
        if model is None:
            return None
        try:
            model = self.full_name(model)
            self.resolve(model)
        except (InvalidRequestError, ProviderError) as error:
            self._wrong_default = f"default_model: {error.message.removesuffix(f' {CORRECT}')} {CORRECT}"
            self.problems.append(self._wrong_default)
            return None
        return model

    def _listed(self) -> str:
        return ", ".join(sorted(self._providers))


def _is_on(entry: Any) -> bool:
    return entry is not None and entry is not False  # by identity: an array, say, has no truth
