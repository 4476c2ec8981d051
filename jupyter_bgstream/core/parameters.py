"""Which parameters a job may not have, however deep they lie: docs/providers/index.md has the rule as a table."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from .errors import InvalidRequestError

MOST_VALUES = 100_000  # in the parameters of a job
DEEPEST = 100  # levels of objects and lists

# Where a request goes and who pays for it is the server's affair: what a notebook says of that would be stored with it,
# and could send the server's key elsewhere, since services in between take addresses deep inside a request.
_OF_THE_SERVER = frozenset(
    "".join(name.split("_"))
    for name in (
        *("api_key", "key", "token", "access_token", "bearer_token", "auth", "authorization", "azure_ad_token"),
        *("api_token", "auth_token", "authorization_token", "session_token", "secret_key", "client_secret"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "x_api_key", "password", "secret"),
        *("credentials", "base_url", "base_uri", "api_base", "api_base_url", "api_host", "api_url", "azure_endpoint"),
        *("endpoint", "host", "url", "server_url", "callback_url", "webhook_url", "webhook"),
        *("header", "headers", "extra_headers", "default_headers", "cookie", "cookies", "http_client"),
        *("proxy", "proxies", "organization", "openai_organization", "extra_query", "default_query"),
    )
)
# Ends of names that are refused if something is given, such as those of one service's key: openai_api_key.
_OF_A_KEY = ("apikey", "accesskey", "privatekey", "secretkey", "clientsecret", "credentials", "password", "accesstoken")
_OF_AN_ADDRESS = ("url", "uri", "endpoint", "host")  # ends of names that are refused if their value is an address
# Of a JSON schema: what stands below has names that somebody else has chosen, or is an example of such.
_NAMES_OF_DATA = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"enum", "const", "default", "examples", "input_examples"})
_NOTES = frozenset({"metadata", "labels"})  # texts by names of the user's own

_SEPARATORS = re.compile(r"[\W_]+")
_Path = tuple["_Path | None", str]  # what holds it, and its own part


def check_params(params: dict[str, Any]) -> None:
    """Raise InvalidRequestError for keys, addresses and headers, and for too many or too deep values."""
    left = MOST_VALUES
    todo: list[tuple[Any, _Path | None, int, bool]] = [(params, None, 0, False)]
    while todo:
        value, path, depth, free = todo.pop()
        members = _members(value)
        left -= len(members)
        if left < 0:
            raise InvalidRequestError(f"params hold more than {MOST_VALUES:,} values; leave some out.", field="params")
        if depth > DEEPEST:
            raise InvalidRequestError(
                f"params are nested more than {DEEPEST} levels deep; make them flatter.", field="params"
            )
        for name, member in members:
            here: _Path = (path, f"[{name}]" if isinstance(name, int) else f".{name}")
            if isinstance(name, str) and not free and _is_refused(name, member, value, top=path is None):
                where = _written(here)
                raise InvalidRequestError(
                    f"params may not hold {where}: keys, addresses and headers belong in the Jupyter server's"
                    " environment or in BgStreamApp.providers of its config, where no notebook and no database keeps"
                    " them.",
                    field=f"params.{where}",
                )
            if isinstance(member, dict | list) and (free or name not in _DATA):
                names_are_data = not free and (name in _NAMES_OF_DATA or (path is None and _are_notes(name, member)))
                todo.append((member, here, depth + 1, names_are_data))


def _members(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return [(str(name), member) for name, member in value.items()]
    return list(enumerate(value))


def _is_refused(name: str, value: Any, beside: dict[str, Any], *, top: bool) -> bool:
    plain = _plain(name)
    if plain == "key" and not top and "value" in beside:  # a filter: {"type": "eq", "key": "year", "value": 2026}
        return False
    if plain in _OF_THE_SERVER:
        return True
    if plain.endswith(_OF_A_KEY):
        return isinstance(value, str | list | dict)
    return plain.endswith(_OF_AN_ADDRESS) and isinstance(value, str) and "://" in value


def _plain(name: str) -> str:
    # As a service may read it that is not exact about case, separators and the width of letters.
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
    return _SEPARATORS.sub("", name.lower())


def _are_notes(name: str | int, value: dict[str, Any] | list[Any]) -> bool:
    return name in _NOTES and isinstance(value, dict) and all(isinstance(note, str) for note in value.values())


def _written(path: _Path | None) -> str:
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(part)
    return "".join(reversed(parts)).removeprefix(".")
