"""Retries, batches and mutes through REST; a killed server's jobs through its next life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for, submit, until_text, wait

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, refusal


@pytest.fixture
def client(server: Jupyter) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def jobs_of(batch: str, model: str, *numbers: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"{batch}-{number:03}", "model": f"demo/{model}", "prompt": str(number)} | fields for number in numbers
    ]


def until(client: httpx.Client, path: str, **expected: object) -> dict[str, Any]:
    """Ask until the answer has these fields."""
    deadline = time.monotonic() + 60
    while True:
        answer = client.get(path).json()
        if all(answer[name] == value for name, value in expected.items()):
            return dict(answer)
        assert time.monotonic() < deadline, answer


def test_repeated_retry_of_ended_job_creates_one_job(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    provider.scripts["wrong-then-right"] = refusal(400, {"error": {"message": "No."}})
    first = wait(server, submit(server, "wrong-then-right", title="Mine", tags=["a"]))
    assert first["status"] == "failed"
    provider.scripts["wrong-then-right"] = answer("right")
    retried = client.post(f"jobs/{first['id']}/retry")
    assert retried.status_code == 201
    again = client.post(f"jobs/{first['id']}/retry")
    assert (again.status_code, again.json()["id"]) == (200, retried.json()["id"])
    done = wait(server, retried.json()["id"])
    assert (done["text"], done["retry_of"], done["title"], done["tags"]) == ("right", first["id"], "Mine", ["a"])
    assert client.get(f"jobs/{first['id']}").json()["retried_by"] == done["id"]
    assert done["messages"] == first["messages"]


def test_retry_of_running_job_is_refused(server: Jupyter, client: httpx.Client, provider: ThreadedProvider) -> None:
    provider.scripts["going-on"] = answer("one two", hold_after=1)
    job = submit(server, "going-on")
    until_text(server, job, "one")
    refused = client.post(f"jobs/{job}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_ended")
    client.post(f"jobs/{job}/cancel")
    missing = client.post("jobs/nobody-knows-it/retry")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_rate_limited_job_waits_and_log_contains_it(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    provider.scripts["busy-then-free"] = refusal(429, {"error": {"message": "Busy."}})
    job = submit(server, "busy-then-free")
    shown = until(client, f"jobs/{job}", status="waiting")
    assert shown["error"]["code"] == "rate_limited"
    assert shown["not_before"] > shown["created_at"]
    provider.scripts["busy-then-free"] = answer("free")
    done = wait(server, job)
    assert (done["status"], done["text"], done["attempt"], done["error"]) == ("completed", "free", 2, None)
    kinds = [event["type"] for event in client.get(f"jobs/{job}/events").json()]
    assert kinds[:4] == ["queued", "attempt", "waiting", "attempt"]


def test_batch_of_jobs_has_one_notice(server: Jupyter, client: httpx.Client, provider: ThreadedProvider) -> None:
    provider.scripts["row"] = answer("fine")
    provider.scripts["bad-row"] = refusal(400, {"error": {"message": "No."}})
    before = len(client.get("notices").json()["notices"])
    batch = {"id": "rows-of-one", "total": 3, "title": "Rows", "source": {"notebook": "rows.ipynb"}}
    first = client.post("batches", json=batch | {"jobs": jobs_of("rows-of-one", "row", 1, 2, priority="bulk")})
    assert first.status_code == 200, first.text
    assert (first.json()["total"], first.json()["submitted"]) == (3, 2)
    for number in (1, 2):
        assert wait(server, f"rows-of-one-{number:03}")["source"]["notebook"] == "rows.ipynb"
    assert len(client.get("notices").json()["notices"]) == before
    client.post("batches", json=batch | {"jobs": jobs_of("rows-of-one", "bad-row", 3)})
    wait(server, "rows-of-one-003")
    shown = client.get("batches/rows-of-one").json()
    assert (shown["status"], shown["counts"]) == (
        "failed",
        {"completed": 2, "failed": 1, "cancelled": 0, "interrupted": 0},
    )
    notices = client.get("notices").json()["notices"]
    assert len(notices) == before + 1
    assert (notices[0]["batch"], notices[0]["job"], notices[0]["title"]) == ("rows-of-one", None, "Rows")
    assert [job["id"] for job in client.get("jobs", params={"batch": "rows-of-one"}).json()["jobs"]] == [
        "rows-of-one-003",
        "rows-of-one-002",
        "rows-of-one-001",
    ]


def test_job_without_source_has_source_of_its_batch(client: httpx.Client) -> None:
    sources = [{"cell": "c1"}, {"notebook": "mine.ipynb"}, {}]
    jobs = [
        {"id": f"source-{n:03}", "model": "demo/x", "prompt": "x", "source": source} for n, source in enumerate(sources)
    ]
    batch = {"id": "sources-of-many", "total": 4, "source": {"notebook": "rows.ipynb", "cell": "c0"}, "jobs": jobs}
    assert client.post("batches", json=batch).status_code == 200
    found = [client.get(f"jobs/{job['id']}").json()["source"] for job in jobs]
    assert found == [
        {"notebook": "rows.ipynb", "cell": "c1", "kernel": None},
        {"notebook": "mine.ipynb", "cell": None, "kernel": None},  # c0 is a cell of the other notebook
        {"notebook": "rows.ipynb", "cell": "c0", "kernel": None},
    ]
    client.post("batches/sources-of-many/cancel")


def test_cancel_of_batch_cancels_all_its_jobs(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    provider.scripts["slow-row"] = answer("one two", hold_after=1)
    jobs = jobs_of("slow-rows", "slow-row", *range(30))
    assert client.post("batches", json={"id": "slow-rows", "total": 99, "jobs": jobs}).status_code == 200
    before = len(client.get("notices").json()["notices"])
    cancelled = client.post("batches/slow-rows/cancel").json()
    assert (cancelled["status"], cancelled["total"], cancelled["counts"]["cancelled"]) == ("cancelled", 30, 30)
    assert client.get("jobs", params={"batch": "slow-rows", "status": "running"}).json()["jobs"] == []
    refused = client.post("batches", json={"id": "slow-rows", "total": 99, "jobs": jobs_of("slow-rows", "x", 70)})
    assert (refused.status_code, refused.json()["code"]) == (409, "batch_full")
    assert len(client.get("notices").json()["notices"]) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "batch-of-bad", "total": 0}, "total"),
        ({"id": "short", "total": 1}, "id"),
        ({"id": "batch-of-bad"}, "total"),
        ({"id": "batch-of-bad", "total": 1, "jobs": [{"prompt": "x"}]}, "jobs[0].id"),
        ({"id": "batch-of-bad", "total": 1, "jobs": [{"id": "job-of-bad", "model": "demo/x"}]}, "jobs[0].prompt"),
        (
            {"id": "batch-of-bad", "total": 1, "jobs": [{"id": "job-of-bad", "batch": "x", "prompt": "x"}]},
            "jobs[0].batch",
        ),
    ],
)
def test_malformed_batch_is_refused_with_its_field(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    refused = client.post("batches", json=body)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (400, "invalid", field)
    assert client.get("batches/batch-of-bad").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [("retry_policy", "sometimes"), ("idle_timeout", 0), ("idle_timeout", 99999), ("on_restart", "no")],
)
def test_invalid_retry_setting_is_refused_with_its_field(client: httpx.Client, field: str, value: object) -> None:
    refused = client.post("jobs", json={"model": "demo/x", "prompt": "x", field: value})
    assert (refused.status_code, refused.json()["field"]) == (400, field)


def test_mutes_are_stored_on_server(server: Jupyter, client: httpx.Client, provider: ThreadedProvider) -> None:
    provider.scripts["quiet"] = answer("shh")
    assert client.put("mutes", params={"thread": "quiet one"}).json() == {
        "mutes": [{"kind": "thread", "name": "quiet one"}]
    }
    unread = client.get("notices").json()["unread"]
    job = wait(server, submit(server, "quiet", thread="quiet one"))
    inbox = client.get("notices").json()
    assert (inbox["notices"][0]["job"], inbox["notices"][0]["muted"], inbox["unread"]) == (job["id"], True, unread)
    assert client.delete("mutes", params={"thread": "quiet one"}).json() == {"mutes": []}
    inbox = client.get("notices").json()
    assert (inbox["notices"][0]["muted"], inbox["unread"]) == (False, unread + 1)
    wrong = [
        {},
        {"thread": ""},
        {"thread": "a", "notebook": "b"},
        {"thread": ["a", "b"]},
        {"thread": "a", "foo": "1"},
        {"thread": "x" * 1001},
    ]
    for params in wrong:
        for verb in ("PUT", "DELETE"):
            refused = client.request(verb, "mutes", params=params)
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid"), params
    assert client.get("mutes").json() == {"mutes": []}


def test_jobs_of_killed_server_continue_after_restart(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["killed-and-back"] = answer("one two three", hold_after=2)
    provider.scripts["behind"] = answer("from the queue")
    with jupyter(tmp_path, config=config_for(provider, max_running=2)) as server:
        plain = submit(server, "killed-and-back")
        again = submit(server, "killed-and-back", on_restart="retry")
        queued = submit(server, "behind")
        for job in (plain, again):
            until_text(server, job, "one two")
        server.kill()
        provider.scripts["killed-and-back"] = answer("one two three")
        server.start()
        done = {job: wait(server, job) for job in (plain, again, queued)}
    assert (done[plain]["status"], done[plain]["text"]) == ("interrupted", "one two ")
    assert (done[again]["status"], done[again]["text"], done[again]["attempt"]) == ("completed", "one two three", 2)
    assert [part["text"] for part in done[again]["earlier"]] == ["one two "]
    assert (done[queued]["status"], done[queued]["text"]) == ("completed", "from the queue")


async def test_queue_limit_and_reserved_capacity_hold_under_flood(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["flood"] = answer("one two", hold_after=1)
    config = config_for(provider, max_running=4, reserved_interactive=2, max_queued=20)
    with jupyter(tmp_path, config=config) as server:
        async with httpx.AsyncClient(base_url=server.api, headers={"Authorization": f"token {server.token}"}) as client:
            body = {"model": "demo/flood", "prompt": "x", "priority": "bulk"}
            answers = await asyncio.gather(*(client.post("jobs", json=body) for _ in range(30)))
            assert sorted(answer.status_code for answer in answers) == [201] * 20 + [429] * 10
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert (refused.json()["code"], int(refused.headers["Retry-After"]) > 0) == ("queue_full", True)
            provider.request(len(provider.requests))
            running = (await client.get("jobs", params={"status": "running"})).json()["jobs"]
            assert len(running) == 2  # the other two places are for people
            await client.post(f"jobs/{running[0]['id']}/cancel")
            asked = await client.post("jobs", json=body | {"priority": "interactive"})
            assert asked.status_code == 201
            until_text(server, asked.json()["id"], "one")
