"""Jobs that wait for their next attempt, and jobs that a user retries."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from jupyter_bgstream.client import ConflictError, Job, job, submit
from jupyter_bgstream.client.background_loop import Background
from jupyter_bgstream.client.job_table import table
from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.core.events import Attempt, Queued, Waiting
from jupyter_bgstream.core.schemas.jobs import JobInfo, LogPage
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.testing import Cut, ThreadedProvider, answer
from jupyter_bgstream.testing.http_connection import Request
from jupyter_bgstream.testing.scripts import Script, refusal


@pytest.mark.usefixtures("script")
def test_ended_job_is_retried_once(provider: ThreadedProvider) -> None:
    provider.scripts["flaky"] = answer("one two").first(1, Cut())
    asked = submit("x", model="test/flaky", title="The question").wait()
    assert (asked.status, asked.retry_of, asked.retried_by) == ("failed", None, None)
    provider.scripts["flaky"] = answer("three four")
    again = asked.retry()
    assert again.result() == "three four"
    assert (again.retry_of, again.title, again.retried_by) == (asked.id, "The question", None)
    assert asked.retry().id == job(asked.id).retry().id == again.id == asked.retried_by
    assert (asked.status, asked.text) == ("failed", "one ")


@pytest.mark.usefixtures("script")
def test_running_job_cannot_be_retried(provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    asked = submit("x", model="test/held")
    with pytest.raises(ConflictError, match="only one that has ended can be retried") as refused:
        asked.retry()
    assert refused.value.code == "not_ended"
    asked.cancel()


@pytest.mark.usefixtures("script")
def test_readers_continue_across_delayed_attempt(provider: ThreadedProvider) -> None:
    tries: list[Request] = []

    def script(request: Request) -> Script:
        tries.append(request)
        return refusal(503, {"error": {"message": "Overloaded."}}) if len(tries) == 1 else answer("one two")

    provider.scripts["busy"] = script
    asked = submit("x", model="test/busy", retry_policy="always")
    assert "".join(asked) == "one two"
    assert (asked.wait().status, asked.result(), asked.error, asked.not_before) == ("completed", "one two", None, None)
    assert len(tries) == 2


@pytest.mark.usefixtures("script")
def test_retry_policy_never_makes_one_attempt(provider: ThreadedProvider) -> None:
    provider.scripts["busy"] = refusal(503, {"error": {"message": "Overloaded."}})
    before = len(provider.requests)
    assert submit("x", model="test/busy", retry_policy="never").wait().status == "failed"
    assert len(provider.requests) == before + 1


NOW = 1_800_000_000.0
UNTIL = NOW + 600
WHY = "The provider limits how much may be asked."


class Put:
    """A server whose one job waits for its second attempt."""

    async def log(self, job_id: str, after: str, *, wait: bool) -> LogPage:
        events = [
            Queued(at=1.0, seq=1),
            Attempt(at=1.0, seq=2, attempt=1),
            Waiting(at=2.0, until=UNTIL, code="rate_limited", message=WHY, seq=3, attempt=1),
        ]
        return LogPage(events=events, cursor="0_1_3", up_to_date=True, closed=False)

    async def aclose(self) -> None:
        pass


FORM = JobInfo(
    id="put-off-1",
    status="waiting",
    model="test/hello",
    title="x",
    cursor="0_1_3",
    created_at=1.0,
    not_before=UNTIL,
    error=ErrorInfo(code="rate_limited", message=WHY),
)


@pytest.fixture
def waiting() -> Iterator[Job]:
    background = Background(Put)
    yield Job(FORM, background)  # type: ignore[arg-type]
    background.close()


def test_waiting_job_shows_reason_and_time(waiting: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    shown = "<Job put-off-1 test/hello waiting 10 min 00 s: rate_limited>"
    assert repr(waiting) == shown
    assert (waiting.status, waiting.error, waiting.not_before) == ("waiting", FORM.error, UNTIL)
    assert repr(waiting) == shown  # from the log as from the list
    at = time.strftime("%H:%M:%S", time.localtime(UNTIL))
    for bundle in (waiting._repr_mimebundle_(), Job(FORM, waiting._background).placeholder()):
        assert bundle[BUNDLE_MIME]["status"] == "waiting"
        assert bundle["text/markdown"] == f"*Waiting, next try at {at}: {WHY}*"
        assert bundle["text/plain"] == f"Waiting, next try at {at}: {WHY} (job put-off-1)"


def test_table_shows_remaining_delay_of_waiting_job() -> None:
    assert "Waiting 3 min 00 s" in table([FORM], UNTIL - 180)["text/plain"]
    assert " Waiting " in table([FORM], UNTIL + 1)["text/plain"]
