"""Failing identity providers: the response names the failure without internal details."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for
from server.websocket_client import HANDSHAKE

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider

FAILING = """
from jupyter_server.auth import IdentityProvider, User
from tornado.web import HTTPError

SECRET = "http://10.0.0.7:8081"
FAILURES = {
    "down": HTTPError(500, f"Failed to connect to {SECRET}: 100 %"),
    "upstream": HTTPError(502, SECRET),
    "bug": ValueError(SECRET),
    "refused": HTTPError(401, "Your account is locked: 100 %"),
}

class Failing(IdentityProvider):
    def get_user(self, handler):
        failure = FAILURES.get(handler.request.headers.get("X-Fail"))
        if failure is not None:
            raise failure
        return User(username="ada")

    def is_token_authenticated(self, handler):
        return True
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    home = tmp_path_factory.mktemp("home")
    (home / "failing.py").write_text(FAILING)
    config = config_for(provider) | {"ServerApp": {"identity_provider_class": "failing.Failing"}}
    with jupyter(home, config=config, PYTHONPATH=str(home)) as server:
        yield server


def ask(server: Jupyter, failure: str, path: str, verb: str = "GET") -> httpx.Response:
    headers = {"X-Fail": failure} | (HANDSHAKE if path == "live" else {})
    return httpx.request(verb, server.api + path, headers=headers, trust_env=False, verify=False, timeout=60)


@pytest.mark.parametrize("failure", ["down", "upstream", "bug"])
@pytest.mark.parametrize(("verb", "path"), [("GET", "jobs"), ("POST", "jobs"), ("GET", "live"), ("PUT", "nowhere")])
def test_failing_identity_provider_is_503(server: Jupyter, failure: str, verb: str, path: str) -> None:
    answer = ask(server, failure, path, verb)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "10.0.0.7" not in answer.text
    assert answer.json()["message"].startswith("The identity provider could not authenticate this request.")
    assert int(answer.headers["Retry-After"]) > 0


def test_refusal_of_identity_provider_is_passed_on(server: Jupyter) -> None:
    answer = ask(server, "refused", "jobs")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert ask(server, "", "jobs").status_code == 200
