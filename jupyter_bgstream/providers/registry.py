"""Registry of a server's providers by name: built-in ones, those of the ``providers`` setting, and plug-ins."""

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
from .builtin_services import NAMES, BuiltinProvider, builtin_providers, complete_fields
from .default_model import Candidate, choose_default
from .http_provider import HTTPProvider
from .plugins.loader import PluginProvider, PluginSettings, discovered, read_settings
from .port import Default, Provider, ProviderStatus
from .provider_settings import ProviderSettings, read_provider_settings
from .status_cache import StatusCache
from .unavailable_provider import UnavailableProvider

INVALID_CONFIG = "invalid_config"  # code of a provider with an invalid entry in the config
CORRECT = "Correct BgStreamApp in Jupyter's config, then restart Jupyter."

_ALIAS = re.compile(r"[A-Za-z0-9_.:-]+")
_DEMO = "demo/tour"


class Registry:
    """The Providers of a server.

    ``config`` maps a name to fields: of ProviderSettings (for a built-in provider, those that differ), or of
    PluginSettings for a plug-in; None removes the provider. ``environ`` holds the keys. ``aliases`` maps names to full
    names of models. An invalid entry disables only its own provider; jobs for it fail with the reason.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str],
        default_model: str | None = None,
        aliases: Mapping[str, Any] | None = None,
        keyring: bool = False,
        builtin: bool = True,  # whether built-in providers and plug-ins are included
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._keyring = keyring
        self._providers: dict[str, Provider] = {}
        self._candidates: dict[str, Candidate] = {}  # for the default model, in order
        self.problems: list[str] = []  # invalid settings, as sentences
        self._alias_problems: dict[str, str] = {}  # by alias
        self._default_problem: str | None = None
        config = dict(config or {})
        known = builtin_providers(environ) if builtin else {}
        for name, entry in config.items():
            if _is_on(entry) and name not in known:
                self._add_or_disable(name, self._add_configured, name, entry)
        for name, provider in known.items():
            if _is_on(entry := config.get(name, {})):
                self._add_or_disable(name, partial(self._add_builtin, configured=name in config), name, provider, entry)
        for name, plugin in (discovered() if builtin else {}).items():
            if _is_on(entry := config.get(name, {})) and name not in self._providers:
                self._add_or_disable(name, self._add_plugin, name, plugin, entry)
        self._cache = StatusCache(self._providers, monotonic=monotonic)
        self.aliases = self._valid_aliases(aliases or {})
        self._default = self._valid_default(default_model)

    def full_name(self, model: str) -> str:
        """Return the model of an alias; another name is returned as it is.

        Raises InvalidRequestError for an alias with an invalid entry in the config.
        """
        if (problem := self._alias_problems.get(model)) is not None:
            raise InvalidRequestError(problem, field="model")
        return self.aliases.get(model, model)

    def resolve(self, model: str) -> Provider:
        """Return the provider of ``provider/name``; the name may contain slashes.

        Raises:
            ProviderError: ``unknown_provider``, or ``model_not_found`` if the name is empty.

        """
        name, slash, rest = model.partition("/")
        provider = self._providers.get(name)
        if provider is None or not slash:
            raise ProviderError(
                f"Unknown provider in {model!r}. Use provider/model; known providers: {self._listed()}. More can be"
                " added in BgStreamApp.providers of the Jupyter server's config.",
                code="unknown_provider",
            )
        if not rest:
            raise ProviderError(
                f"No model in {model!r}. Use {name}/ followed by the model's name.", code="model_not_found"
            )
        return provider

    def check(self, spec: JobSpec) -> None:
        """Raise InvalidRequestError for a message part that the model's provider does not accept.

        An unknown provider is not an error here: the job waits for a server that has it, or fails.
        """
        with suppress(ProviderError):
            provider = self.resolve(spec.model)
            if isinstance(provider, HTTPProvider):
                provider.check(spec.messages)

    async def price(self, model: str, usage: Usage) -> Usage:
        """Return the usage with its cost by list prices, if known; raise ProviderError."""
        provider = self.resolve(model)
        return await provider.price(model, usage) if isinstance(provider, HTTPProvider) else usage

    async def default(self) -> Default | None:
        """Return the default model, in bounded time.

        It is the configured one; else that of the first provider with a key; else the first model of the first local
        server that answers; else the demo. Raises InvalidRequestError if the configured one is invalid.
        """
        if self._default_problem is not None:
            raise InvalidRequestError(self._default_problem, field="model", code="no_default_model")
        if self._default is not None:
            return Default(model=self._default, why="c.BgStreamApp.default_model names it.")
        if (found := await choose_default(list(self._candidates.values()), self._cache, self._environ)) is not None:
            return found
        if not isinstance(self._providers.get(_DEMO.partition("/")[0]), PluginProvider):
            return None
        why = (
            "No provider with a default model has a key, and no local server answers. Set a key, such as"
            " OPENAI_API_KEY, where Jupyter is started, or set c.BgStreamApp.default_model."
        )
        return Default(model=_DEMO, why=why)

    async def status(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return the status of all providers, in order of their names, in bounded time; never raise."""
        return await self._cache.all(refresh=refresh)

    def _add_or_disable(self, name: Any, add: Callable[..., None], *arguments: Any) -> None:
        # An invalid entry, or foreign code in it, must not disable the other providers.
        try:
            add(*arguments)
        except Exception as error:
            # The message of an unexpected error may quote a key.
            problem = (
                error.message
                if isinstance(error, InvalidRequestError)
                else f"providers[{name!r}] raised {type(error).__name__}."
            )
            message = f"{problem} {CORRECT}"
            info = ErrorInfo(code=INVALID_CONFIG, message=message)
            self._providers[str(name)] = UnavailableProvider(str(name), "unknown", info, configured=True)
            self.problems.append(message)

    def _add_configured(self, name: str, entry: Any) -> None:
        if isinstance(entry, Mapping) and "base_url" not in entry and name in discovered():
            return  # the settings of a plug-in
        if isinstance(entry, Mapping) and "base_url" not in entry and name in NAMES:  # only without built-in providers
            message = f"providers[{name!r}] needs base_url: this registry has no built-in providers."
            raise InvalidRequestError(message, field=f"providers[{name!r}].base_url")
        self._add(name, read_provider_settings(name, entry), configured=True)

    def _add_builtin(self, name: str, provider: BuiltinProvider, entry: Any, *, configured: bool) -> None:
        where = f"providers[{name!r}]"
        if not isinstance(entry, Mapping):
            raise InvalidRequestError(f'{where} must be an object such as {{"idle_timeout": 300}}.', field=where)
        fields = complete_fields(name, provider.fields | dict(entry))
        if "base_url" not in fields:
            info = ErrorInfo(code="missing_key", message=f"Not configured: set {provider.required}.")
            self._providers[name] = UnavailableProvider(name, str(fields["format"]), info, configured=configured)
            return
        try:
            endpoint = read_provider_settings(name, fields)
        except InvalidRequestError as error:
            if "base_url" in entry or error.field != f"{where}.base_url":
                raise
            # An invalid address in the environment disables only this provider; the settings are valid.
            message = f"The environment's address of {name} is invalid. {error.message.partition(': ')[2]}"
            info = ErrorInfo(code="unreachable", message=message)
            self._providers[name] = UnavailableProvider(name, str(fields["format"]), info, configured=True)
            return
        self._add(name, endpoint, configured=configured or provider.configured)

    def _add_plugin(self, name: str, plugin: EntryPoint, entry: Any) -> None:
        settings = read_settings(name, entry) if entry else PluginSettings()
        self._providers[name] = PluginProvider(plugin, settings, environ=self._environ)

    def _add(self, name: str, endpoint: ProviderSettings, *, configured: bool) -> None:
        provider = HTTPProvider(name, endpoint, environ=self._environ, keyring=self._keyring, configured=configured)
        self._providers[name] = provider
        self._candidates[name] = Candidate(provider=provider, endpoint=endpoint, configured=configured)

    def _valid_aliases(self, aliases: Mapping[str, Any]) -> dict[str, str]:
        valid: dict[str, str] = {}
        for name, model in aliases.items():
            problem = self._alias_problem(name, model)
            if problem is None:
                valid[name] = model
                continue
            message = f"{problem} {CORRECT}"
            self.problems.append(message)
            if "/" not in str(name):  # else it may be the name of a model, which stays available
                self._alias_problems[str(name)] = message
        return valid

    def _alias_problem(self, name: Any, model: Any) -> str | None:
        where = f"model_aliases[{name!r}]"
        if not isinstance(name, str) or not _ALIAS.fullmatch(name):
            return f"{where}: an alias may only have letters, digits, and _ . : -"
        if name in self._providers:
            return f"{where}: this is a provider's name; choose another."
        if not isinstance(model, str):
            return f"{where} must be the name of a model, as provider/name."
        try:
            self.resolve(model)
        except ProviderError as error:
            return f"{where}: {error.message}"
        return None

    def _valid_default(self, model: str | None) -> str | None:
        if model is None:
            return None
        try:
            model = self.full_name(model)
            self.resolve(model)
        except (InvalidRequestError, ProviderError) as error:
            self._default_problem = f"default_model: {error.message.removesuffix(f' {CORRECT}')} {CORRECT}"
            self.problems.append(self._default_problem)
            return None
        return model

    def _listed(self) -> str:
        return ", ".join(sorted(self._providers))


def _is_on(entry: Any) -> bool:
    return entry is not None and entry is not False  # by identity: an array, for example, has no truth value
