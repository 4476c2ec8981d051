"""Threads over REST, on a real server and a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter
from server.conftest import submit, until_text, wait

from jupyter_bgstream.testing import Hold, answer, refusal
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider


@pytest.fixture
def client(server: Jupyter) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def scripts(provider: ThreadedProvider) -> None:
    provider.scripts["aye"] = answer("Aye.")


def turn(server: Jupyter, thread: str, prompt: str, **fields: Any) -> dict[str, Any]:
    return wait(server, submit(server, "aye", thread=thread, prompt=prompt, **fields))


def sent(provider: ThreadedProvider) -> list[str]:
    """What the last request had in it."""
    return [message["content"] for message in provider.requests[-1].json["messages"]]


def test_thread_is_listed_read_forked_renamed_and_deleted(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    first = turn(server, "life", "one")
    second = turn(server, "life", "two")
    (life,) = client.get("threads", params={"thread": "life"}).json()["threads"]
    assert life == {
        "name": "life",
        "jobs": 2,
        "status": "completed",
        "model": "demo/aye",
        "title": "two",
        "created_at": first["created_at"],
        "updated_at": second["ended_at"],
        "forked_from": None,
    }
    assert client.get("threads/messages", params={"thread": "life"}).json() == {
        "thread": "life",
        "messages": [
            {"role": "user", "content": "one", "job": first["id"], "status": "completed"},
            {"role": "assistant", "content": "Aye.", "job": first["id"], "status": "completed"},
            {"role": "user", "content": "two", "job": second["id"], "status": "completed"},
            {"role": "assistant", "content": "Aye.", "job": second["id"], "status": "completed"},
        ],
    }
    forked = client.post("threads/fork", json={"thread": "life", "name": "after life", "after": first["id"]})
    assert (forked.status_code, forked.json()["forked_from"], forked.json()["jobs"]) == (201, "life", 0)
    assert client.get("threads").json()["threads"][0] == forked.json()
    turn(server, "after life", "three")
    assert sent(provider) == ["one", "Aye.", "three"]
    renamed = client.post("threads/rename", json={"thread": "after life", "name": "new life"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "new life")
    assert [job["thread"] for job in client.get("jobs", params={"thread": "new life"}).json()["jobs"]] == ["new life"]
    assert client.delete("threads", params={"thread": "life"}).status_code == 204
    assert client.get("threads", params={"thread": "life"}).json() == {"threads": [], "next": None}
    assert client.get(f"jobs/{first['id']}").status_code == 404
    turn(server, "new life", "four")
    assert sent(provider) == ["one", "Aye.", "three", "Aye.", "four"]


# Tornado makes a space of each control character in a query.
ALIKE = ["work notes", "work\x01notes", "work\x1bnotes", "work\x00notes", " work\x0enotes "]


def test_names_with_control_characters_stay_distinct(server: Jupyter, client: httpx.Client) -> None:
    jobs = {
        name: turn(server, name, ascii(name), tags=[name], source={"notebook": name}, batch=name)["id"]
        for name in ALIKE
    }
    for name in ALIKE:
        (found,) = client.get("threads", params={"thread": name}).json()["threads"]
        assert found["name"] == name
        said = client.get("threads/messages", params={"thread": name}).json()
        assert (said["thread"], said["messages"][0]["content"]) == (name, ascii(name))
        # For SQLite a text in JSON ends at NUL, so that such a tag is found by no filter.
        for filter in ("thread", "notebook", "batch", *(() if "\0" in name else ("tag",))):
            listed = client.get("jobs", params={filter: name}).json()["jobs"]
            assert [job["id"] for job in listed] == [jobs[name]]
        mutes = client.put("mutes", params={"notebook": name}).json()["mutes"]
        assert {"kind": "notebook", "name": name} in mutes
        client.delete("mutes", params={"notebook": name})
    for name in ALIKE[1:]:
        assert client.delete("threads", params={"thread": name}).status_code == 204
        assert client.get(f"jobs/{jobs[name]}").status_code == 404
    assert client.get(f"jobs/{jobs[ALIKE[0]]}").status_code == 200


def test_thread_list_has_pages(server: Jupyter, client: httpx.Client) -> None:
    for n in range(3):
        turn(server, f"page {n}", "x")
    page = client.get("threads", params={"limit": 2}).json()
    assert [thread["name"] for thread in page["threads"]] == ["page 2", "page 1"]
    following = client.get("threads", params={"limit": 1, "cursor": page["next"]}).json()
    assert [thread["name"] for thread in following["threads"]] == ["page 0"]


def test_invalid_thread_operation_is_refused_with_code(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    provider.scripts["held"] = answer("Aye, Sir.").first(1, Hold())
    turn(server, "taken", "x")
    running = submit(server, "held", thread="going on")
    until_text(server, running, "Aye")
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("threads/fork", {"thread": "taken", "name": "going on"}, 409, "conflict"),
        ("threads/fork", {"thread": "going on", "name": "new"}, 409, "conflict"),
        ("threads/fork", {"thread": "going on", "name": "new", "after": running}, 409, "not_ended"),
        ("threads/fork", {"thread": "taken", "name": "new", "after": running}, 404, "not_found"),
        ("threads/fork", {"thread": "nowhere", "name": "new"}, 404, "not_found"),
        ("threads/fork", {"thread": "taken", "name": ""}, 400, "invalid"),
        ("threads/fork", {"thread": "taken"}, 400, "invalid"),
        ("threads/rename", {"thread": "taken", "name": "going on"}, 409, "conflict"),
        ("threads/rename", {"thread": "nowhere", "name": "new"}, 404, "not_found"),
        ("threads/rename", {"thread": "taken", "name": "x" * 201}, 400, "invalid"),
    ]
    for path, body, status, code in cases:
        refused = client.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (status, code), (path, body, refused.text)
        assert refused.json()["message"].endswith(".")
    for verb, path, params, status in (
        ("GET", "threads/messages", {}, 400),
        ("GET", "threads/messages", {"thread": "nowhere"}, 404),
        ("GET", "threads/messages", {"thread": ["a", "b"]}, 400),
        ("GET", "threads", {"limit": "0"}, 400),
        ("GET", "threads", {"order": "x"}, 400),
        ("DELETE", "threads", {}, 400),
        ("DELETE", "threads", {"thread": ""}, 400),
        ("DELETE", "threads", {"thread": "taken", "force": "yes"}, 400),
        ("DELETE", "threads", {"thread": "nowhere"}, 404),
    ):
        assert client.request(verb, path, params=params).status_code == status, (verb, path, params)
    # Whatever runs is stopped, there and at the provider.
    assert client.delete("threads", params={"thread": "going on"}).status_code == 204
    provider.quiet()
    assert client.get(f"jobs/{running}").status_code == 404
    assert client.get("threads", params={"thread": "taken"}).json()["threads"][0]["jobs"] == 1


def test_image_in_thread_is_shown_only_with_its_size(server: Jupyter, client: httpx.Client) -> None:
    image = {"type": "image", "media_type": "image/png", "data": "iVBORw0KGgo="}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]
    job = client.post("jobs", json={"model": "demo/aye", "thread": "seen", "messages": asked}).json()
    wait(server, job["id"])
    messages = client.get("threads/messages", params={"thread": "seen"}).json()["messages"]
    assert messages[0]["content"][1] == {"type": "image", "media_type": "image/png", "bytes": 8}


def test_too_long_context_fails_job_with_advice(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    words = "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens."
    first = turn(server, "long", "one")
    error = {"error": {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}}
    provider.scripts["full"] = refusal(400, error, {"x-should-retry": "true"})
    before = len(provider.requests)
    job = wait(server, submit(server, "full", thread="long", prompt="two", retry_policy="always"))
    assert (job["status"], job["attempt"], len(provider.requests) - before) == ("failed", 1, 1)
    assert job["error"]["code"] == "context_too_long"
    assert job["error"]["message"] == (
        "The conversation is too long for demo/full: it has 3 messages and 8,545 tokens, and the model accepts 8,192."
        " Nothing was cut. Fork the thread 'long' after an earlier job, start a new one, or choose a model that accepts"
        f" more. Details: HTTP 400. {words}"
    )
    assert client.post("threads/fork", json={"thread": "long", "name": "shorter", "after": first["id"]}).is_success
    turn(server, "shorter", "three")
    assert json.dumps(sent(provider)) == '["one", "Aye.", "three"]'
