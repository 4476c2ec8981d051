"""Settings of a provider: its address, wire format, key and connection, as one entry of the ``providers`` setting."""

import re
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import msgspec

from ..core.errors import InvalidRequestError
from .formats.dialects import DialectName
from .proxies import SCHEMES

S = TypeVar("S", bound=msgspec.Struct)

CONNECT_SECONDS = 20.0
IDLE_SECONDS = 120.0
TOTAL_SECONDS = 2 * 3600.0

PROVIDER_NAME = re.compile(r"[a-z0-9_-]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token, RFC 9110
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_SECRET = re.compile(r"key|token|secret|password|signature|^sig$|auth", re.I)  # names of parameters with secrets


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's address, format and connection settings. Its repr shows neither key nor headers."""

    base_url: str  # to which the format's paths, such as /chat/completions, are added; its query is always sent
    format: Literal["chat_completions", "responses", "messages", "gemini", "ollama"] = "chat_completions"
    dialect: DialectName = "plain"  # of Chat Completions: the service's own names of parameters
    api_key_env: str | tuple[str, ...] | None = None  # environment variables that may hold the key; the first wins
    api_key: Any = None  # the key, or a function without arguments that returns it; None without a variable: no key
    key_header: str | None = None  # the header that carries the key, if not the format's own
    headers: dict[str, Any] = {}  # sent with every request; a value is a string or a function that returns one
    done_is_end: bool = False  # of Chat Completions: [DONE] ends an answer of a service that gives no finish_reason
    background: bool = False  # responses continue at the provider without a reader; it stores them for that
    models: tuple[str, ...] = ()  # if given, the list of models; the provider is not asked for one
    default_model: str | None = None  # for jobs without a model, if this provider is the default
    proxy: str | Literal[False] | None = None  # URL; None: of the environment; False: none
    ca_bundle: str | None = None  # path of certificates of authorities (PEM); None: the system's
    connect_timeout: float = CONNECT_SECONDS  # seconds
    idle_timeout: float = IDLE_SECONDS  # seconds without a byte
    total_timeout: float = TOTAL_SECONDS  # seconds; generous, since long answers are normal

    def __repr__(self) -> str:
        return f"ProviderSettings({self.base_url!r})"  # without fields that may hold a secret

    def url(self, path: str) -> str:
        """Return the URL of a path of the format, which may have a query."""
        base, _, query = self.base_url.partition("?")
        return f"{base}{path}{('&' if '?' in path else '?') + query if query else ''}"

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the variables that may hold the key."""
        names = self.api_key_env
        return (names,) if isinstance(names, str) else names or ()


def read_provider_settings(name: str, config: Any) -> ProviderSettings:
    """Check one entry of the ``providers`` setting.

    Raises:
        InvalidRequestError: with the problem and its field.

    """
    where = f"providers[{name!r}]"
    if not isinstance(name, str) or not PROVIDER_NAME.fullmatch(name):
        raise InvalidRequestError(f"{where}: a provider's name may only have a-z, 0-9, _ and -.", field=where)
    if not isinstance(config, Mapping):
        raise InvalidRequestError(f'{where} must be an object such as {{"base_url": "https://…/v1"}}.', field=where)
    endpoint = read_fields(name, config, ProviderSettings, "Its fields are {}.")
    if problem := _url_problem(endpoint.base_url):
        raise InvalidRequestError(f"{where}: {problem}", field=f"{where}.base_url")
    if endpoint.background and endpoint.format != "responses":
        raise InvalidRequestError(f"{where}: only the format responses has background.", field=f"{where}.background")
    if endpoint.done_is_end and endpoint.format != "chat_completions":
        raise InvalidRequestError(
            f"{where}: only the format chat_completions has done_is_end.", field=f"{where}.done_is_end"
        )
    for problem, setting in (
        (_key_problem(endpoint, name), "api_key_env"),
        (_api_key_problem(endpoint.api_key), "api_key"),
        (_headers_problem(endpoint), "headers"),
        (_proxy_problem(endpoint.proxy), "proxy"),
        (_ca_bundle_problem(endpoint.ca_bundle), "ca_bundle"),
    ):
        if problem:
            raise InvalidRequestError(f"{where}: {problem}", field=f"{where}.{setting}")
    check_timeouts(name, endpoint)
    base, *query = endpoint.base_url.split("?", 1)
    return msgspec.structs.replace(endpoint, base_url="?".join([base.rstrip("/"), *filter(None, query)]))


def read_fields(name: str, config: Mapping[str, Any], kind: type[S], hint: str) -> S:
    """Return the fields of an entry; raise InvalidRequestError with ``hint``, in which ``{}`` are the known fields."""
    where = f"providers[{name!r}]"
    try:
        return msgspec.convert(dict(config), kind)
    except msgspec.ValidationError as error:
        fields = hint.format(", ".join(kind.__struct_fields__))
        raise InvalidRequestError(f"{where} is invalid: {error}. {fields}", field=where) from None


def check_timeouts(name: str, settings: msgspec.Struct) -> None:
    """Raise InvalidRequestError for a time-out that is not above 0."""
    for setting in settings.__struct_fields__:
        if setting.endswith("_timeout") and not getattr(settings, setting) > 0:
            field = f"providers[{name!r}].{setting}"
            raise InvalidRequestError(f"providers[{name!r}]: {setting} must be more than 0 seconds.", field=field)


def _url_problem(url: str) -> str | None:
    try:
        parts = httpx.URL(url)  # the parser of the request
    except (httpx.InvalidURL, ValueError):
        # The value is not shown: it may be a key in the wrong place.
        return "base_url is not a URL; use one such as https://api.example.org/v1."
    if parts.port is not None and not 0 < parts.port < 65536:
        return f"base_url is not a URL: there is no port {parts.port}."
    if parts.scheme not in ("http", "https") or not parts.host:
        return "base_url must be an http or https URL such as https://api.example.org/v1."
    if parts.userinfo or parts.fragment or any(_SECRET.search(name) for name in parts.params):
        return "base_url must not hold a password, key or fragment; set the variable of api_key_env to the key."
    return None


def _key_problem(endpoint: ProviderSettings, name: str) -> str | None:
    if all(variable.isidentifier() for variable in endpoint.key_names):
        return None
    # The value is not shown: it may be the key itself.
    return f"api_key_env is the *name* of an environment variable, such as {name.upper().replace('-', '_')}_API_KEY."


def _api_key_problem(key: Any) -> str | None:
    if key is None or callable(key) or (isinstance(key, str) and key.strip()):
        return None
    return "api_key must be the key, or a function without arguments that returns it."


def _headers_problem(endpoint: ProviderSettings) -> str | None:
    names = [*endpoint.headers, *([endpoint.key_header] if endpoint.key_header is not None else [])]
    for name in names:
        if not _HEADER_NAME.fullmatch(name):
            return f"{name!r} cannot be sent as a header."
    for name, value in endpoint.headers.items():
        if not (callable(value) or is_header_value(value)):
            return f"{name!r} cannot be sent as a header: its value is neither a line of text nor a function."
    return None


def is_header_value(value: Any) -> bool:
    """Return whether a value can be sent in a header."""
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


def _proxy_problem(proxy: str | Literal[False] | None) -> str | None:
    if not isinstance(proxy, str):
        return None
    try:
        url = httpx.URL(proxy)
    except (httpx.InvalidURL, ValueError):
        return "proxy is not a URL; use one such as http://proxy.example.org:3128."
    if url.scheme not in SCHEMES or not url.host:
        return "proxy must be a URL such as http://proxy.example.org:3128, or socks5://…"
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        return "a SOCKS proxy needs a package: pip install 'httpx[socks]'."
    return None


def _ca_bundle_problem(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        tls_context(path)
    except (OSError, ValueError) as error:
        return f"ca_bundle {path!r} cannot be read as certificates (PEM): {getattr(error, 'strerror', None) or error}."
    return None


def tls_context(path: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the certificates in a file or folder; raise OSError or ssl.SSLError."""
    bundle = Path(path).expanduser()
    if bundle.is_dir():
        return ssl.create_default_context(capath=str(bundle))
    return ssl.create_default_context(cafile=str(bundle))
