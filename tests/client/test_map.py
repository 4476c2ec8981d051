"""Batches from tables: real kernels and scripts, a real server, a scripted provider."""

from __future__ import annotations

import json
import pickle
import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pandas as pd
import pytest
from client.conftest import Kernel
from harness.jupyter import Jupyter

from jupyter_bgstream.client import InvalidRequestError, NotFoundError
from jupyter_bgstream.client import batch as batches
from jupyter_bgstream.client.batch.content_ids import content_id
from jupyter_bgstream.core.codec import BATCH_MIME
from jupyter_bgstream.testing import ThreadedProvider, answer, in_turn, refusal

LABEL = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}, "n": {"type": "integer"}},
    "required": ["label"],
}


@pytest.fixture
def model(provider: ThreadedProvider) -> Iterator[str]:
    """A model of this test's own that repeats its prompt."""
    name = f"m{secrets.token_hex(4)}"
    provider.scripts[name] = lambda request: answer(f"Said: {request.prompt}", usage=(5, 4))
    yield f"test/{name}"
    del provider.scripts[name]


def prompts(provider: ThreadedProvider, model: str) -> list[str]:
    return sorted(request.prompt for request in provider.asked(model.partition("/")[2]))


def script(provider: ThreadedProvider, model: str, reply: Any) -> None:
    provider.scripts[model.partition("/")[2]] = reply


# In a notebook


def test_repeated_cell_shows_same_batch(
    server: Jupyter, kernel: Kernel, provider: ThreadedProvider, model: str
) -> None:
    cell = f"""
import pandas as pd
from jupyter_bgstream.client.batch import map
df = pd.DataFrame({{"text": ["x", "y", "z"]}}, index=[7, 7, 9])
batch = map(df, "Classify: {{text}}", model={model!r}, title="Words <b>")
batch"""
    ran = kernel.run(cell)
    (shown,) = ran.bundles
    assert shown[BATCH_MIME]["total"] == 3
    assert shown["text/plain"].startswith("Words <b>: 0 of 3 answered, ")
    assert "<" not in shown["text/markdown"]
    assert ran.printed == ""
    found = json.loads(kernel.run("print(batch.wait().to_frame().reset_index().to_json(orient='values'))").printed)
    expected = [[i, t, f"Said: Classify: {t}", "completed", None] for i, t in ((7, "x"), (7, "y"), (9, "z"))]
    assert found == expected
    kernel.restart()
    ran = kernel.run(cell)
    (again,) = ran.bundles
    assert again[BATCH_MIME]["id"] == shown[BATCH_MIME]["id"]
    assert again["text/plain"] == "Words <b>: 3 of 3 answered"
    assert "3 of 3 rows have been answered and are not sent again.\nfresh=True sends all rows again.\n" in ran.printed
    assert json.loads(kernel.run("print((await batch).reset_index().to_json(orient='values'))").printed) == expected
    assert len(prompts(provider, model)) == 3
    with server.client() as client:
        batch = client.get(f"batches/{batch_id(shown)}").json()
        assert batch["source"]["kernel"] == kernel.id
        notices = [each for each in client.get("notices").json()["notices"] if each["batch"] == batch_id(shown)]
        assert [each["counts"]["completed"] for each in notices] == [3]


def batch_id(bundle: dict[str, Any]) -> str:
    return str(bundle[BATCH_MIME]["id"])


def test_interrupt_does_not_cancel_batch(
    server: Jupyter, kernel: Kernel, provider: ThreadedProvider, model: str
) -> None:
    script(provider, model, answer("It is done.", hold_after=1))
    ran = kernel.run(f"from jupyter_bgstream.client.batch import map\nb = map(['x', 'y'], '{{row}}', model={model!r})")
    provider.held(2)
    waiting = kernel.send("print('now', flush=True); b.wait()")
    kernel.await_printed("now")
    kernel.interrupt()
    assert "KeyboardInterrupt" in kernel.collect(waiting).error
    assert kernel.ask("b.counts['running']") == "2"
    provider.release(2)
    assert kernel.ask("b.wait().status") == "'completed'"
    assert kernel.ask("[row.text for row in b]") == "['It is done.', 'It is done.']"
    assert ran.reply["status"] == "ok"


