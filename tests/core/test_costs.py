"""The cost of a job: the sum of the last known costs of its attempts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jupyter_bgstream.core.costs import Cost
from jupyter_bgstream.core.events import Attempt, Event, Failed, Interrupted, Queued, Usage, Waiting
from jupyter_bgstream.core.job import Job, JobSpec, advance
from jupyter_bgstream.core.messages import Message

FIRST = Attempt(at=1.0)
AGAIN = Attempt(at=2.0, reason="retry")
RESUMED = Attempt(at=2.0, reason="recovery", resumed=True)
BUSY = Waiting(at=1.0, until=2.0, code="rate_limited", message="Busy.")
FAILED = Failed(at=3.0, code="truncated", message="It broke off.")
DIED = Interrupted(at=3.0, code="server_died", message="The server died.")


def paid(events: Sequence[Event], *, at_once: bool) -> Job:
    messages = (Message(role="user", content="Why?"),)
    job = Job(
        id="job-0001", owner="ada", log="0" * 8, spec=JobSpec(model="a/b", messages=messages), status="new",
        server="here", created_at=0.0,
    )  # fmt: skip
    for batch in [events] if at_once else [[event] for event in events]:
        job = advance(job, batch)
    return job


def spent(usd: float | None, *, estimated: bool = False, tokens: int = 1) -> Usage:
    return Usage(output_tokens=tokens, cost=usd, cost_estimated=estimated)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("events", "cost"),
    [
        ([FIRST], None),
        ([FIRST, spent(None)], None),
        ([FIRST, spent(0.0)], Cost(usd=0.0)),
        ([FIRST, spent(0.5), FAILED], Cost(usd=0.5)),
        ([FIRST, spent(0.5), DIED], Cost(usd=0.5)),
        ([FIRST, spent(0.25), spent(0.5)], Cost(usd=0.5)),
        ([FIRST, spent(0.25), spent(None), spent(0.5)], Cost(usd=0.5)),
        ([FIRST, spent(0.25), BUSY, AGAIN], Cost(usd=0.25)),
        ([FIRST, spent(0.25), AGAIN, spent(0.5)], Cost(usd=0.75)),
        ([FIRST, spent(0.25), AGAIN, spent(0.5), spent(1.0)], Cost(usd=1.25)),
        ([FIRST, spent(0.25), RESUMED, spent(0.5)], Cost(usd=0.5)),
        ([FIRST, spent(0.25), AGAIN, spent(0.5), RESUMED, spent(1.0), AGAIN, spent(2.0)], Cost(usd=3.25)),
        ([FIRST, spent(0.25, estimated=True), AGAIN, spent(0.5)], Cost(usd=0.75, estimated=True)),
        ([FIRST, spent(0.25), AGAIN, spent(None)], Cost(usd=0.25)),
    ],
)
def test_cost_is_sum_over_all_attempts(events: list[Event], cost: Cost | None, at_once: bool) -> None:
    assert paid([Queued(at=0.0), *events], at_once=at_once).paid == cost


def test_usage_is_of_last_attempt_with_its_known_cost() -> None:
    job = paid([Queued(at=0.0), FIRST, spent(0.25, tokens=9), AGAIN, spent(0.5), spent(None, tokens=2)], at_once=False)
    assert job.usage == Usage(output_tokens=2, cost=0.5)
