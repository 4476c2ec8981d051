"""Verbs of %bg: show, attach, wait, delete, list, mute, and the jobs of this notebook."""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import Any

import pytest
from client.conftest import Kernel
from harness.jupyter import Jupyter

from jupyter_bgstream.client import NotFoundError, job, submit
from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.testing import Cut, ThreadedProvider, answer

pytestmark = pytest.mark.usefixtures("script")


@pytest.fixture(scope="module")
def notebook(kernel: Kernel) -> str:
    """Make the kernel that of a notebook; return the path."""
    path = "plans/sea.ipynb"
    session = {"path": path, "type": "notebook", "name": "sea", "kernel": {"id": kernel.id}}
    made = kernel.rest.post("api/sessions", json=session).raise_for_status().json()
    assert made["kernel"]["id"] == kernel.id
    return path


def test_show_displays_all_details_of_job(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["broken"] = answer("one <b>", usage=(3, 2)).first(1, Cut())
    line = "--thread talk --param max_tokens=5 --system 'Be <i>brief</i>.' --retry-policy never --name broken"
    kernel.run(f"%%bg test/broken {line}\nWhat is <b>?")
    kernel.run("broken.wait()")
    details, live = kernel.run("%bg show broken").bundles
    plain = details["text/plain"]
    facts = dict(line.split(maxsplit=1) for line in plain.partition("\n\n")[0].splitlines())
    assert facts["job"] == live[BUNDLE_MIME]["id"]
    assert live["text/plain"].startswith("one \n\nFailed: ")
    assert (facts["status"], facts["model"], facts["thread"]) == ("Failed", "test/broken", "talk")
    assert facts["params"] == '{"max_tokens": 5}'
    assert facts["error"].endswith("(truncated)")
    assert plain.endswith("\n\nsystem:\nBe <i>brief</i>.\n\nuser:\nWhat is <b>?")
    assert "What is &lt;b&gt;?" in details["text/html"]
    assert "<i>" not in details["text/html"]


def test_attach_shows_job_and_binds_variable(kernel: Kernel) -> None:
    asked = submit("Say hello.")
    asked.wait()
    ran = kernel.run(f"%bg attach {asked.id} found")
    assert (ran.job["id"], ran.job["status"]) == (asked.id, "completed")
    assert ran.bundles[0]["text/markdown"] == "Hello, world"
    assert kernel.ask("found.text") == "'Hello, world'"


def test_wait_covers_all_jobs_of_kernel_and_can_be_interrupted(kernel: Kernel, provider: ThreadedProvider) -> None:
    kernel.run("%bg wait")
    assert kernel.run("%bg wait").printed == "No job of this kernel is unfinished.\n"
    provider.scripts["held"] = answer("one two", hold_after=1)
    stranger = submit("x", model="test/held")
    provider.held()
    mine = [kernel.run("%%bg test/held\nx").job["id"][:8] for _ in range(2)]
    waiting = kernel.send("%bg wait")
    kernel.await_printed("Waiting for ")
    kernel.interrupt()
    kernel.await_printed(f"Detaching. Jobs {mine[0]}, {mine[1]} continue. Interrupt again within 3 s to cancel.")
    ran = kernel.collect(waiting)
    assert ran.error.startswith(f"Detached. Jobs {mine[0]}, {mine[1]} continue. ")
    assert job(stranger.id).status == "running"
    waiting = kernel.send(f"%bg wait {mine[0]} {mine[1]}")
    provider.release(3)
    first, *rest = kernel.collect(waiting).printed.splitlines()
    assert first == f"Waiting for {mine[0]}, {mine[1]}. An interrupt detaches; the jobs continue."
    assert rest == [f"Job {short}: Done." for short in mine]


def test_delete_removes_all_given_jobs_or_nothing(kernel: Kernel, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    ended, going = submit("x").wait(), submit("x", model="test/held")
    ran = kernel.run(f"%bg delete {ended.id} {going.id}")
    assert ran.error.startswith(f"Nothing was deleted, because {going.id[:8]} did not end yet. ")
    assert job(ended.id) == ended
    assert kernel.run(f"%bg delete {ended.id}").printed == "1 job deleted.\n"
    assert kernel.run(f"%bg delete --force {going.id[:8]}").printed == "1 job deleted.\n"
    for gone in (ended, going):
        with pytest.raises(NotFoundError):
            job(gone.id)


def test_list_filters_by_status_thread_and_notebook(kernel: Kernel, notebook: str) -> None:
    submit("Somewhere else.", thread="sea-1").wait()
    kernel.run("%%bg --thread sea-1 --name here\nHere.")
    kernel.run("here.wait()")

    def titles(line: str) -> set[str]:
        (shown,) = kernel.run(line).bundles
        lines = shown["text/plain"].splitlines()
        return {title for title in ("Here.", "Somewhere else.") if any(title in row for row in lines)}

    assert titles("%bg list --here") == {"Here."}
    assert titles("%bg list --thread sea-1 completed") == {"Here.", "Somewhere else."}
    assert titles("%bg list --thread sea-1 failed") == set()
    assert kernel.rest.get(f"api/bgstream/kernels/{kernel.id}").json() == {"notebook": notebook}
    assert kernel.rest.get("api/bgstream/kernels/nobody").json() == {"notebook": None}


def test_mute_applies_to_notebook_or_thread(kernel: Kernel, notebook: str) -> None:
    def muted() -> list[dict[str, Any]]:
        found = kernel.rest.get("api/bgstream/mutes").json()["mutes"]
        assert isinstance(found, list)
        return found

    assert kernel.run("%bg mute").printed == f"Muted the notebook {notebook}.\n"
    ran = kernel.run("%bg mute thread 'my trip'")
    assert ran.printed == f"Muted the thread my trip.\nAlso muted: the notebook {notebook}.\n"
    assert muted() == [{"kind": "notebook", "name": notebook}, {"kind": "thread", "name": "my trip"}]
    assert kernel.run("%bg mute off").printed.startswith(f"Unmuted the notebook {notebook}.\n")
    kernel.run("%bg mute off thread 'my trip'")
    assert muted() == []


def test_reading_text_through_handle_marks_notice_as_read(kernel: Kernel, server: Jupyter) -> None:
    with closing(server.client()) as rest:
        polled, read = submit("x", title="polled").wait(), submit("x", title="read").wait()
        assert polled.status == "completed"
        assert read.text == "Hello, world"
        while any(notice["job"] == read.id for notice in rest.get("notices?unread=true").json()["notices"]):
            pass
        assert any(notice["job"] == polled.id for notice in rest.get("notices?unread=true").json()["notices"])


def test_batch_variable_is_not_taken_as_id_prefix(kernel: Kernel) -> None:
    assert (
        kernel.run("from jupyter_bgstream.client.batch import map\nb = map(['x', 'y'], '{row}').wait()").printed == ""
    )
    bystander = submit("x", id=f"b-{secrets.token_hex(8)}").wait()
    kernel.run("from jupyter_bgstream.client import submit")
    assert "b is a batch. Use b.wait()" in kernel.run("%bg delete b").error
    assert job(bystander.id).status == "completed"


def test_variable_with_empty_job_list_is_reported(kernel: Kernel) -> None:
    kernel.run("from jupyter_bgstream.client import jobs\nnothing = jobs(tag='nobody-has-this')")
    assert kernel.run("%bg show nothing").error == "nothing has no jobs."


def test_rows_of_batch_have_short_ids(kernel: Kernel) -> None:
    made = "from jupyter_bgstream.client.batch import map\nrows = map(['name x', 'name y'], '{row}').wait()"
    assert kernel.run(made).reply["status"] == "ok"
    batch = kernel.ask("rows.id").strip("'")
    names = [f"{batch[:8]}-r{number}" for number in range(2)]
    assert all(name in kernel.run("%bg list").bundles[0]["text/plain"] for name in names)
    assert kernel.run(f"%bg show {names[1]}").job["id"] == f"{batch}-r1"
