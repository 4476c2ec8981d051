"""The tenant owns the jobs, and each real person has an inbox of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for

from jupyter_bgstream.testing.scripted import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

# An identity provider as a deployment has one: a proxy says who it is.
PEOPLE = """
from jupyter_server.auth import IdentityProvider, User

class People(IdentityProvider):
    def get_user(self, handler):
        name = handler.request.headers.get("X-User")
        return User(username=name) if name else None

    def is_token_authenticated(self, handler):
        return True
"""


def ask(server: Jupyter, user: str, verb: str, path: str, **kwargs: Any) -> Any:
    with httpx.Client(base_url=server.api, headers={"X-User": user}, trust_env=False, timeout=30) as client:
        response = client.request(verb, path, **kwargs)
        return response.json() if response.content else None


def test_people_share_jobs_and_not_what_they_have_read(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["shared"] = answer("x")
    (tmp_path / "people.py").write_text(PEOPLE)
    config = config_for(provider) | {"ServerApp": {"identity_provider_class": "people.People"}}
    with jupyter(tmp_path, config=config, PYTHONPATH=str(tmp_path)) as server:
        job = ask(server, "ada", "POST", "jobs", json={"model": "demo/shared", "prompt": "x"})["id"]
        while ask(server, "bob", "GET", f"jobs/{job}")["status"] != "completed":  # bob sees ada's job: one tenant
            httpx.get(
                f"{server.api}jobs/{job}/events?offset=now&live=long-poll",
                headers={"X-User": "bob"},
                trust_env=False,
                timeout=30,
            )
        assert ask(server, "ada", "POST", "notices/read", json={"all": True})["unread"] == 0
        assert ask(server, "bob", "GET", "notices")["unread"] == 1
        (notice,) = ask(server, "bob", "GET", "notices")["notices"]
        ask(server, "bob", "DELETE", f"notices/{notice['id']}")
        assert ask(server, "bob", "GET", "notices")["notices"] == []
        assert len(ask(server, "ada", "GET", "notices")["notices"]) == 1
        # A kernel acts for the tenant and is nobody: it has read nothing.
        token = json.loads(server.runtime_file.read_text())["token"]
        kernel = httpx.get(
            f"{server.api}notices", headers={"Authorization": f"token {token}"}, trust_env=False, timeout=30
        )
        assert kernel.json()["unread"] == 1