def test_batch_has_widget(kernel: Kernel, model: str) -> None:
    ran = kernel.run(f"from jupyter_bgstream.client.batch import map\nmap(['x'], '{{row}}', model={model!r}).view()")
    assert ran.reply["status"] == "ok", ran.error
    assert any("application/vnd.jupyter.widget-view+json" in bundle for bundle in ran.bundles)


def test_kernel_without_jupyter_server_updates_batch_display(
    server: Jupyter, provider: ThreadedProvider, model: str
) -> None:
    script(provider, model, answer("It is done.", hold_after=1))
    with closing(Kernel(server)) as kernel:
        alone = "import os\nfor name in ('JUPYTER_BGSTREAM_RUNTIME', 'JPY_PARENT_PID'): os.environ.pop(name, None)"
        assert kernel.run(alone).reply["status"] == "ok"  # as in an editor that has no Jupyter server
        ran = kernel.run(
            f"from jupyter_bgstream.client.batch import map\nb = map(['x', 'y'], '{{row}}', model={model!r})"
        )
        (shown,) = [output for output in ran.outputs if "data" in output]
        provider.held(2)
        provider.release(2)
        updated: list[dict[str, Any]] = []
        while not updated or "2 of 2 answered" not in updated[-1]["data"]["text/plain"]:
            message = kernel._client.get_iopub_msg(timeout=60)
            if message["msg_type"] == "update_display_data":
                updated.append(message["content"])
        assert {each["transient"]["display_id"] for each in updated} == {shown["transient"]["display_id"]}
        assert updated[-1]["data"][BATCH_MIME]["status"] == "completed"


# In a script


