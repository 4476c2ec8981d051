"""A batch whose rows fail alike pauses, through REST."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for
from server.test_lifecycle import jobs_of, until
from server.test_live import Page, connect

from jupyter_bgstream.core.batch_pause import AT_FIRST, IN_A_ROW, PAUSING
from jupyter_bgstream.testing import Request, Script
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, refusal

ROOT = Path(__file__).parents[2]
REVOKED = refusal(401, {"error": {"message": "This key was revoked.", "code": "invalid_api_key"}})
QUOTA = refusal(429, {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}})
CUT_OFF = answer("Half an", finish_reason=None, done=False)
CONCURRENCY = 4


@pytest.fixture
def client(server: Jupyter) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


class Good:
    """Answers so many requests, and refuses those that come later."""

    def __init__(self, number: int, then: Script) -> None:
        self._left = number
        self._then = then
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Script:
        with self._lock:
            self._left -= 1
            return answer("fine") if self._left >= 0 else self._then


def announce(client: httpx.Client, batch: str, total: int) -> None:
    for start in range(0, total, 500):
        jobs = jobs_of(batch, batch, *range(start, min(total, start + 500)), priority="bulk", retry_policy="never")
        body = {"id": batch, "total": total, "concurrency": CONCURRENCY, "jobs": jobs}
        assert client.post("batches", json=body).status_code == 200


def until_paused(client: httpx.Client, batch: str) -> dict[str, Any]:
    """Wait until a batch is paused, and nothing of it runs any more."""
    deadline = time.monotonic() + 60
    while True:
        shown = client.get(f"batches/{batch}").json()
        if shown["paused"] is not None and shown["running"] == 0:
            return dict(shown)
        assert shown["ended_at"] is None, shown
        assert time.monotonic() < deadline, shown


@pytest.mark.parametrize(
    ("name", "script", "code"),
    [("revoked", REVOKED, "unauthorized"), ("no-quota", QUOTA, "rate_limited"), ("cut-off", CUT_OFF, "truncated")],
)
def test_thousand_rows_failing_alike_cost_few_requests(
    client: httpx.Client, provider: ThreadedProvider, name: str, script: Script, code: str
) -> None:
    batch = f"rows-{name}"
    provider.scripts[batch] = script
    announce(client, batch, 1000)
    shown = until_paused(client, batch)
    assert AT_FIRST <= len(provider.asked(batch)) < AT_FIRST + CONCURRENCY
    assert (shown["paused"]["code"], shown["status"], shown["ended_at"]) == (code, "running", None)
    assert shown["counts"]["failed"] == len(provider.asked(batch))
    assert shown["queued"] == 1000 - shown["counts"]["failed"]
    client.post(f"batches/{batch}/cancel")


def test_revoked_key_pauses_batch_and_resume_continues_it(client: httpx.Client, provider: ThreadedProvider) -> None:
    provider.scripts["rows-mid"] = Good(100, REVOKED)
    announce(client, "rows-mid", 1000)
    shown = until_paused(client, "rows-mid")
    # An answer that is under way when the key is revoked may end after refusals, and break their series.
    asked = len(provider.asked("rows-mid"))
    assert 100 + IN_A_ROW <= asked <= 100 + IN_A_ROW + 2 * (CONCURRENCY - 1)
    assert shown["counts"]["completed"] == 100
    assert "revoked" in shown["paused"]["message"]
    (notice,) = [each for each in client.get("notices").json()["notices"] if each["batch"] == "rows-mid"]
    assert (notice["paused"], notice["status"], notice["read_at"]) == (shown["paused"], "running", None)
    provider.scripts["rows-mid"] = answer("fine")
    gone_on = client.post("batches/rows-mid/resume")
    assert (gone_on.status_code, gone_on.json()["paused"]) == (200, None)
    done = until(client, "batches/rows-mid", status="failed")
    assert done["counts"]["completed"] == 1000 - shown["counts"]["failed"]  # failed rows are not asked again by that
    again = client.post("batches/rows-mid/resume")
    assert (again.status_code, again.json()["ended_at"]) == (200, done["ended_at"])
    (notice,) = [each for each in client.get("notices").json()["notices"] if each["batch"] == "rows-mid"]
    assert (notice["paused"], notice["status"]) == (None, "failed")
    client.post("batches/rows-mid/retry")
    until(client, "batches/rows-mid", status="completed")
    assert client.post("batches/nobody-knows-it/resume").status_code == 404


def test_pause_survives_kill(tmp_path: Path, provider: ThreadedProvider) -> None:
    provider.scripts["rows-killed"] = REVOKED
    with jupyter(tmp_path, config=config_for(provider)) as server:
        with server.client() as client:
            announce(client, "rows-killed", 100)
            before = until_paused(client, "rows-killed")
        asked = len(provider.asked("rows-killed"))
        provider.scripts["rows-killed"] = answer("fine")
        provider.scripts["afterwards"] = answer("fine")
        server.kill()
        server.start()
        with server.client() as client:
            # Once a later job has ended here, the rows that the dead server left would have begun as well.
            job = client.post("jobs", json={"model": "demo/afterwards", "prompt": "x"}).json()["id"]
            until(client, f"jobs/{job}", status="completed")
            assert client.get("batches/rows-killed").json()["paused"] == before["paused"]
            assert len(provider.asked("rows-killed")) == asked
            client.post("batches/rows-killed/resume")
            until(client, "batches/rows-killed", status="failed")
            assert len(provider.asked("rows-killed")) == 100


def test_cancel_of_paused_batch_ends_it(client: httpx.Client, provider: ThreadedProvider) -> None:
    provider.scripts["rows-stop"] = REVOKED
    announce(client, "rows-stop", 50)
    until_paused(client, "rows-stop")
    stopped = client.post("batches/rows-stop/cancel").json()
    assert (stopped["paused"], stopped["status"]) == (None, "failed")
    assert stopped["counts"]["cancelled"] == 50 - stopped["counts"]["failed"]


async def test_page_receives_batch_and_notice_frames_of_pause(
    server: Jupyter, client: httpx.Client, provider: ThreadedProvider
) -> None:
    provider.scripts["rows-heard"] = REVOKED
    page = Page(await connect(server))
    await page.until("hello")
    await asyncio.to_thread(announce, client, "rows-heard", 50)
    await page.until("batch", batch="rows-heard")
    await page.until("notice")
    await asyncio.to_thread(until_paused, client, "rows-heard")
    await asyncio.to_thread(client.post, "batches/rows-heard/resume")
    await page.until("batch", batch="rows-heard")
    await page.until("notice")
    await asyncio.to_thread(client.post, "batches/rows-heard/cancel")
    await page.leave()


def test_protocol_names_pausing_error_codes_and_limits() -> None:
    protocol = (ROOT / "PROTOCOL.md").read_text("utf-8")
    named = protocol[protocol.index("**Pauses.**") : protocol.index("Alike means")]
    assert re.findall(r"`([a-z_]+)`", named) == list(PAUSING)
    assert f"first {AT_FIRST} of its jobs" in named
    assert f"any {IN_A_ROW} that ended one after another" in named
