"""A server of people with names, as a deployment has it: a proxy says in a cookie who somebody is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from .jupyter import Jupyter, jupyter

COOKIE = "person"  # percent-encoded
_MODULE = """
from urllib.parse import unquote

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.login import LegacyLoginHandler

class People(IdentityProvider):
    def get_user(self, handler):
        name = unquote(handler.get_cookie("person", ""))
        return User(username=name) if name else super().get_user(handler)

    def is_token_authenticated(self, handler):
        return True

class Login(LegacyLoginHandler):
    @classmethod
    def get_user(cls, handler):
        name = unquote(handler.get_cookie("person", ""))
        return {"name": name} if name else super().get_user(handler)

    @classmethod
    def is_token_authenticated(cls, handler):
        return True
"""
Way = Literal[
    "identity provider", "login handler"
]  # the latter is older; JupyterHub's classic single-user server has it
_SETTINGS: dict[Way, dict[str, str]] = {
    "identity provider": {"identity_provider_class": "named_people.People"},
    "login handler": {"login_handler_class": "named_people.Login"},
}


@contextlib.contextmanager
def server_of_people(
    home: Path, config: dict[str, Any], *, way: Way = "identity provider", lab: bool = False
) -> Iterator[Jupyter]:
    """A running server whose requests are of whom the cookie names."""
    (home / "named_people.py").write_text(_MODULE)
    config = config | {"ServerApp": config.get("ServerApp", {}) | _SETTINGS[way]}
    with jupyter(home, lab=lab, config=config, PYTHONPATH=str(home)) as server:
        yield server


def send(server: Jupyter, person: str | None, verb: str, path: str, **kwargs: Any) -> httpx.Response:
    """Send a request to the API as a person; None is a kernel."""
    if person is None:
        headers = {"Authorization": f"token {json.loads(server.runtime_file.read_text())['token']}"}
    else:
        headers = {"Cookie": f"{COOKIE}={quote(person)}"}
    with httpx.Client(base_url=server.api, headers=headers, trust_env=False, verify=False, timeout=60) as client:
        return client.request(verb, path, **kwargs)


def ask(server: Jupyter, person: str | None, verb: str, path: str, **kwargs: Any) -> Any:
    """Send a request that is not refused, and return its answer."""
    response = send(server, person, verb, path, **kwargs)
    assert response.is_success, response.text
    return response.json() if response.content else None


def until_ended(server: Jupyter, job: str) -> dict[str, Any]:
    """Follow a job to its end, as a kernel."""
    while (found := ask(server, None, "GET", f"jobs/{job}"))["ended_at"] is None:
        send(server, None, "GET", f"jobs/{job}/events?offset=now&live=long-poll")
    return dict(found)
