"""Threads from a notebook and from a script: continued in another kernel, run in order, forked, renamed, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from client.conftest import Kernel, settings
from harness.jupyter import Jupyter, jupyter

from jupyter_bgstream.client import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    Thread,
    Threads,
    thread,
    threads,
)
from jupyter_bgstream.client.default_connection import default_background
from jupyter_bgstream.core.schemas.threads import ThreadInfo
from jupyter_bgstream.testing import Hold, Script, ThreadedProvider, answer

FORM = ThreadInfo(
    name="trip", jobs=1_200, status="running", model="test/hello", title="Why " * 20, created_at=0.0, updated_at=0.0
)


def sent(provider: ThreadedProvider, model: str) -> list[list[str]]:
    """Return the contents of the messages of each request to a model, in order."""
    return [
        [message["content"] for message in request.json["messages"]]
        for request in provider.requests
        if request.json.get("model") == model
    ]


def held() -> Script:
    """An answer that stops after its first word until it is released."""
    whole = answer("Aye, Sir.")
    begun = whole.first(1).steps
    return msgspec.structs.replace(whole, steps=(*begun, Hold(), *whole.steps[len(begun) :]))


@pytest.fixture
def parrot(provider: ThreadedProvider, request: pytest.FixtureRequest) -> str:
    """A model of this test's own that always says Aye."""
    name = request.node.name[:60]
    provider.scripts[name] = answer("Aye.")
    return name


def test_another_kernel_continues_thread(
    server: Jupyter, kernel: Kernel, provider: ThreadedProvider, parrot: str
) -> None:
    kernel.run(f"%%bg test/{parrot} --thread shared --name one\nMy name is Ada.")
    kernel.run("one.wait(60)")
    with closing(Kernel(server)) as other:
        other.run("%load_ext jupyter_bgstream")
        other.run(f"%%bg test/{parrot} --thread shared --name two\nWhat is my name?")
        other.run("two.wait(60)")
        listed = other.run("from jupyter_bgstream.client import thread, threads\nthreads()")
        assert "shared" in listed.bundles[0]["text/plain"]
        assert other.ask("[m['content'] for m in thread('shared').messages]") == repr(
            ["My name is Ada.", "Aye.", "What is my name?", "Aye."]
        )
    assert sent(provider, parrot) == [["My name is Ada."], ["My name is Ada.", "Aye.", "What is my name?"]]
    kernel.restart()
    kernel.run("%load_ext jupyter_bgstream\nfrom jupyter_bgstream.client import thread")
    kernel.run(f"three = thread('shared').submit('And now?', model='test/{parrot}').wait(30)")
    assert sent(provider, parrot)[-1] == ["My name is Ada.", "Aye.", "What is my name?", "Aye.", "And now?"]


def test_jobs_of_one_thread_run_in_order(script: None, provider: ThreadedProvider) -> None:
    provider.scripts["in-order"] = held()
    talk = thread("in order")
    one = talk.submit("one", model="test/in-order")
    two = talk.submit("two", model="test/in-order")
    assert next(iter(one)) == "Aye, "
    assert (two.status, talk.status) == ("queued", "running")
    assert [(m["content"], m["job"], m["status"]) for m in talk.messages] == [
        ("one", one.id, "running"),
        ("two", two.id, "queued"),
    ]
    provider.release(2)
    assert (one.result(60), two.result(60)) == ("Aye, Sir.", "Aye, Sir.")
    assert sent(provider, "in-order") == [["one"], ["one", "Aye, Sir.", "two"]]
    assert [job.id for job in talk.jobs] == [one.id, two.id]


def test_fork_is_independent_of_its_origin(script: None, provider: ThreadedProvider, parrot: str) -> None:
    model = f"test/{parrot}"
    talk = thread("origin")
    one = talk.submit("one", model=model).wait(30)
    talk.submit("two", model=model).wait(30)
    late, early = talk.fork("late"), talk.fork("early", after=one)
    assert (late.name, early.forked_from, early.jobs) == ("late", "origin", [])
    assert [message["content"] for message in early.messages] == ["one", "Aye."]
    assert repr(early) == f"<Thread 'early' 0 turns, completed, {model}, forked from 'origin'>"
    early.submit("three", model=model).wait(30)
    assert sent(provider, parrot)[-1] == ["one", "Aye.", "three"]
    talk.delete()
    assert talk.jobs == []
    with pytest.raises(NotFoundError):
        _ = talk.messages
    late.submit("four", model=model).wait(30)
    assert sent(provider, parrot)[-1] == ["one", "Aye.", "two", "Aye.", "four"]
    assert late.forked_from is None
    with pytest.raises(ConflictError):
        late.fork("early")
    with pytest.raises(NotFoundError):
        late.fork("more", after="no-such-job")