@pytest.mark.usefixtures("script")
class TestScript:
    def test_fresh_batch_is_used_by_later_calls(
        self, provider: ThreadedProvider, model: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def ask(**how: Any) -> batches.Batch:
            return batches.map(["x", "y"], "Classify: {row}", model=model, **how).wait()  # type: ignore[no-any-return]

        first, second, third = ask(), ask(), ask(fresh=True)
        assert first.id == second.id != third.id
        assert "are not sent again" in capsys.readouterr().out
        assert ask().id == third.id
        assert ask(params={"temperature": 0}).id not in (first.id, third.id)
        assert len(prompts(provider, model)) == 6

    def test_fresh_batch_is_used_after_first_one_was_deleted(
        self, server: Jupyter, provider: ThreadedProvider, model: str
    ) -> None:
        def ask(**how: Any) -> batches.Batch:
            return batches.map(["x", "y"], "{row}", model=model, **how).wait()  # type: ignore[no-any-return]

        def forget(batch: batches.Batch) -> None:
            with server.client() as client:
                for number in range(2):
                    client.delete(f"jobs/{batch.job(number).id}").raise_for_status()

        first, second = ask(), ask(fresh=True)
        forget(first)
        assert ask().id == second.id
        third = ask(fresh=True)
        assert third.id not in (first.id, second.id)
        assert ask().id == third.id
        assert len(prompts(provider, model)) == 6

    def test_pickled_batch_keeps_table(self, model: str) -> None:
        batch = batches.map(["x", "y"], "{row}", model=model, schema={"type": "object"}).wait()
        copy = pickle.loads(pickle.dumps(batch))
        assert copy.to_frame() == batch.to_frame()
        assert copy.to_frame()[0]["status"] == "invalid"

    def test_max_concurrency_limits_running_rows_and_frame_is_partial(
        self, provider: ThreadedProvider, model: str
    ) -> None:
        script(provider, model, lambda request: answer(["So ", request.prompt], hold_after=1))
        batch = batches.map([{"t": n} for n in range(5)], "{t}", model=model, max_concurrency=2)
        provider.held(2)
        counts = batch.counts
        assert (counts["running"], counts["queued"], counts["completed"]) == (2, 3, 0)
        assert [row["status"] for row in batch.to_frame()] == ["running", "running", "queued", "queued", "queued"]
        assert [row["answer"] for row in batch.to_frame()] == [None] * 5
        with pytest.raises(TimeoutError, match=r"has not ended after 0\.1 s; it continues"):
            batch.wait(0.1)
        rows = iter(batch)
        provider.release(5)
        assert [row.text for row in rows] == [f"So {n}" for n in range(5)]
        assert len(batch) == 5
        assert batch[-1].number == 4
        assert batch.job(4).result() == "So 4"
        with pytest.raises(IndexError):
            batch[5]

    def test_max_concurrency_can_be_raised_by_repeated_call(self, provider: ThreadedProvider, model: str) -> None:
        script(provider, model, answer("It is done.", hold_after=1))
        first = batches.map(list("abc"), "{row}", model=model, max_concurrency=1)
        provider.held(1)
        second = batches.map(list("abc"), "{row}", model=model, max_concurrency=3)
        provider.release(1)  # the next claim counts
        provider.held(2)
        assert first.id == second.id
        provider.release(2)
        assert second.wait().status == "completed"

    def test_schema_values_become_columns_and_errors_stay_with_rows(
        self, provider: ThreadedProvider, model: str
    ) -> None:
        replies = {"0": '{"label": "a", "n": 1}', "1": '{"label": "c"}', "2": "no", "3": '{"label": "b"}'}
        script(
            provider,
            model,
            lambda request: (
                refusal(400, {"error": {"message": "Bad row."}})
                if request.prompt == "4"
                else answer(replies[request.prompt])
            ),
        )
        table = pd.DataFrame({"t": range(5)})
        batch = batches.map(table, "{t}", model=model, schema=LABEL).wait()
        frame = batch.to_frame()
        assert list(frame.columns) == ["t", "label", "n", "status", "error"]
        assert frame["label"].fillna("").tolist() == ["a", "", "", "b", ""]
        assert frame["n"].dtype == "Int64"
        assert frame["status"].tolist() == ["completed", "invalid", "invalid", "completed", "failed"]
        assert sorted(batch.errors) == [1, 2, 4]
        assert "at label: 'c' is not one of" in frame["error"][1]
        assert "not JSON" in frame["error"][2]
        assert "Bad row." in frame["error"][4]
        assert batch[1].text == '{"label": "c"}'
        (request,) = provider.asked(model.partition("/")[2], "0")
        assert request.json["response_format"]["json_schema"]["schema"]["required"] == ["label"]

        # Only rows without a valid answer are retried.
        script(provider, model, answer('{"label": "b", "n": 2}'))
        assert batch.retry() is batch
        assert batch.wait().errors == {}
        assert batch.to_frame()["label"].tolist() == ["a", "b", "b", "b", "b"]
        assert len(prompts(provider, model)) == 5 + 3
        batch.retry()  # there is nothing left
        assert len(prompts(provider, model)) == 5 + 3

        # Another kernel finds it by its id, without the table.
        found = batches.batch(batch.id).to_frame()
        assert found[2] == {"row": 2, "label": "b", "n": 2, "status": "completed", "error": None}

    def test_row_with_transient_failure_is_retried(self, provider: ThreadedProvider, model: str) -> None:
        busy = refusal(429, {"error": {"message": "Busy."}})
        script(provider, model, in_turn(busy, answer("It is done.")))
        batch = batches.map(["x"], "{row}", model=model).wait()
        assert [row.text for row in batch] == ["It is done."]

    def test_repeated_call_reports_rows_of_cancelled_batch(
        self, provider: ThreadedProvider, model: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        script(provider, model, answer("It is done.", hold_after=1))
        batch = batches.map(["x", "y"], "{row}", model=model)
        provider.held(2)
        assert batch.cancel().status == "cancelled"
        assert batches.map(["x", "y"], "{row}", model=model).id == batch.id
        assert "Rows without a complete answer: 2. retry() sends them again." in capsys.readouterr().out
        assert [row.status for row in batch] == ["cancelled"] * 2
        script(provider, model, answer("It is done."))
        assert batch.retry().wait().counts["completed"] == 2

    def test_deleted_rows_are_reported(self, server: Jupyter, model: str) -> None:
        batch = batches.map(["x", "y"], "{row}", model=model).wait()
        with server.client() as client:
            client.delete(f"jobs/{batch.job(0).id}").raise_for_status()
        gone, there = batches.map(["x", "y"], "{row}", model=model).to_frame()
        assert (gone["status"], there["status"]) == ("deleted", "completed")
        assert "fresh=True" in gone["error"]
        with pytest.raises(NotFoundError, match="no longer on the server"):
            batches.batch(batch.id).job(0)
        with pytest.raises(NotFoundError, match="no batch"):
            batches.batch("map-never")

    def test_repeated_call_completes_partial_submission(
        self, server: Jupyter, provider: ThreadedProvider, model: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["x", "y", "z"]
        sent_id = content_id(model, {}, [{"prompt": word} for word in words])
        first = {"id": f"{sent_id}-r0", "model": model, "prompt": "x", "priority": "bulk"}
        with server.client() as client:
            client.post("batches", json={"id": sent_id, "total": 3, "jobs": [first]}).raise_for_status()
        cut = batches.batch(sent_id)
        assert next(iter(cut)).text == "Said: x"
        assert [row["status"] for row in cut.to_frame()] == ["completed", "unsent", "unsent"]
        assert "Run the cell again" in cut.to_frame()[1]["error"]
        batch = batches.map(words, "{row}", model=model).wait()
        assert "1 of 3 rows have been answered" in capsys.readouterr().out
        assert batch.id == sent_id
        assert [row.text for row in batch] == ["Said: x", "Said: y", "Said: z"]
        assert prompts(provider, model) == words

    def test_unsubmitted_rows_of_cancelled_batch_are_cancelled(self, server: Jupyter, model: str) -> None:
        sent_id = content_id(model, {}, [{"prompt": word} for word in "xy"])
        with server.client() as client:
            jobs = [{"id": f"{sent_id}-r0", "model": model, "prompt": "x"}]
            client.post("batches", json={"id": sent_id, "total": 2, "jobs": jobs}).raise_for_status()
        batches.batch(sent_id).cancel()
        never = batches.map(["x", "y"], "{row}", model=model).to_frame()[1]
        assert never["status"] == "cancelled"
        assert "cancelled before this row" in never["error"]

    def test_batch_submitted_over_rest_has_handle(self, server: Jupyter, model: str) -> None:
        sent_id = secrets.token_hex(8)
        jobs = [{"id": f"{sent_id}-{word}", "model": model, "prompt": word} for word in ("x", "y")]
        with server.client() as client:
            client.post("batches", json={"id": sent_id, "total": 2, "jobs": jobs}).raise_for_status()
        batch = batches.batch(sent_id).wait()
        assert sorted(row["answer"] for row in batch.to_frame()) == ["Said: x", "Said: y"]
        assert repr(batch) == f"<Batch {sent_id} Batch {sent_id}: 2 of 2 answered>"

    def test_invalid_argument_sends_nothing(self, server: Jupyter, provider: ThreadedProvider, model: str) -> None:
        with server.client() as client:
            before = client.get("status").json()["counts"]
            for how, words in (
                ({"table": []}, "empty"),
                ({"prompt": "{txt}"}, "no such column"),
                ({"schema": {"type": 7}}, "not a valid JSON schema"),
                ({"schema": LABEL, "params": {"schema": LABEL}}, "given twice"),
                ({"model": "nobody/any"}, "Unknown provider"),
                ({"max_concurrency": 0}, "from 1 to 1,000"),
                ({"params": {"api_key": "x"}}, "may not hold api_key"),
            ):
                given: dict[str, Any] = {"table": ["x", "y"], "prompt": "{row}", "model": model, **how}
                with pytest.raises(InvalidRequestError, match=words) as refused:
                    batches.map(given.pop("table"), given.pop("prompt"), **given)
                assert len(refused.traceback) == 2  # in a notebook: the cell, and where map says it
            assert client.get("status").json()["counts"] == before
        assert prompts(provider, model) == []

    def test_dry_run_estimates_cost_and_sends_nothing(self, provider: ThreadedProvider, model: str) -> None:
        table = [{"t": "word " * 100} for _ in range(10)]
        estimate = batches.map(
            table, "Classify: {t}", model="openai/gpt-4o-mini", params={"max_tokens": 100}, dry_run=True
        )
        assert (estimate.model, estimate.rows, estimate.answered) == ("openai/gpt-4o-mini", 10, 0)
        assert 900 < estimate.input_tokens < 1500
        assert estimate.output_tokens == 1000
        # $0.15 and $0.60 for a million tokens
        assert estimate.input_usd == pytest.approx(estimate.input_tokens * 0.15e-6, rel=0.01)
        assert estimate.output_usd == pytest.approx(1000 * 0.6e-6)
        batches.map(table[:4], "{t}", model=model).wait()
        estimate = batches.map(table[:4], "{t}", model=model, dry_run=True)
        assert (estimate.answered, estimate.input_tokens, estimate.usd) == (4, 0, None)
        assert len(prompts(provider, model)) == 4

    def test_default_and_explicit_model_give_same_batch(self, server: Jupyter) -> None:
        batch = batches.map(["hello"], "{row}").wait()
        assert batches.map(["hello"], "{row}", model="test/hello").id == batch.id


def test_two_kernels_at_once_create_one_batch(server: Jupyter, provider: ThreadedProvider, model: str) -> None:
    cell = f"from jupyter_bgstream.client.batch import map\nb = map(range(40), '{{row}}', model={model!r})\nb.wait()"
    with closing(Kernel(server)) as one, closing(Kernel(server)) as other:
        sent = [(kernel, kernel.send(cell)) for kernel in (one, other)]
        ran = [kernel.collect(message) for kernel, message in sent]
        assert [each.reply["status"] for each in ran] == ["ok", "ok"]
    assert prompts(provider, model) == sorted(map(str, range(40)))


@pytest.mark.parametrize(("retry_policy", "requests"), [({}, 3), ({"retry_policy": "always"}, 6)])
def test_truncated_row_is_retried_only_with_always_policy(
    script: None, provider: ThreadedProvider, model: str, retry_policy: dict[str, str], requests: int
) -> None:
    seen: set[str] = set()

    def reply(request: Any) -> Any:
        again = request.prompt in seen
        seen.add(request.prompt)
        return answer("Said.", finish_reason="stop" if again else None)

    provider.scripts[model.partition("/")[2]] = reply
    batch = batches.map(["x", "y", "z"], "{row}", model=model, **retry_policy).wait()
    assert len(provider.asked(model.partition("/")[2])) == requests
    assert batch.counts["failed"] == (0 if retry_policy else 3)
    assert batch.retry().wait().counts["completed"] == 3
    assert len(provider.asked(model.partition("/")[2])) == 6


@pytest.mark.parametrize("words", ["", "\n\n"])
def test_row_without_text_is_marked(script: None, provider: ThreadedProvider, model: str, words: str) -> None:
    provider.scripts[model.partition("/")[2]] = answer(words, reasoning="So it is 42.")
    (row,) = batches.map(["x"], "{row}", model=model).wait().to_frame()
    assert (row["status"], row["answer"]) == ("completed", words)
    assert row["error"] == "The answer has no text."
