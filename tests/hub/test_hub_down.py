"""The Hub itself is down, while its proxy and the users' servers continue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.hub import Hub, UserServer
from hub.conftest import MODES
from hub.test_access import ask, by_token
from server.websocket_client import HANDSHAKE

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

Down = dict[str, UserServer]


@pytest.fixture(scope="module")
def down(hub: Hub) -> Iterator[Down]:
    """Servers whose Hub is down, by mode. They have not met their users' newest tokens yet."""
    servers = {mode: hub.server(user) for mode, user in MODES.items()}
    for server in servers.values():
        server.note_kernel_access()
        server.token = hub.new_token(server.user)
    hub.stop_hub()
    yield servers
    hub.start_hub()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("verb", "path"), [("GET", "jobs"), ("GET", "live"), ("GET", "nowhere")])
def test_request_gets_503_without_address_of_hub(hub: Hub, down: Down, mode: str, verb: str, path: str) -> None:
    server = down[mode]
    headers = {"Authorization": f"token {server.token}"} | (HANDSHAKE if path == "live" else {})
    refused = ask(verb, server.api + path, headers=headers)
    assert refused.status_code == 503, refused.text
    error = refused.json()
    assert error["code"] == "unavailable"
    assert "Try again" in error["message"]
    assert int(refused.headers["Retry-After"]) > 0
    for secret in (hub.hub_address, "127.0.0.1", "http", "hub/api", server.token):
        assert secret not in refused.text


def test_write_by_token_gets_503(down: Down) -> None:
    # In the classic mode JupyterHub refuses it before it asks the Hub.
    server = down["extension"]
    refused = ask("POST", f"{server.api}jobs", headers={"Authorization": f"token {server.token}"}, json={"prompt": "x"})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("mode", MODES)
def test_kernels_keep_working_without_hub(down: Down, provider: ThreadedProvider, mode: str) -> None:
    server = down[mode]
    provider.scripts["meanwhile"] = answer("All is well.")
    submitted = by_token(server, "POST", "jobs", json={"model": "demo/meanwhile", "prompt": "x"})
    assert submitted.status_code == 201, submitted.text
    job = submitted.json()["id"]
    while "Stream-Closed" not in by_token(server, "GET", f"jobs/{job}/events?offset=now&live=long-poll").headers:
        pass
    assert by_token(server, "GET", f"jobs/{job}").json()["text"] == "All is well."
    assert by_token(server, "GET", "live", headers=HANDSHAKE).status_code == 101
