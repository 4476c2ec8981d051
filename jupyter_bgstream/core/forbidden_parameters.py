"""Forbidden parameters, at any depth. The rule as a table: docs/reference/providers/index.md."""

import re
import unicodedata
from typing import Any

from .errors import InvalidRequestError

MAX_VALUES = 100_000  # in the parameters of a job
MAX_DEPTH = 100  # levels of objects and lists

# The server decides where a request goes and which account pays. Such a parameter from a notebook would be stored with
# the job, and could send the server's key elsewhere: gateways accept addresses deep inside a request.
_SERVER_SETTINGS = frozenset(
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
# Suffixes of names of keys, such as openai_api_key; refused if there is a value.
_KEY_SUFFIXES = (
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "clientsecret",
    "credentials",
    "password",
    "accesstoken",
)
_ADDRESS_SUFFIXES = ("url", "uri", "endpoint", "host")  # of names; refused if the value is an address
# Parts of a JSON schema whose members have arbitrary names, or are example data.
_NAMES_OF_DATA = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"enum", "const", "default", "examples", "input_examples"})
_NOTES = frozenset({"metadata", "labels"})  # texts by names that the user chooses

_SEPARATORS = re.compile(r"[\W_]+")
_Path = tuple["_Path | None", str]  # the path of its container, and its own part


def check_params(params: dict[str, Any]) -> None:
    """Check the parameters of a job.

    Raises:
        InvalidRequestError: They contain keys, addresses or headers, too many values or too many levels.
    """
    left = MAX_VALUES
    todo: list[tuple[Any, _Path | None, int, bool]] = [(params, None, 0, False)]
    while todo:
        value, path, depth, free = todo.pop()
        members = _members(value)
        left -= len(members)
        if left < 0:
            raise InvalidRequestError(f"params hold more than {MAX_VALUES:,} values; leave some out.", field="params")
        if depth > MAX_DEPTH:
            raise InvalidRequestError(
                f"params are nested more than {MAX_DEPTH} levels deep; make them flatter.", field="params"
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
    if plain in _SERVER_SETTINGS:
        return True
    if plain.endswith(_KEY_SUFFIXES):
        return isinstance(value, str | list | dict)
    return plain.endswith(_ADDRESS_SUFFIXES) and isinstance(value, str) and "://" in value


def _plain(name: str) -> str:
    # Some services ignore case, separators and the width of letters.
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
