"""Where a service is and how to speak to it: one entry of the ``providers`` setting."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec

from ..core.errors import InvalidRequestError
from .formats.dialects import DialectName
from .proxies import SCHEMES

CONNECT_SECONDS = 20.0
IDLE_SECONDS = 120.0
TOTAL_SECONDS = 2 * 3600.0

PROVIDER_NAME = re.compile(r"[a-z0-9_-]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token, RFC 9110
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_SECRET = re.compile(r"key|token|secret|password|signature|^sig$|auth", re.I)  # such a parameter holds what is secret


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service, what it speaks and the way to it. Shows neither key nor headers."""

    base_url: str  # what the format's paths, such as /chat/completions, are added to; its query goes with every request
    format: Literal["chat_completions", "responses", "messages", "gemini", "ollama"] = "chat_completions"
    dialect: DialectName = "plain"  # of Chat Completions: how the service names what it takes
    api_key_env: str | tuple[str, ...] | None = None  # environment variables that may hold the key; the first wins
    api_key: Any = None  # the key, or a function without arguments that returns it; None, and no variable: wants none
    key_header: str | None = None  # the header that carries the key, if not the format's own
    headers: dict[str, Any] = {}  # sent with every request; a value is a string or a function that returns one
    done_is_end: bool = False  # of Chat Completions: [DONE] ends an answer of a service that gives no finish_reason
    background: bool = False  # answers go on at the service while nobody reads; it keeps them for that
    models: tuple[str, ...] = ()  # if given, the list shown, and the service is not asked for one
    default_model: str | None = None  # asked where no model is named and this provider is the default
    proxy: str | Literal[False] | None = None  # URL; None: as the environment says; False: none
    ca_bundle: str | None = None  # path of the authorities' certificates (PEM); None: those of the system
    connect_timeout: float = CONNECT_SECONDS  # seconds
    idle_timeout: float = IDLE_SECONDS  # seconds without a byte
    total_timeout: float = TOTAL_SECONDS  # seconds; generous, since long answers are healthy

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"  # without what may hold a secret

    def url(self, path: str) -> str:
        """Return the address of a path of the format, which may have a query."""
        base, _, query = self.base_url.partition("?")
        return f"{base}{path}{('&' if '?' in path else '?') + query if query else ''}"

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the variables that may hold the key."""
        names = self.api_key_env
        return (names,) if isinstance(names, str) else names or ()


def read_endpoint(name: str, config: Any) -> Endpoint:
    """Check one entry of the ``providers`` setting.

    Raises InvalidRequestError that says what is wrong with it and where.
    """
    where = f"providers[{name!r}]"
    if not isinstance(name, str) or not PROVIDER_NAME.fullmatch(name):
        raise InvalidRequestError(f"{where}: a provider's name has only a-z, 0-9, _ and -.", field=where)
    if not isinstance(config, Mapping):
        raise InvalidRequestError(f'{where} must be an object such as {{"base_url": "https://…/v1"}}.', field=where)
    try:
        endpoint = msgspec.convert(dict(config), Endpoint)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(
            f"{where} is wrong: {error}. Its fields are {', '.join(Endpoint.__struct_fields__)}.", field=where
        ) from None
    if problem := _url_problem(endpoint.base_url):
        raise InvalidRequestError(f"{where}: {problem}", field=f"{where}.base_url")
    if endpoint.background and endpoint.format != "responses":
        raise InvalidRequestError(f"{where}: only the format responses knows background.", field=f"{where}.background")
    if endpoint.done_is_end and endpoint.format != "chat_completions":
        raise InvalidRequestError(
            f"{where}: only the format chat_completions has done_is_end.", field=f"{where}.done_is_end"
        )
    for problem, setting in (
        (_key_problem(endpoint, name), "api_key_env"),
        (_api_key_problem(endpoint.api_key), "api_key"),
        (_headers_problem(endpoint), "headers"),
        (_proxy_problem(endpoint.proxy), "proxy"),
        (_authorities_problem(endpoint.ca_bundle), "ca_bundle"),
    ):
        if problem:
            raise InvalidRequestError(f"{where}: {problem}", field=f"{where}.{setting}")
    for setting in ("connect_timeout", "idle_timeout", "total_timeout"):
        if not getattr(endpoint, setting) > 0:
            raise InvalidRequestError(f"{where}: {setting} must be more than 0 seconds.", field=f"{where}.{setting}")
    base, *query = endpoint.base_url.split("?", 1)
    return msgspec.structs.replace(endpoint, base_url="?".join([base.rstrip("/"), *filter(None, query)]))


def _url_problem(url: str) -> str | None:
    try:
        parts = httpx.URL(url)  # the same parser that the request will go through
    except (httpx.InvalidURL, ValueError):
        # What is wrong with it is not shown: it may be a key, put into the wrong place.
        return "base_url is not a URL; write one such as https://api.example.org/v1."
    if parts.port is not None and not 0 < parts.port < 65536:
        return f"base_url is not a URL: there is no port {parts.port}."
    if parts.scheme not in ("http", "https") or not parts.host:
        return "base_url must be an http or https URL such as https://api.example.org/v1."
    if parts.userinfo or parts.fragment or any(_SECRET.search(name) for name in parts.params):
        return "base_url may hold no password, key or fragment; a key belongs in the variable that api_key_env names."
    return None


def _key_problem(endpoint: Endpoint, name: str) -> str | None:
    if all(variable.isidentifier() for variable in endpoint.key_names):
        return None
    # Not shown: it may be the key itself, put into the wrong place.
    return f"api_key_env is the *name* of an environment variable, such as {name.upper().replace('-', '_')}_API_KEY."


def _api_key_problem(key: Any) -> str | None:
    if key is None or callable(key) or (isinstance(key, str) and key.strip()):
        return None
    return "api_key is the key, or a function without arguments that returns it."


def _headers_problem(endpoint: Endpoint) -> str | None:
    names = [*endpoint.headers, *([endpoint.key_header] if endpoint.key_header is not None else [])]
    for name in names:
        if not _HEADER_NAME.fullmatch(name):
            return f"{name!r} cannot be sent as a header."
    for name, value in endpoint.headers.items():
        if not (callable(value) or can_be_sent(value)):
            return f"{name!r} cannot be sent as a header: its value is no line of text, and no function."
    return None


def can_be_sent(value: Any) -> bool:
    """Return whether this may be the value of a header."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


def _proxy_problem(proxy: str | Literal[False] | None) -> str | None:
    if not isinstance(proxy, str):
        return None
    try:
        url = httpx.URL(proxy)
    except (httpx.InvalidURL, ValueError):
        return "proxy is not a URL; write one such as http://proxy.example.org:3128."
    if url.scheme not in SCHEMES or not url.host:
        return "proxy must be a URL such as http://proxy.example.org:3128, or socks5://…"
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        return "for a SOCKS proxy: pip install 'httpx[socks]'."
    return None


def _authorities_problem(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        authorities(path)
    except (OSError, ValueError) as error:
        return f"ca_bundle {path!r} cannot be read as certificates (PEM): {getattr(error, 'strerror', None) or error}."
    return None


def authorities(path: str) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file or folder; raises OSError or ssl.SSLError."""
    found = Path(path).expanduser()
    if found.is_dir():
        return ssl.create_default_context(capath=str(found))
    return ssl.create_default_context(cafile=str(found))
