"""The status of every verb of every route for every kind of caller."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for, submit, wait
from server.websocket_client import HANDSHAKE, connect, leave, read, until

from jupyter_bgstream.server.app import BgStreamApp
from jupyter_bgstream.server.base import NotFoundHandler, verbs
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

# 101: the socket opens. {job} (it has ended), {notice} and {batch} are Ada's; eve has her own server on the same store.
# The callers: nobody, a wrong token, a kernel of Ada's, somebody whom the authorizer refuses, somebody who may read
# only, eve, Ada by token, Ada's browser, and Ada's browser with its XSRF token.
MATRIX = """
verb    path                  nobody wrong kernel refused reader  eve  token cookie xsrf
GET     jobs                     403   403    200     403    200  200    200    200  200
POST    jobs                     403   403    201     403    403  201    201    403  201
GET     jobs/{job}               403   403    200     403    200  404    200    200  200
DELETE  jobs/{job}               403   403    204     403    403  404    204    403  204
POST    jobs/{job}/cancel        403   403    200     403    403  404    200    403  200
POST    jobs/{job}/retry         403   403    201     403    403  404    201    403  201
GET     jobs/{job}/events        403   403    200     403    200  404    200    200  200
GET     jobs/{job}/images/{image} 403  403    200     403    200  404    200    200  200
POST    batches                   403   403    200     403    403  200    200    403  200
GET     batches/{batch}           403   403    200     403    200  404    200    200  200
GET     batches/{batch}/answers   403   403    200     403    200  404    200    200  200
POST    batches/{batch}/retry     403   403    200     403    403  404    200    403  200
POST    batches/{batch}/cancel    403   403    200     403    403  404    200    403  200
POST    batches/{batch}/resume    403   403    200     403    403  404    200    403  200
GET     kernels/{job}            403   403    200     403    200  200    200    200  200
GET     threads                  403   403    200     403    200  200    200    200  200
DELETE  threads                  403   403    204     403    403  404    204    403  204
GET     threads/messages         403   403    200     403    200  404    200    200  200
POST    threads/fork             403   403    201     403    403  404    201    403  201
POST    threads/rename           403   403    200     403    403  404    200    403  200
GET     mutes                    403   403    200     403    200  200    200    200  200
PUT     mutes                    403   403    200     403    403  200    200    403  200
DELETE  mutes                    403   403    200     403    403  200    200    403  200
GET     notices                  403   403    200     403    200  200    200    200  200
POST    notices/read             403   403    200     403    403  200    200    403  200
DELETE  notices/{notice}         403   403    204     403    403  404    204    403  204
GET     costs                    403   403    200     403    200  200    200    200  200
GET     prices                   403   403    200     403    200  200    200    200  200
GET     models                   403   403    200     403    200  200    200    200  200
GET     status                   403   403    200     403    200  200    200    200  200
GET     openapi.json             403   403    200     403    200  200    200    200  200
GET     live                     403   403    101     403    101  101    101    101  101
GET     nowhere                  403   403    404     403    404  404    404    404  404
POST    nowhere                  403   403    404     403    403  404    404    403  404
PUT     nowhere                  403   403    404     403    403  404    404    403  404
PATCH   nowhere                  403   403    404     403    403  404    404    403  404
DELETE  nowhere                  403   403    404     403    403  404    404    403  404
PUT     jobs                     403   403    405     405    405  405    405    403  405
"""
(_, _, *CALLERS), *ROWS = [line.split() for line in MATRIX.strip().splitlines()]
EXPECTED = {(verb, path): dict(zip(CALLERS, map(int, row), strict=True)) for verb, path, *row in ROWS}
# HEAD is GET without the body, for whoever asks; it opens no socket.
EXPECTED = {
    ("HEAD", path): row for (verb, path), row in EXPECTED.items() if verb == "GET" and path != "live"
} | EXPECTED
NEW_NAME = "a name of which there is no thread"
GIVEN: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "jobs"): {"json": {"model": "demo/done", "prompt": "x"}},
    ("POST", "notices/read"): {"json": {"all": True}},
    ("POST", "batches"): {"json": {"id": "a-batch-id", "total": 3}},
    ("DELETE", "threads"): {"params": {"thread": "talk"}},
    ("GET", "threads/messages"): {"params": {"thread": "talk"}},
    ("HEAD", "threads/messages"): {"params": {"thread": "talk"}},
    ("POST", "threads/fork"): {"json": {"thread": "talk", "name": NEW_NAME}},
    ("POST", "threads/rename"): {"json": {"thread": "talk", "name": NEW_NAME}},
    ("PUT", "mutes"): {"params": {"thread": "loud"}},
    ("DELETE", "mutes"): {"params": {"thread": "loud"}},
}

# An authorizer as a deployment may have one, which knows roles. Here whoever asks says in which one.
AUTHORIZER = """
from jupyter_server.auth import Authorizer

