"""A paused batch: every wait ends, and the handle has the reason and names how to continue."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from client.conftest import Kernel
from harness.jupyter import Jupyter

import jupyter_bgstream as bg
from jupyter_bgstream.client import batch as batches
from jupyter_bgstream.core.batch_pause import AT_FIRST
from jupyter_bgstream.core.codec import BATCH_MIME
from jupyter_bgstream.testing import ThreadedProvider, answer, refusal

REVOKED = refusal(401, {"error": {"message": "This key was revoked.", "code": "invalid_api_key"}})
ROWS = 30
FAILED = {"max_concurrency": 1}  # at a time: then as many fail as pause it


@pytest.fixture
def model(provider: ThreadedProvider) -> Iterator[str]:
    """A model of this test's own, whose key was revoked."""
    name = f"m{secrets.token_hex(4)}"
    provider.scripts[name] = REVOKED
    yield f"test/{name}"
    del provider.scripts[name]


def mapped(model: str, **how: Any) -> batches.Batch:
    return batches.map(range(ROWS), "Row {row}", model=model, **FAILED | how)  # type: ignore[no-any-return]


def mend(provider: ThreadedProvider, model: str) -> None:
    provider.scripts[model.partition("/")[2]] = answer("It is done.")


@pytest.mark.usefixtures("script")
class TestScript:
    def test_wait_raises_reason_and_names_how_to_continue(self, provider: ThreadedProvider, model: str) -> None:
        batch = mapped(model)
        for _ in range(2):
            with pytest.raises(bg.BatchPausedError) as raised:
                batch.wait(60)
        assert (raised.value.code, raised.value.reason.code) == ("batch_paused", "unauthorized")
        for words in (batch.id, "revoked", f"{ROWS - AT_FIRST} remaining rows", "batch.resume()", "batch.retry()"):
            assert words in raised.value.message
        assert batch.paused == raised.value.reason
        assert batch.status == "running"
        assert batch.to_frame()[0]["status"] == "failed"
        assert [row["status"] for row in batch.to_frame()].count("queued") == ROWS - AT_FIRST
        assert f"paused: {batch.paused.message[:20]}" in repr(batch)
        assert batch.placeholder()[BATCH_MIME]["paused"]["code"] == "unauthorized"
        assert len(provider.asked(model.partition("/")[2])) == AT_FIRST
        batch.cancel()

    def test_resume_runs_queued_rows_and_retry_runs_failed_rows(self, provider: ThreadedProvider, model: str) -> None:
        batch = mapped(model)
        with pytest.raises(bg.BatchPausedError):
            batch.wait(60)
        mend(provider, model)
        assert batch.resume() is batch
        assert batch.paused is None
        assert batch.wait(60).counts["completed"] == ROWS - AT_FIRST
        assert batch.resume().retry().wait(20).status == "completed"
        assert len(provider.asked(model.partition("/")[2])) == ROWS + AT_FIRST

    def test_retry_also_resumes_batch(self, provider: ThreadedProvider, model: str) -> None:
        batch = mapped(model)
        with pytest.raises(bg.BatchPausedError):
            batch.wait(60)
        mend(provider, model)
        assert batch.retry().wait(20).status == "completed"

    def test_wait_continues_after_batch_is_resumed_elsewhere(
        self, server: Jupyter, provider: ThreadedProvider, model: str
    ) -> None:
        batch = mapped(model)
        with pytest.raises(bg.BatchPausedError):
            batch.wait(60)
        mend(provider, model)
        with server.client() as client:
            client.post(f"batches/{batch.id}/resume").raise_for_status()
        assert batch.wait(60).counts["completed"] == ROWS - AT_FIRST

    def test_iteration_and_await_raise_for_paused_batch(self, provider: ThreadedProvider, model: str) -> None:
        batch = mapped(model)
        rows = iter(batch)
        assert [next(rows).status for _ in range(AT_FIRST)] == ["failed"] * AT_FIRST
        with pytest.raises(bg.BatchPausedError):
            next(rows)

        async def awaited() -> Any:
            return await batch

        with pytest.raises(bg.BatchPausedError):
            asyncio.run(awaited())
        batch.cancel()
        assert len(list(batch)) == ROWS

    def test_repeated_call_reports_paused_batch(
        self, provider: ThreadedProvider, model: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        batch = mapped(model)
        with pytest.raises(bg.BatchPausedError):
            batch.wait(60)
        again = mapped(model)
        assert again.id == batch.id
        assert "It is paused" in capsys.readouterr().out
        with pytest.raises(bg.BatchPausedError):
            again.wait(60)
        batch.cancel()


def test_unattended_notebook_fails_with_reason_of_pause(kernel: Kernel, provider: ThreadedProvider, model: str) -> None:
    ran = kernel.run(f"import jupyter_bgstream as bg\nb = bg.map(range(30), '{{row}}', model={model!r})\nb.wait()")
    assert "BatchPausedError" in ran.error
    assert "revoked" in ran.error
    listed = kernel.run("%bg").bundles[0]
    batch = kernel.ask("b.id").strip("'")
    rows = [line.split() for line in listed["text/plain"].splitlines() if line.startswith(batch[:8])]
    assert {row[1] for row in rows} - {"Failed"} == {"Paused"}
    assert "is paused (unauthorized): test refused the key" in listed["text/plain"]
    assert "is paused (unauthorized): test refused the key" in listed["text/html"]
    shown = kernel.run("b")
    assert any("paused: test refused the key" in bundle.get("text/markdown", "") for bundle in shown.bundles)
    assert kernel.run("b.cancel()").reply["status"] == "ok"
