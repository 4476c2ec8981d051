"""Authentication and authorization of every verb of every route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter

from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.request_checks import MAX_BODY
from jupyter_bgstream.server import batches, costs, event_log, images, inbox, jobs, server_info, threads, websocket
from jupyter_bgstream.server.request_bodies import JobSubmission

MODULES = (jobs, batches, threads, inbox, costs, server_info, event_log, images)
ROUTES = [route for module in MODULES for route in module.ROUTES]
VERBS = ("get", "head", "post", "put", "patch", "delete")
IMPLEMENTED = [
    (pattern, verb)
    for pattern, handler in ROUTES
    for verb in VERBS
    if any(verb in vars(base) for base in handler.__mro__ if base.__module__.startswith("jupyter_bgstream"))
]
ACTIONS = {"get": "read", "head": "read", "post": "write", "put": "write", "delete": "write"}

# An authorizer as a deployment may have one: it writes down what it is asked, and refuses.
AUTHORIZER = """
from jupyter_server.auth import Authorizer

class Refuse(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        with open({log!r}, "a") as log:
            print(handler.request.method, handler.request.path, action, resource, file=log)
        return resource != "bgstream"
"""


def path_of(pattern: str) -> str:
    return pattern.replace("([A-Za-z0-9_-]+)", "no-such-id")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Jupyter, Path]]:
    home = tmp_path_factory.mktemp("refusing")
    log = home / "asked.log"
    (home / "refuse.py").write_text(AUTHORIZER.format(log=str(log)))
    config = {"ServerApp": {"authorizer_class": "refuse.Refuse"}}
    with jupyter(home, config=config, PYTHONPATH=str(home)) as server:
        yield server, log


def ask(server: Jupyter, verb: str, pattern: str, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=server.api, trust_env=False, verify=False) as client:
        return client.request(verb.upper(), path_of(pattern), headers=headers, json={} if verb == "post" else None)


def kernel_token(server: Jupyter) -> str:
    return str(json.loads(server.runtime_file.read_text())["token"])


def test_routes_under_test_are_all_routes() -> None:
    assert len(IMPLEMENTED) == 45
    assert {pattern for pattern, _ in IMPLEMENTED} == {pattern for pattern, _ in ROUTES}


@pytest.mark.parametrize(("pattern", "verb"), IMPLEMENTED)
def test_every_verb_is_guarded_in_code(pattern: str, verb: str) -> None:
    handler = dict(ROUTES)[pattern]
    assert getattr(getattr(handler, verb), "is_endpoint", False)


@pytest.mark.parametrize(("pattern", "verb"), IMPLEMENTED)
def test_every_verb_refuses_missing_and_wrong_credentials(server: Jupyter, pattern: str, verb: str) -> None:
    for headers in ({}, {"Authorization": "token wrong"}, {"Authorization": "Basic eDp5"}):
        assert ask(server, verb, pattern, **headers).status_code == 403


@pytest.mark.parametrize(("pattern", "verb"), IMPLEMENTED)
def test_every_verb_accepts_owner_and_kernel(server: Jupyter, pattern: str, verb: str) -> None:
    for token in (server.token, kernel_token(server)):
        answer = ask(server, verb, pattern, Authorization=f"token {token}")
        assert answer.status_code in (200, 400, 404), answer.text


@pytest.mark.parametrize(("pattern", "verb"), IMPLEMENTED)
def test_every_verb_asks_authorizer(refusing: tuple[Jupyter, Path], pattern: str, verb: str) -> None:
    server, log = refusing
    log.write_text("")
    assert ask(server, verb, pattern, Authorization=f"token {server.token}").status_code == 403
    path = "/api/bgstream/" + path_of(pattern)
    assert log.read_text() == f"{verb.upper()} {path} {ACTIONS[verb]} bgstream\n"
    # A kernel's token opens this API alone: the authorizer, which knows people, is not asked.
    assert ask(server, verb, pattern, Authorization=f"token {kernel_token(server)}").status_code != 403


def test_kernel_token_opens_no_other_api(server: Jupyter) -> None:
    headers = {"Authorization": f"token {kernel_token(server)}"}
    for path in ("api/contents", "api/sessions", "api/kernels", "api/me", "api/terminals"):
        assert httpx.get(server.url + path, headers=headers, trust_env=False, verify=False).status_code == 403


def test_browser_without_xsrf_token_cannot_submit(server: Jupyter) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, verify=False) as browser:
        browser.get(f"login?token={server.token}")
        browser.get("any-page-of-jupyter")  # now there are both cookies, the login and the XSRF one
        assert browser.get("api/bgstream/status").status_code == 200
        body = {"model": "a/b", "prompt": "x"}
        xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
        for _ in range(50):  # on one connection, which a refusal leaves open
            assert browser.post("api/bgstream/jobs", json=body).status_code == 403
        assert browser.post("api/bgstream/jobs", json=body, headers=xsrf).status_code == 201


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}])
def test_socket_refuses_missing_and_wrong_credentials(server: Jupyter, headers: dict[str, str]) -> None:
    assert upgrade(server, headers).status_code == 403


def test_socket_asks_authorizer(refusing: tuple[Jupyter, Path]) -> None:
    server, log = refusing
    log.write_text("")
    assert upgrade(server, {"Authorization": f"token {server.token}"}).status_code == 403
    assert log.read_text() == "GET /api/bgstream/live read bgstream\n"


def test_socket_refuses_page_of_another_site(server: Jupyter) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, verify=False) as browser:
        browser.get(f"api/status?token={server.token}")
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert upgrade(server, {"Cookie": cookies, "Origin": "https://evil.example"}).status_code == 403
    assert upgrade(server, {"Cookie": cookies, "Origin": server.url.rstrip("/")}).status_code == 101


def upgrade(server: Jupyter, headers: dict[str, str]) -> httpx.Response:
    assert [pattern for pattern, _ in websocket.ROUTES] == ["live"]
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with httpx.stream("GET", server.api + "live", headers=handshake | headers, trust_env=False, verify=False) as answer:
        return answer


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "a/b"}, "prompt"),
        ({"model": "a/b", "prompt": "x", "messages": []}, "prompt"),
        ({"model": 7, "prompt": "x"}, "model"),
        ({"model": "no-slash", "prompt": "x"}, "model"),
        ({"model": "a/b", "prompt": "  "}, "messages"),
        ({"model": "a/b", "prompt": "x", "id": "short"}, "id"),
        ({"model": "a/b", "prompt": "x", "id": "../../../etc"}, "id"),
        ({"model": "a/b", "prompt": "x", "priority": "urgent"}, "priority"),
        ({"model": "a/b", "prompt": "x", "base_url": "http://evil.example"}, "base_url"),
        (
            {"model": "a/b", "messages": [{"role": "user", "content": "x"}, {"role": "robot", "content": "x"}]},
            "messages[1].role",
        ),
        ({"model": "a/b", "prompt": "x", "source": {"cell": 3}}, "source.cell"),
    ],
)
def test_malformed_submit_is_refused_with_its_field(server: Jupyter, body: dict[str, Any], field: str) -> None:
    with server.client() as client:
        answer = client.post("jobs", json=body)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert answer.json()["code"] in ("invalid", "no_default_model")
    assert answer.json()["message"].endswith(".")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("jobs?limit=0", "limit"),
        ("jobs?limit=many", "limit"),
        ("jobs?colour=red", "colour"),
        ("jobs?cursor=nonsense", "cursor"),
        ("jobs?status=sleeping", "status"),
        ("jobs?ids=" + ",".join(["x" * 8] * 501), "ids"),
        ("notices?unread=maybe", "unread"),
    ],
)
def test_malformed_query_is_refused_with_its_field(server: Jupyter, path: str, field: str) -> None:
    with server.client() as client:
        answer = client.get(path)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_other_refusals_have_same_error_body(server: Jupyter) -> None:
    with server.client() as client:
        assert client.get("jobs/no-such-job").json()["code"] == "not_found"
        assert client.put("jobs").json()["code"] == "method_not_allowed"
        assert client.post("jobs", content=b"{").json()["code"] == "invalid"
        assert client.post("jobs", content=b'"' + b"x" * MAX_BODY + b'"').json()["code"] == "too_large"


@pytest.mark.parametrize(
    ("path", "field"),
    [("jobs?limit=" + "9" * 5000, "limit"), ("jobs?thread=%ff", None)],
)
def test_unparsable_query_has_same_error_body(server: Jupyter, path: str, field: str | None) -> None:
    with server.client() as client:
        answer = client.get(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "invalid", field)


def test_unparsable_body_has_same_error_body(server: Jupyter) -> None:
    deep = b'{"model":"a/b","prompt":"x","params":{"x":' + b"[" * 90_000 + b"]" * 90_000 + b"}}"
    with server.client() as client:
        assert client.post("jobs", content=deep).json()["code"] == "invalid"
        newline = client.post("jobs", json={"id": "abcdefgh\n", "model": "a/b", "prompt": "x"})
        assert (newline.status_code, newline.json()["field"]) == (400, "id")
        long = client.post("jobs", json={"title": "x" * 201, "model": "a/b", "prompt": "x"})
        assert (long.status_code, long.json()["field"]) == (400, "title")


def test_filters_keep_spaces(server: Jupyter) -> None:
    with server.client() as client:
        client.post("jobs", json={"model": "a/b", "prompt": "x", "thread": " spaced "})
        assert len(client.get("jobs", params={"thread": " spaced "}).json()["jobs"]) == 1


def test_model_is_required_without_default() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        JobSubmission(prompt="Hello").spec(None)
    assert (caught.value.code, caught.value.field) == ("no_default_model", "model")
    assert JobSubmission(prompt="Hello").spec("demo/tour").model == "demo/tour"