class Roles(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        role = handler.request.headers.get("X-Role")
        return resource != "bgstream" or (action == "read" if role == "reader" else role != "refused")
"""


def registered() -> list[tuple[str, Any]]:
    extension = BgStreamApp()
    extension.initialize_handlers()
    return [(str(pattern), handler) for pattern, handler in extension.handlers]


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    home = tmp_path_factory.mktemp("ada")
    (home / "roles.py").write_text(AUTHORIZER)
    config = config_for(provider, database=str(home / "jobs.sqlite"))
    # Jupyter's own guard is off, as it is by default: ours has to do.
    config["ServerApp"] = {"authorizer_class": "roles.Roles", "allow_unauthenticated_access": True}
    provider.scripts["done"] = answer("Done.", images=[b"GIF89a and so on"])
    path = os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH"))))
    with jupyter(home, config=config, PYTHONPATH=path, JUPYTERHUB_USER="ada") as server:
        yield server


@pytest.fixture(scope="module")
def eve(ada: Jupyter, tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    config = config_for(provider, database=str(ada.home / "jobs.sqlite"))
    with jupyter(tmp_path_factory.mktemp("eve"), config=config, JUPYTERHUB_USER="eve") as server:
        yield server


@pytest.fixture(scope="module")
def browser(ada: Jupyter) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ada.url, trust_env=False, verify=False, timeout=60) as browser:
        browser.get(f"login?token={ada.token}")
        browser.get("any-page-of-jupyter")  # now there are both cookies, the login and the XSRF one
        yield browser


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(ada: Jupyter, eve: Jupyter, browser: httpx.Client) -> Ask:
    """Send a request as one of CALLERS; a ``live`` one asks for the socket."""

    def ask(caller: str, verb: str, path: str, **kwargs: Any) -> httpx.Response:
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        tokens = {
            "wrong": "wrong",
            "kernel": json.loads(ada.runtime_file.read_text())["token"],
            "eve": eve.token,
        } | dict.fromkeys(("refused", "reader", "token"), ada.token)
        headers: dict[str, str] = dict(HANDSHAKE) if path == "live" else {}
        headers |= {"Authorization": f"token {tokens[caller]}"} if caller in tokens else {}
        headers |= {"X-Role": caller} if caller in ("refused", "reader") else {}
        headers |= {"Cookie": cookies} if caller in ("cookie", "xsrf") else {}
        headers |= {"X-XSRFToken": browser.cookies["_xsrf"]} if caller == "xsrf" else {}
        url = (eve if caller == "eve" else ada).api + path
        headers |= kwargs.pop("headers", {})
        with httpx.stream(verb, url, headers=headers, trust_env=False, verify=False, timeout=60, **kwargs) as response:
            if response.status_code != 101:
                response.read()
            return response

    return ask


def given(verb: str, path: str, name: str) -> dict[str, Any]:
    """What goes along with a request."""
    along = GIVEN.get((verb, path), {})
    return {
        place: {key: name if value == NEW_NAME else value for key, value in fields.items()}
        for place, fields in along.items()
    }


def new_ids(server: Jupyter) -> dict[str, str]:
    """A job of the thread ``talk`` that has ended, its notice, a batch, and a name for a new thread."""
    batch = secrets.token_urlsafe(12)
    job = submit(server, "done", thread="talk")
    wait(server, job)
    with server.client() as client:
        (notice,) = [each["id"] for each in client.get("notices").json()["notices"] if each["job"] == job]
        assert client.post("batches", json={"id": batch, "total": 2}).status_code == 200
    return {"job": job, "notice": notice, "batch": batch, "thread": secrets.token_urlsafe(12), "image": "1-1"}


def test_matrix_has_row_for_every_verb_of_every_route() -> None:
    for pattern, handler in registered():
        own = pattern.removeprefix("/api/bgstream/").removesuffix("/?").replace("\\", "")
        own = "nowhere" if handler is NotFoundHandler else own
        rows = {verb for verb, path in EXPECTED if re.sub(r"{\w+}", "{}", path) == re.sub(r"\(.+?\)", "{}", own)}
        assert rows >= {verb.upper() for verb in verbs(handler)}, f"MATRIX lacks a row of {own}"


@pytest.mark.parametrize(("verb", "path"), EXPECTED)
def test_every_caller_gets_status_of_matrix(ada: Jupyter, ask: Ask, verb: str, path: str) -> None:
    got = {}
    ids = new_ids(ada)
    for caller in CALLERS:
        response = ask(caller, verb, path.format_map(ids), **given(verb, path, ids["thread"]))
        got[caller] = response.status_code
        if response.status_code >= 400 and verb != "HEAD":
            refusal = response.json()
            assert set(refusal) == {"code", "message", "field"}, response.text
            assert refusal["message"].endswith(".")
        elif verb not in ("GET", "HEAD"):  # a refused or reading caller changes nothing that the next one needs
            ids = new_ids(ada)
    assert got == EXPECTED[verb, path]


def told(response: httpx.Response, *ids: str) -> tuple[int, dict[str, str], str]:
    """All that a caller learns, but the time and the ids that it named itself."""
    body = response.text
    for each in ids:
        body = body.replace(each, "<id>")
    changing = ("date", "etag", "set-cookie")  # Jupyter gives each nameless caller a new name
    return response.status_code, {k: v for k, v in response.headers.items() if k not in changing}, body


@pytest.mark.parametrize(("verb", "path"), [row for row in EXPECTED if "{" in row[1]])
def test_other_owner_cannot_distinguish_existing_from_missing(ada: Jupyter, ask: Ask, verb: str, path: str) -> None:
    ids = new_ids(ada)
    nothing = {name: "".join(reversed(value)) for name, value in ids.items()}
    for caller in ("nobody", "wrong", "refused", "eve"):
        real = told(ask(caller, verb, path.format_map(ids)), *ids.values())
        assert real == told(ask(caller, verb, path.format_map(nothing)), *nothing.values())


def test_ids_in_bodies_and_queries_reveal_nothing_to_other_owner(ada: Jupyter, ask: Ask) -> None:
    ids, nothing = new_ids(ada), {name: secrets.token_urlsafe(12) for name in ("job", "notice", "batch")}
    ids["thread"], nothing["thread"] = "talk", "no such talk"
    asked: list[tuple[str, str, Callable[[dict[str, str]], Any]]] = [
        ("POST", "notices/read", lambda ids: {"json": {"ids": [ids["notice"]]}}),
        ("GET", "jobs", lambda ids: {"params": {"ids": ids["job"]}}),
        ("GET", "jobs", lambda ids: {"params": {"batch": ids["batch"]}}),
        ("GET", "threads", lambda ids: {"params": {"thread": ids["thread"]}}),
    ]
    for verb, path, kwargs in asked:
        real, unreal = (ask("eve", verb, path, **kwargs(each)) for each in (ids, nothing))
        assert real.status_code == 200
        assert told(real) == told(unreal)
    # An id is the owner's own: Eve's job of the same id is another one, and Ada's is untouched.
    mine = ask("eve", "POST", "jobs", json={"id": ids["job"], "model": "demo/done", "prompt": "Eve's"})
    assert (mine.status_code, mine.json()["title"]) == (201, "Eve's")
    assert ask("token", "GET", f"jobs/{ids['job']}").json()["title"] == "Hello"
    # The same with a batch's id, and with an id among a batch's jobs.
    members = [{"id": ids["job"], "model": "demo/done", "prompt": "Eve's"}]
    ask("eve", "DELETE", f"jobs/{ids['job']}")
    theirs = ask("eve", "POST", "batches", json={"id": ids["batch"], "total": 1, "jobs": members})
    assert (theirs.status_code, theirs.json()["submitted"]) == (200, 1)
    assert ask("token", "GET", f"batches/{ids['batch']}").json()["submitted"] == 0
    ask("eve", "DELETE", f"jobs/{ids['job']}")
    assert ask("token", "GET", f"jobs/{ids['job']}").status_code == 200


async def test_socket_reveals_nothing_to_other_owner(ada: Jupyter, eve: Jupyter) -> None:
    ids, nothing = new_ids(ada), "no-such-job-here"
    cursor = "00000000_0001_000000000003"
    socket = await connect(eve)
    for type, fields in (("follow", {"cursor": None}), ("follow", {"cursor": cursor}), ("seen", {"cursor": cursor})):
        heard = []
        for job in (ids["job"], nothing):
            await socket.write_message(json.dumps({"type": type, "job": job, **fields}))
            heard.append((await until(socket, "error")).replace(job, "<id>"))
        assert heard[0] == heard[1]
        assert json.loads(heard[0])["code"] == "not_found"
    # Nor does it hear of what another tenant's jobs do.
    hers, hints = submit(eve, "done"), [""]
    later = new_ids(ada)
    while "completed" not in hints[-1] or hers not in hints[-1]:
        hints.append(await read(socket))
    assert not any(later["job"] in hint for hint in hints)
    await leave(socket)


async def test_seen_from_read_only_user_marks_no_notice(ada: Jupyter) -> None:
    async def see(**headers: str) -> bool:
        ids = new_ids(ada)
        with ada.client() as client:
            cursor = client.get(f"jobs/{ids['job']}").json()["cursor"]
            socket = await connect(ada, **headers)
            await socket.write_message(json.dumps({"type": "seen", "job": ids["job"], "cursor": cursor}))
            await socket.write_message(json.dumps({"type": "follow", "job": "the-next-frame"}))
            await until(socket, "error")
            await leave(socket)
            (notice,) = [each for each in client.get("notices").json()["notices"] if each["id"] == ids["notice"]]
            return notice["read_at"] is not None

    assert not await see(**{"X-Role": "reader"})
    assert await see()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_sites_are_refused_like_by_jupyter(ask: Ask, origin: str) -> None:
    theirs = {"Origin": origin}
    refused = ask("xsrf", "GET", "live", headers=theirs)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    # Jupyter's own answer to a page of another site is 404, for REST.
    assert ask("xsrf", "GET", "jobs", headers=theirs).status_code == 404
    assert ask("xsrf", "POST", "jobs", headers=theirs, **GIVEN["POST", "jobs"]).status_code == 404


def test_xsrf_token_of_another_browser_is_refused(ask: Ask) -> None:
    wrong = ask("cookie", "POST", "jobs", headers={"X-XSRFToken": "2|12345678|" + "0" * 40}, json={})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "forbidden")


def test_plain_request_to_socket_is_400(ask: Ask) -> None:
    plain = ask("token", "GET", "live", headers={"Upgrade": "h2c"})
    assert (plain.status_code, plain.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize("path", ["", "nothing", "jobs/a.b", "jobs/x/y/z", "jobs/%00", "../bgstream/x%0d%0aX-A: b"])
def test_unknown_path_is_404_with_error_body(ask: Ask, path: str) -> None:
    answer = ask("token", "GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_wrong_verb_is_405_with_allowed_verbs(ask: Ask) -> None:
    allowed = {
        "jobs": ("PUT", "GET, HEAD, POST"),
        "jobs/some-job-id": ("POST", "GET, HEAD, DELETE"),
        "jobs/some-job-id/events": ("DELETE", "GET, HEAD"),
        "batches": ("GET", "POST"),
        "live": ("POST", "GET"),
        "status": ("PATCH", "GET, HEAD"),
    }
    for path, (verb, right) in allowed.items():
        answer = ask("token", verb, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, right), path
        assert answer.json()["code"] == "method_not_allowed"
        assert answer.json()["message"] == f"Method not allowed. Allowed methods: {right}."
    assert ask("token", "HEAD", "batches").headers["Allow"] == "POST"


@pytest.mark.parametrize("verb", ["TRACE", "CONNECT", "PROPFIND", "FINISH", "FORM_VALUE"])
def test_unknown_verbs_are_refused_before_authentication(ask: Ask, verb: str) -> None:
    for path in ("jobs", "jobs/some-job-id", "live", "nowhere"):
        stranger, owner = (ask(caller, verb, path) for caller in ("nobody", "token"))
        assert (stranger.status_code, stranger.json()["code"]) == (405, "method_not_allowed"), path
        assert told(stranger) == told(owner)
        assert stranger.headers["Allow"].startswith("GET")


@pytest.mark.parametrize("path", ["jobs", "status", "openapi.json", "threads?limit=3", "nowhere", "jobs?limit=x"])
def test_head_is_get_without_body(ada: Jupyter, path: str) -> None:
    with ada.client() as client:
        head, get = client.head(path), client.get(path)
        again = client.get(path)  # on the same connection: nothing of a body was left in it
    names = ("Content-Type", "Content-Length", "Cache-Control")
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert [head.headers[name] for name in names if name in get.headers] == [
        get.headers[name] for name in names if name in get.headers
    ]
    assert again.status_code == get.status_code


@pytest.mark.parametrize("path", ["jobs", "jobs/some-job-id", "nowhere"])
def test_options_are_answered_by_jupyter(ada: Jupyter, ask: Ask, path: str) -> None:
    def preflight(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
        own = {name: value for name, value in response.headers.items() if name.startswith("access-control")}
        return response.status_code, response.content, own

    for caller in ("nobody", "token", "xsrf"):
        assert preflight(ask(caller, "OPTIONS", path)) == preflight(ask(caller, "OPTIONS", "../contents"))
