"""Where a service is and how to speak to it: one entry of the ``providers`` setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import httpx
import msgspec

from ..core.errors import Invalid
from .formats.dialects import DialectName

IDLE_SECONDS = 120.0
TOTAL_SECONDS = 2 * 3600.0

_NAME = re.compile(r"[a-z0-9_-]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token, RFC 9110
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service and what it speaks. Holds no key, only the name of the variable that does."""

    base_url: str  # what the format's paths, such as /chat/completions, are added to
    format: Literal["chat_completions", "responses", "messages", "gemini", "ollama"] = "chat_completions"
    dialect: DialectName = "plain"  # of Chat Completions: how the service names what it takes
    api_key_env: str | None = None  # environment variable that holds the key; None: the service wants none
    headers: dict[str, str] = {}  # sent with every request
    background: bool = False  # answers go on at the service while nobody reads; it keeps them for that
    models: tuple[str, ...] = ()  # if given, the list shown, and the service is not asked for one
    idle_timeout: float = IDLE_SECONDS  # seconds without a byte
    total_timeout: float = TOTAL_SECONDS  # seconds; generous, since long answers are healthy

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"  # without headers: they may hold a secret


def read_endpoint(name: str, config: Any) -> Endpoint:
    """Check one entry of the ``providers`` setting; raises Invalid that says what is wrong with it and where."""
    where = f"providers[{name!r}]"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Invalid(f"{where}: a provider's name has only a-z, 0-9, _ and -.", field=where)
    if not isinstance(config, Mapping):
        raise Invalid(f'{where} must be an object such as {{"base_url": "https://…/v1"}}.', field=where)
    try:
        endpoint = msgspec.convert(dict(config), Endpoint)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{where} is wrong: {error}. Its fields are {', '.join(Endpoint.__struct_fields__)}.", field=where
        ) from None
    if problem := _url_problem(endpoint.base_url):
        raise Invalid(f"{where}: {problem}", field=f"{where}.base_url")
    if endpoint.background and endpoint.format != "responses":
        raise Invalid(f"{where}: only the format responses knows background.", field=f"{where}.background")
    if endpoint.api_key_env is not None and not endpoint.api_key_env.isidentifier():
        # Not shown: it may be the key itself, put into the wrong place.
        raise Invalid(
            f"{where}: api_key_env is the *name* of an environment variable, such as {name.upper()}_API_KEY.",
            field=f"{where}.api_key_env",
        )
    for header, value in endpoint.headers.items():
        if not _HEADER_NAME.fullmatch(header) or not _HEADER_VALUE.fullmatch(value):
            raise Invalid(f"{where}: {header!r} cannot be sent as a header.", field=f"{where}.headers")
    for setting in ("idle_timeout", "total_timeout"):
        if not getattr(endpoint, setting) > 0:
            raise Invalid(f"{where}: {setting} must be more than 0 seconds.", field=f"{where}.{setting}")
    return msgspec.structs.replace(endpoint, base_url=endpoint.base_url.rstrip("/"))


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
    if parts.userinfo or parts.query or parts.fragment:
        return "base_url may hold no password, query or fragment; a key belongs in the variable that api_key_env names."
    return None
