"""Access to a server on a Hub: kernels by their own token, pages by cookie and XSRF token, no other client."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from harness.hub import Hub, UserServer
from server.websocket_client import HANDSHAKE

JOB = {"prompt": "Hello"}


def ask(verb: str, url: str, **kwargs: Any) -> httpx.Response:
    with httpx.stream(verb, url, trust_env=False, verify=False, timeout=60, **kwargs) as response:
        if response.status_code != 101:
            response.read()
        return response


def by_token(server: UserServer, verb: str, path: str, token: str | None = None, **kwargs: Any) -> httpx.Response:
    """Ask as a kernel does, past the proxy."""
    headers = {"Authorization": f"token {token or server.kernel_token}"} | kwargs.pop("headers", {})
    return ask(verb, server.direct_api + path, headers=headers, **kwargs)


def submitted(server: UserServer) -> str:
    answer = by_token(server, "POST", "jobs", json=JOB)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def jobs(server: UserServer) -> int:
    return len(by_token(server, "GET", "jobs?limit=500").json()["jobs"])


def test_kernel_token_needs_no_xsrf_cookie(server: UserServer) -> None:
    job = submitted(server)
    assert by_token(server, "POST", f"jobs/{job}/cancel").status_code == 200
    assert by_token(server, "POST", "notices/read", json={"all": True}).status_code == 200
    assert by_token(server, "PUT", "mutes?thread=loud").status_code == 200
    assert by_token(server, "DELETE", "mutes?thread=loud").status_code == 200
    assert by_token(server, "DELETE", f"jobs/{job}").status_code == 204
    assert by_token(server, "GET", "live", headers=HANDSHAKE).status_code == 101


def test_kernel_token_is_valid_for_this_api_only(server: UserServer) -> None:
    headers = {"Authorization": f"token {server.kernel_token}"}
    base = server.direct_api.removesuffix("api/bgstream/")
    for path in ("api/contents", "api/kernels", "api/me"):
        assert ask("GET", base + path, headers=headers).status_code == 403, path
    assert ask("POST", base + "api/kernels", headers=headers).status_code == 403


@pytest.mark.parametrize("place", ["wrong", "cookie", "query", "xsrf query", "body", "form", "xsrf header", "basic"])
def test_kernel_token_outside_of_its_header_is_refused(server: UserServer, place: str) -> None:
    token, before = server.kernel_token, jobs(server)
    kwargs: dict[str, Any] = {
        "wrong": {"headers": {"Authorization": f"token {token[:-1]}"}, "json": JOB},
        "cookie": {"headers": {"Cookie": f"token={token}; Authorization=token {token}; _xsrf={token}"}, "json": JOB},
        "query": {"params": {"token": token}, "json": JOB},
        "xsrf query": {"params": {"_xsrf": token}, "headers": {"Cookie": f"_xsrf={token}"}, "json": JOB},
        "body": {"json": JOB | {"token": token}},
        "form": {"data": {"token": token, "prompt": "Hello"}},
        "xsrf header": {"headers": {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}, "json": JOB},
        "basic": {"auth": ("token", token), "json": JOB},
    }[place]
    answer = ask("POST", server.direct_api + "jobs", **kwargs)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert jobs(server) == before


def test_page_needs_its_xsrf_token_to_write(server: UserServer) -> None:
    with closing(server.browser()) as browser:
        refused = browser.post("jobs", json=JOB)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        other = browser.post("jobs", json=JOB, headers={"X-XSRFToken": "made up"})
        assert other.status_code == 403
        headers = {"X-XSRFToken": server.xsrf(browser)}
        answer = browser.post("jobs", json=JOB, headers=headers)
        assert answer.status_code == 201, answer.text
        assert browser.delete(f"jobs/{answer.json()['id']}").status_code == 403
        assert browser.delete(f"jobs/{answer.json()['id']}", headers=headers).status_code == 204


def test_socket_of_another_sites_page_is_refused(server: UserServer) -> None:
    own = urlsplit(server.url)
    with closing(server.browser()) as browser:
        cookies = "; ".join(
            f"{cookie.name}={cookie.value}"
            for cookie in browser.cookies.jar
            if own.path.startswith(cookie.path) and cookie.name != "_xsrf"
        )
    page = {**HANDSHAKE, "Cookie": cookies, "Sec-Fetch-Mode": "websocket"}
    live = server.api + "live"
    assert ask("GET", live, headers=page | {"Origin": f"http://{own.netloc}"}).status_code == 101
    assert ask("GET", live, headers=page | {"Origin": "http://elsewhere.example"}).status_code == 403
    assert ask("GET", live, headers=HANDSHAKE | {"Origin": f"http://{own.netloc}"}).status_code == 403


def test_users_have_no_access_to_each_other(hub: Hub) -> None:
    ann, bob = hub.server("ann"), hub.server("bob")
    job = submitted(ann)
    assert by_token(bob, "GET", f"jobs/{job}").status_code == 404
    for token in (bob.token, bob.kernel_token, hub.token_of("cleo")):
        assert by_token(ann, "GET", f"jobs/{job}", token).status_code == 403
        assert by_token(ann, "POST", f"jobs/{job}/cancel", token).status_code == 403
        assert by_token(ann, "GET", "live", token, headers=HANDSHAKE).status_code == 403
    with closing(bob.browser()) as browser:
        assert browser.get(f"{ann.api}jobs").status_code == 403
    assert ann.database_path != bob.database_path
    with ann.client() as client:
        assert client.get(f"jobs/{job}").status_code == 200


def test_shared_server_names_submitter(hub: Hub) -> None:
    ann = hub.server("ann")
    hub.share("ann", "kim")
    kim = hub.token_of("kim")
    answer = by_token(ann, "POST", "jobs", kim, json=JOB)
    assert answer.status_code == 201, answer.text
    assert answer.json()["submitted_by"] == "kim"
    assert by_token(ann, "GET", f"jobs/{answer.json()['id']}", ann.token).json()["submitted_by"] == "kim"
    assert by_token(ann, "GET", f"jobs/{submitted(ann)}").json()["submitted_by"] is None
    # Each person has an inbox: what kim has read is unread for ann.
    assert by_token(ann, "POST", "notices/read", kim, json={"all": True}).json()["unread"] == 0
    assert by_token(ann, "PUT", "mutes?thread=kims", kim).json()["mutes"] != []
    assert {"kind": "thread", "name": "kims"} not in by_token(ann, "GET", "mutes", ann.token).json()["mutes"]


def test_named_server_shares_jobs_of_its_user(hub: Hub) -> None:
    ann, second = hub.server("ann"), hub.server("ann", "second")
    assert second.url.endswith("/user/ann/second/")
    job = submitted(ann)
    assert by_token(second, "GET", f"jobs/{job}").status_code == 200
    # Each server has a token of its own.
    assert by_token(second, "GET", "jobs", ann.kernel_token).status_code == 403
