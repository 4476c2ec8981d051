"""A job's life through REST: real server, real provider over HTTP."""

from __future__ import annotations

import json
import random
import stat
import sys
import time
from pathlib import Path

import pytest
from harness.jupyter import Jupyter, jupyter
from providers.recorded import streams
from server.conftest import config_for, submit, until_text, wait

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import DONE, Cut, Hold, answer, event, refusal, replay

CANARY = "sk-canary-3f9a77"
STREAMS = streams("chat-completions")


def test_job_runs_end_to_end(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["whole"] = answer("Grüezi 👩‍🚀 world", reasoning="Hm.", usage=(3, 7))
    job = wait(server, submit(server, "whole", tags=["a"], source={"cell": "c1"}))
    assert (job["status"], job["text"], job["reasoning"]) == ("completed", "Grüezi 👩‍🚀 world", "Hm.")
    assert job["usage"] == {
        "input_tokens": 3,
        "output_tokens": 7,
        "cached_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "cost": None,
        "cost_estimated": False,
    }
    assert (job["title"], job["preview"], job["tags"], job["attempt"]) == ("Hello", "Grüezi 👩‍🚀 world", ["a"], 1)
    assert job["created_at"] <= job["started_at"] <= job["ended_at"]
    with server.client() as client:
        listed = client.get("jobs", params={"ids": job["id"]}).json()["jobs"]
        (notice,) = [n for n in client.get("notices?unread=true").json()["notices"] if n["job"] == job["id"]]
        assert "text" not in listed[0]
        assert (notice["status"], notice["title"]) == ("completed", "Hello")
        inbox = client.post("notices/read", json={"ids": [notice["id"]]}).json()
        assert notice["id"] not in [n["id"] for n in inbox["notices"] if n["read_at"] is None]
        assert client.delete(f"notices/{notice['id']}").status_code == 204
        assert client.delete(f"notices/{notice['id']}").status_code == 404


def test_repeated_submit_creates_one_job(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["once"] = answer("x")
    body = {"id": "client-made-id", "model": "demo/once", "prompt": "Hello"}
    with server.client() as client:
        statuses = [client.post("jobs", json=body).status_code for _ in range(3)]
        other = client.post("jobs", json=body | {"prompt": "Something else"})
    assert statuses == [201, 200, 200]
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    wait(server, "client-made-id")
    assert sum(request.model == "once" for request in provider.requests) == 1


def test_cancel_closes_provider_connection_within_one_second(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two three four", hold_after=2)
    job = submit(server, "held")
    until_text(server, job, "one two")
    request = provider.requests[-1]
    asked = time.monotonic()
    with server.client() as client:
        assert client.post(f"jobs/{job}/cancel").json()["status"] == "cancelled"
    provider.quiet()
    assert request.closed_at is not None
    assert request.closed_by_client
    assert request.closed_at - asked < 1
    ended = wait(server, job)
    assert (ended["status"], ended["text"]) == ("cancelled", "one two ")


FAILURES = {
    "no-such-model": ("model_not_found", None),
    "wrong-key": ("unauthorized", refusal(401, {"error": {"message": f"Incorrect API key provided: {CANARY}."}})),
    "too-many": ("rate_limited", refusal(429, {"error": {"message": "Slow down."}}, {"Retry-After": "7"})),
    "broken": ("provider_error", refusal(500, "Internal server error")),
    "refused": ("bad_request", refusal(400, {"error": {"message": "This parameter is not supported."}})),
    "too-long": ("context_too_long", refusal(400, {"error": {"message": "Context length exceeded."}})),
    "garbage": ("malformed_stream", replay([event("{not json"), DONE])),
    "web-page": ("malformed_stream", refusal(200, "<html>Please log in</html>", {"Content-Type": "text/html"})),
    "no-end": ("truncated", answer("Half an ans", finish_reason=None, done=False)),
    "only-done": ("truncated", answer("Half an ans", finish_reason=None)),
    "cut": ("truncated", answer("Half an answer").first(2, Cut())),
}


@pytest.mark.parametrize("model", FAILURES)
def test_each_failure_has_code_and_message(server: Jupyter, provider: ThreadedProvider, model: str) -> None:
    code, script = FAILURES[model]
    if script is not None:
        provider.scripts[model] = script
    job = wait(server, submit(server, model, retry_policy="never"))
    assert (job["status"], job["error"]["code"]) == ("failed", code)
    sentence, _, _ = job["error"]["message"].partition(" Details:")  # the provider's own words follow
    assert sentence.endswith(".")
    assert len(sentence) > 40


def test_failure_before_any_answer_names_setting_to_change(tmp_path: Path, provider: ThreadedProvider) -> None:
    config = config_for(provider)
    config["BgStreamApp"]["providers"]["nowhere"] = {"base_url": "http://127.0.0.1:9/v1"}
    expected = {
        "nobody/x": ("unknown_provider", "demo"),
        "openai/gpt-4o-mini": ("missing_key", "OPENAI_API_KEY"),
        "nowhere/x": ("unreachable", "nowhere"),
    }
    with jupyter(tmp_path, config=config) as server, server.client() as client:
        for model, (code, word) in expected.items():
            asked = {"model": model, "prompt": "x", "retry_policy": "never"}
            job = wait(server, client.post("jobs", json=asked).json()["id"])
            assert (job["status"], job["error"]["code"]) == ("failed", code)
            assert word in job["error"]["message"]


@pytest.mark.parametrize("path", STREAMS.values(), ids=STREAMS)
def test_recorded_answers_arrive_unchanged(server: Jupyter, provider: ThreadedProvider, path: Path) -> None:
    chunks = [json.loads(line) for line in path.read_text().splitlines()]
    body = b"".join(event(chunk) for chunk in chunks) + DONE
    provider.scripts[path.stem] = replay(body, cuts=random.randrange(2**32))
    job = wait(server, submit(server, path.stem))
    assert (job["status"], job["text"]) == ("completed", text_of(chunks))


def text_of(chunks: list[dict[str, object]]) -> str:
    """The text as a reader of the raw recording finds it, without our decoder."""
    text = ""
    for chunk in chunks:
        for choice in chunk["choices"]:  # type: ignore[attr-defined]
            content = choice["delta"].get("content") or ""
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            text += "".join(part["text"] for part in parts if part["type"] == "text")
    return text


def test_text_that_viewer_received_survives_kill(tmp_path: Path, provider: ThreadedProvider) -> None:
    text = " ".join(f"wörd{n}👋🏽" for n in range(200))
    provider.scripts["killed"] = answer(text, hold_after=150)
    with jupyter(tmp_path, config=config_for(provider)) as server:
        job = submit(server, "killed")
        cursor = until_text(server, job, "wörd149👋🏽")
        with server.client() as client:
            seen = client.get(f"jobs/{job}").json()["text"]
        server.kill()
        server.start()
        ended = wait(server, job)
        assert ended["text"].startswith(seen)
        assert text.startswith(ended["text"])
        assert (ended["status"], ended["error"]["code"]) == ("interrupted", "server_died")
        with server.client() as client:
            rest = client.get(f"jobs/{job}/events", params={"offset": cursor}).json()
            assert [event["type"] for event in rest] == ["interrupted"]
            assert [n["status"] for n in client.get("notices").json()["notices"]] == ["interrupted"]
        for folder in (server.data / "bgstream", server.runtime):
            for path in [*folder.glob("jobs.sqlite*"), *folder.glob("bgstream-*.json")]:
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_two_servers_share_jobs_and_run_only_their_own(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["shared"] = answer("one two three four", hold_after=2)
    database = {"database": str(tmp_path / "jobs.sqlite")}
    config = config_for(provider, **database)
    with jupyter(tmp_path / "a", config=config) as a, jupyter(tmp_path / "b", config=config) as b:
        job = submit(a, "shared")
        until_text(b, job, "one two")  # live, on the server that does not run it
        # A third one starts and stops: it touches nobody's running jobs.
        with jupyter(tmp_path / "c", config=config) as c, c.client() as client:
            assert client.get(f"jobs/{job}").json()["status"] == "running"
        provider.release()
        assert wait(b, job)["text"] == "one two three four"
        assert wait(a, job)["status"] == "completed"
        other = submit(a, "shared")
        until_text(b, other, "one two")
        with b.client() as client:
            assert client.post(f"jobs/{other}/cancel").json()["status"] == "cancelled"
        assert wait(a, other)["status"] == "cancelled"
        dying = submit(a, "shared")
        until_text(b, dying, "one two")
        a.kill()
        ended = wait(b, dying)
        assert (ended["status"], ended["text"], ended["error"]["code"]) == ("interrupted", "one two ", "server_died")


def test_key_is_neither_stored_nor_shown(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["echoes-the-key"] = refusal(401, {"error": {"message": f"Incorrect API key provided: {CANARY}."}})
    config = config_for(provider)
    config["BgStreamApp"]["providers"]["demo"]["api_key_env"] = "DEMO_KEY"
    with jupyter(tmp_path, config=config, DEMO_KEY=CANARY) as server, server.client() as client:
        job = submit(server, "echoes-the-key")
        wait(server, job)
        assert provider.requests[-1].headers["authorization"] == f"Bearer {CANARY}"
        said = [client.get(path).text for path in (f"jobs/{job}", f"jobs/{job}/events", "models", "status", "notices")]
        log = "".join(server.log)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY not in "".join(said) + log
    assert CANARY.encode() not in kept


def test_unavailable_database_is_reported_and_jupyter_still_works(tmp_path: Path, provider: ThreadedProvider) -> None:
    broken = tmp_path / "jobs.sqlite"
    broken.write_bytes(b"this is not a database" * 99)
    config = config_for(provider, database=str(broken))
    with jupyter(tmp_path / "home", config=config) as server, server.client() as client:
        answer = client.get("status")
        assert client.get(f"{server.url}api/status").status_code == 200
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "jobs.sqlite" in answer.json()["message"]
    assert broken.read_bytes() == b"this is not a database" * 99


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved there")
def test_moved_database_is_reported_until_it_is_back(tmp_path: Path, provider: ThreadedProvider) -> None:
    database, elsewhere = tmp_path / "jobs.sqlite", tmp_path / "elsewhere.sqlite"
    with jupyter(tmp_path / "home", config=config_for(provider, database=str(database))) as server:
        provider.scripts["moved"] = answer("Hello")
        job = wait(server, submit(server, "moved"))
        assert job["status"] == "completed"
        database.rename(elsewhere)
        with server.client() as client:
            refused = client.post("jobs", json={"model": "demo/moved", "prompt": "Hello"})
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert f"{database} was moved to" in refused.json()["message"]
            assert client.get("status").json()["warnings"] == [refused.json()["message"]]
            assert client.get(f"jobs/{job['id']}").json()["text"] == "Hello"  # what is there can be read
            elsewhere.rename(database)
            until = time.monotonic() + 60
            while client.get("status").json()["warnings"]:
                assert time.monotonic() < until
        assert wait(server, submit(server, "moved"))["status"] == "completed"


def test_stopped_server_interrupts_job_with_code_server_stopped(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["stopped"] = answer("one two three", hold_after=2)
    with jupyter(tmp_path, config=config_for(provider)) as server:
        job = submit(server, "stopped")
        until_text(server, job, "one two")
        runtime = server.runtime_file
        server.stop()
        assert not runtime.exists()
        server.start()
        ended = wait(server, job)
    assert (ended["status"], ended["text"], ended["error"]["code"]) == ("interrupted", "one two ", "server_stopped")


def test_running_jobs_count_as_activity(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["busy"] = replay([event({"choices": []})]).first(1, Hold())
    with jupyter(tmp_path, config=config_for(provider)) as server, server.client() as client:
        before = client.get(f"{server.url}api/status").json()["last_activity"]
        submit(server, "busy")
        provider.request(len(provider.requests))
        after = before
        deadline = time.monotonic() + 60
        while after == before:
            assert time.monotonic() < deadline
            client.get("jobs")
            after = client.get(f"{server.url}api/status").json()["last_activity"]


def test_costs_are_summed_by_thread_and_day(server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["paid"] = answer("Hello", usage=(3, 7))
    job = wait(server, submit(server, "paid", thread="costs of a thread"))
    with server.client() as client:
        by_thread = client.get("costs", params={"by": "thread", "since": int(job["created_at"])}).json()
        (row,) = [row for row in by_thread["costs"] if row["key"] == "costs of a thread"]
        assert row == {
            "key": "costs of a thread", "jobs": 1, "input_tokens": 3, "output_tokens": 7, "usd": None,
            "estimated": False,
        }  # fmt: skip
        by_day = client.get("costs").json()
        assert (by_day["by"], by_day["costs"][0]["key"]) == ("day", by_day["today"])
        assert client.get("costs", params={"until": 900}).json()["costs"] == []
        for query, field in (("by=hour", "by"), ("since=yesterday", "since"), ("until=nan", "until"), ("x=1", "x")):
            refused = client.get(f"costs?{query}")
            assert (refused.status_code, refused.json()["field"]) == (400, field)
