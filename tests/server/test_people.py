"""Users of one server: the owner has the jobs, each user has an inbox, and a job has its submitter."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from harness.jupyter import Jupyter
from harness.people import ask, send, server_of_people, until_ended
from jupyter_server.auth import IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider
from jupyter_server.auth.login import LegacyLoginHandler
from server.conftest import config_for, submit, wait

from jupyter_bgstream.server.identity import KERNEL, MAX_NAME_LENGTH, person_name, viewer
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

JOB = {"model": "demo/shared", "prompt": "x"}


@pytest.fixture(scope="module", params=["identity provider", "login handler"])
def people(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider
) -> Iterator[Jupyter]:
    """A server of people whom a proxy names."""
    provider.scripts["shared"] = answer("x", usage=(3, 4))
    provider.scripts["held"] = answer("x", hold_after=0)
    with server_of_people(tmp_path_factory.mktemp("people"), config_for(provider), way=request.param) as server:
        yield server


def test_users_share_jobs_but_not_inboxes(people: Jupyter) -> None:
    job = ask(people, "ada", "POST", "jobs", json=JOB)["id"]
    assert until_ended(people, job)["status"] == "completed"  # bob sees ada's job: one tenant
    assert ask(people, "ada", "POST", "notices/read", json={"all": True})["unread"] == 0
    assert ask(people, "bob", "GET", "notices")["unread"] == 1
    (notice,) = ask(people, "bob", "GET", "notices")["notices"]
    ask(people, "bob", "DELETE", f"notices/{notice['id']}")
    assert ask(people, "bob", "GET", "notices")["notices"] == []
    assert len(ask(people, "ada", "GET", "notices")["notices"]) == 1
    # A kernel acts for the tenant and is nobody: it has read nothing.
    assert ask(people, None, "GET", "notices")["unread"] == 1


def test_job_has_name_of_its_submitter(people: Jupyter) -> None:
    thread = secrets.token_urlsafe(9)
    jobs = {name: ask(people, name, "POST", "jobs", json=JOB | {"thread": thread}) for name in ("ada", "bob", None)}
    assert {name: job["submitted_by"] for name, job in jobs.items()} == {"ada": "ada", "bob": "bob", None: None}
    for viewer_name in ("ada", "bob", None):
        page = ask(people, viewer_name, "GET", "jobs", params={"thread": thread})
        assert [job["submitted_by"] for job in page["jobs"]] == [None, "bob", "ada"]
        assert page["viewer"] == viewer_name
    (found,) = ask(people, None, "GET", "jobs", params={"thread": thread, "submitted_by": "bob"})["jobs"]
    assert found["id"] == jobs["bob"]["id"]
    assert until_ended(people, jobs["ada"]["id"])["submitted_by"] == "ada"


@pytest.mark.parametrize("user", ["ada", None])
def test_request_cannot_set_submitter(people: Jupyter, user: str | None) -> None:
    forged = JOB | {"id": secrets.token_urlsafe(12), "submitted_by": "bob"}
    batch = {"id": secrets.token_urlsafe(12), "total": 1}
    for path, body, field in (
        ("jobs", forged, "submitted_by"),
        ("batches", batch | {"jobs": [forged]}, "jobs[0].submitted_by"),
        ("batches", batch | {"submitted_by": "bob", "jobs": []}, "submitted_by"),
    ):
        refused = send(people, user, "POST", path, json=body)
        assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (400, "invalid", field)
    job = ask(people, user, "POST", "jobs", json=JOB)
    until_ended(people, job["id"])
    again = ask(people, user, "POST", f"jobs/{job['id']}/retry?submitted_by=bob", json={"submitted_by": "bob"})
    assert again["submitted_by"] == user


def test_repeated_submit_keeps_first_submitter(people: Jupyter) -> None:
    job = JOB | {"id": secrets.token_urlsafe(12)}
    assert send(people, "ada", "POST", "jobs", json=job).status_code == 201
    for user in ("bob", None):
        repeated = send(people, user, "POST", "jobs", json=job)
        assert (repeated.status_code, repeated.json()["submitted_by"]) == (200, "ada")
    assert send(people, "bob", "POST", "jobs", json=job | {"prompt": "y"}).status_code == 409


def test_retry_has_name_of_user_that_retried(people: Jupyter) -> None:
    job = ask(people, None, "POST", "jobs", json=JOB)
    until_ended(people, job["id"])
    again = send(people, "bob", "POST", f"jobs/{job['id']}/retry")
    assert (again.status_code, again.json()["submitted_by"]) == (201, "bob")
    repeated = send(people, "ada", "POST", f"jobs/{job['id']}/retry")
    assert (repeated.status_code, repeated.json()["id"]) == (200, again.json()["id"])
    assert repeated.json()["submitted_by"] == "bob"
    assert ask(people, "ada", "GET", f"jobs/{job['id']}")["submitted_by"] is None


def test_jobs_of_batch_have_name_of_their_submitter(people: Jupyter) -> None:
    batch = secrets.token_urlsafe(12)
    jobs = [{"id": secrets.token_urlsafe(12), "model": "demo/held", "prompt": "x"} for _ in range(2)]
    ask(people, "ada", "POST", "batches", json={"id": batch, "total": 2, "jobs": jobs[:1]})
    ask(people, "bob", "POST", "batches", json={"id": batch, "total": 2, "jobs": jobs})  # the first again, and another
    assert submitters(people, batch) == ["bob", "ada"]
    ask(people, "ada", "POST", f"batches/{batch}/cancel")
    ask(people, "eve", "POST", f"batches/{batch}/retry")
    assert submitters(people, batch) == ["eve", "eve", "bob", "ada"]
    ask(people, None, "POST", f"batches/{batch}/cancel")
    ask(people, None, "POST", f"batches/{batch}/retry")
    assert submitters(people, batch) == [None, None, "eve", "eve", "bob", "ada"]
    ask(people, None, "POST", f"batches/{batch}/cancel")


def submitters(server: Jupyter, batch: str) -> list[str | None]:
    return [job["submitted_by"] for job in ask(server, "ada", "GET", "jobs", params={"batch": batch})["jobs"]]


def test_costs_are_summed_by_submitter(people: Jupyter) -> None:
    names = [secrets.token_hex(4), secrets.token_hex(4)]
    jobs = [ask(people, name, "POST", "jobs", json=JOB)["id"] for name in (*names, names[1])]
    for job in jobs:
        until_ended(people, job)
    assert {name: spent_by(people)[name] for name in names} == {names[0]: 1, names[1]: 2}
    nameless = spent_by(people).get(None, 0)
    for job in jobs:  # deleted jobs are still counted, without a name
        ask(people, "ada", "DELETE", f"jobs/{job}")
    assert not spent_by(people).keys() & set(names)
    assert spent_by(people)[None] == nameless + 3


def spent_by(server: Jupyter) -> dict[str | None, int]:
    costs = ask(server, "ada", "GET", "costs", params={"by": "submitted_by"})
    assert costs["by"] == "submitted_by"
    return {row["key"]: row["jobs"] for row in costs["costs"]}


def test_hostile_name_is_one_bounded_line(people: Jupyter) -> None:
    name = '<img src=x onerror="alert(1)">\t\x1f\u202e' + "x" * 4000
    job = ask(people, name, "POST", "jobs", json=JOB)
    assert job["submitted_by"] == person_name(name)
    assert job["submitted_by"].startswith('<img src=x onerror="alert(1)"> xxx')  # text, and shown as text
    assert len(job["submitted_by"]) == MAX_NAME_LENGTH
    page = ask(people, name, "GET", "jobs", params={"submitted_by": job["submitted_by"]})
    assert ([each["id"] for each in page["jobs"]], page["viewer"]) == ([job["id"]], job["submitted_by"])


def test_server_without_user_names_has_no_submitters(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["shared"] = answer("x", usage=(3, 4))
    job = submit(server, "shared")
    assert wait(server, job)["submitted_by"] is None
    with server.client() as client:
        assert client.get("jobs").json()["viewer"] is None


@pytest.mark.parametrize(
    ("username", "name"),
    [
        ("ada", "ada"),
        ("Zoë Ångström 🌤", "Zoë Ångström 🌤"),
        ("עדה", "עדה"),
        ("  a\tb\r\nc\u2028d  ", "a b c d"),
        ("a\x00\x1b[31mb\x7f", "a[31mb"),
        ("admin\u202egnp\u2066", "admingnp"),  # would turn the words around it
        ("a \u200b\u202e b", "a b"),
        ("a\ud800b", "ab"),  # half a character, which no JSON can hold
        ("\u200b\n", None),
        ("", None),
        ("x" * MAX_NAME_LENGTH, "x" * MAX_NAME_LENGTH),
        ("x" * (MAX_NAME_LENGTH + 1), "x" * (MAX_NAME_LENGTH - 1) + "…"),
    ],
)
def test_name_is_one_line_of_printable_characters(username: str, name: str | None) -> None:
    assert person_name(username) == name


class Named(IdentityProvider):
    """A deployment's own."""


class NamingLogin(LegacyLoginHandler):
    """A deployment's own."""

    @classmethod
    def get_user(cls, handler: Any) -> Any:
        return {"name": "ada"}


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        (IdentityProvider(), ""),
        (PasswordIdentityProvider(), ""),
        (LegacyIdentityProvider(), ""),
        (LegacyIdentityProvider(login_handler_class=type("Same", (LegacyLoginHandler,), {})), ""),
        (LegacyIdentityProvider(login_handler_class=NamingLogin), "ada"),
        (Named(), "ada"),
    ],
)
def test_viewer_has_name_only_with_naming_identity_provider(provider: IdentityProvider, name: str) -> None:
    assert viewer(provider, User(username="ada")) == name
    assert viewer(provider, KERNEL) == ""