def test_thread_can_be_renamed_while_its_job_runs(script: None, provider: ThreadedProvider) -> None:
    provider.scripts["renamed"] = held()
    talk = thread("before")
    one = talk.submit("one", model="test/renamed", id="renamed-job-1")
    assert next(iter(one)) == "Aye, "
    assert talk.rename("after").name == "after"
    assert thread("before").submit("one", model="test/renamed", id="renamed-job-1").thread == "after"
    two = talk.submit("two", model="test/renamed")
    provider.release(2)
    two.wait(60)
    assert sent(provider, "renamed") == [["one"], ["one", "Aye, Sir.", "two"]]
    assert [each.name for each in threads() if each.name in ("before", "after")] == ["after"]
    with pytest.raises(NotFoundError):
        thread("before").rename("again")


def test_thread_can_be_deleted_while_its_job_runs(script: None, provider: ThreadedProvider) -> None:
    provider.scripts["deleted"] = held()
    talk = thread("to be deleted")
    one = talk.submit("one", model="test/deleted")
    assert next(iter(one)) == "Aye, "
    talk.delete()
    with pytest.raises(NotFoundError):
        one.wait(60)
    with pytest.raises(NotFoundError):
        _ = talk.status
    assert "to be deleted" not in [each.name for each in threads()]


@pytest.fixture
def two_servers(tmp_path: Path, provider: ThreadedProvider) -> Iterator[tuple[Jupyter, Jupyter]]:
    config: dict[str, Any] = settings(provider, store="sqlite", database=str(tmp_path / "jobs.sqlite"))
    with jupyter(tmp_path / "one", config=config) as one, jupyter(tmp_path / "two", config=config) as two:
        yield one, two


def test_two_servers_on_one_database_share_threads(
    two_servers: tuple[Jupyter, Jupyter], provider: ThreadedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.scripts["both"] = held()

    def at(server: Jupyter) -> None:
        default_background.close()
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(server.runtime))
        monkeypatch.setenv("JUPYTER_BGSTREAM_RUNTIME", str(server.runtime_file))

    one, two = two_servers
    at(one)
    first = thread("common").submit("one", model="test/both")
    assert next(iter(first)) == "Aye, "
    at(two)
    second = thread("common").submit("two", model="test/both")
    thread("common").rename("ours")
    assert (thread("ours").status, second.status) == ("running", "queued")
    provider.release(2)
    assert second.result(60) == "Aye, Sir."
    assert sent(provider, "both") == [["one"], ["one", "Aye, Sir.", "two"]]
    third = thread("ours").submit("three", model="test/both")
    assert next(iter(third)) == "Aye, "
    at(one)
    thread("ours").delete()  # the job runs on the other server
    provider.quiet()
    assert list(threads()) == []
    default_background.close()


def test_thread_list_is_displayed_as_table() -> None:
    forms = [FORM, msgspec.structs.replace(FORM, name="<b>", forked_from="trip")]
    shown = Threads(forms, more=True)
    text = repr(shown)
    assert text.splitlines()[0].split("  ")[0] == "thread"
    assert "1,200" in text
    assert "Why Why Why" in text
    assert text.endswith("There are more threads: threads(limit=…).")
    assert "&lt;b&gt;" in shown.bundle()["text/html"]
    assert isinstance(shown[:1], Threads)
    assert [each.name for each in shown] == [shown[0].name, shown[1].name] == ["trip", "<b>"]
    assert "to start one" in repr(Threads([]))


@pytest.mark.parametrize("name", ["", "x" * 201, 7, None])
def test_invalid_thread_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidRequestError):
        Thread(name)
