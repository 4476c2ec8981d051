"""The laws of the fold and of the one transition table."""

from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core.answers import state_of
from core.logs import EVENTS, logs
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.core.codec import decode_event, decode_events, encode, stamped
from jupyter_bgstream.core.errors import IllegalEventError
from jupyter_bgstream.core.events import Attempt, Completed, Delta, Event, Queued, Usage
from jupyter_bgstream.core.job import Job, JobSpec, advance
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.core.state import ENDS, TRANSITIONS, Answer, Status, apply, fold, runs

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/fold.json").read_text())


def events_of(case: dict[str, Any]) -> list[Event]:
    return [decode_event(json.dumps(event).encode()) for event in case["events"]]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_golden_cases_fold_to_their_state_at_every_split(case: dict[str, Any]) -> None:
    events = events_of(case)
    for split in range(len(events) + 1):
        assert state_of(fold(events[split:], fold(events[:split]))) == case["state"]


@pytest.mark.parametrize("case", GOLDEN["refused"], ids=lambda case: case["name"])
def test_refused_golden_cases_change_nothing(case: dict[str, Any]) -> None:
    *before, last = events_of(case)
    answer = Answer()
    for event in before:
        answer = apply(answer, event)
    as_it_was = msgspec.structs.replace(answer)
    with pytest.raises(IllegalEventError):
        apply(answer, last)
    assert answer == as_it_was


@given(logs(), st.data())
def test_fold_of_first_events_continued_with_rest_is_fold_of_all(log: list[Event], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(log)))
    whole = fold(log)
    assert fold(log[split:], fold(log[:split])) == whole
    assert fold(runs(log[split:]), fold(runs(log[:split]))) == whole


@given(logs())
def test_state_after_each_event_equals_fresh_fold(log: list[Event]) -> None:
    answer = Answer()
    for n, event in enumerate(log, 1):
        answer = apply(answer, event)
        assert answer == fold(log[:n])
        assert answer.seq == n


@given(logs())
def test_runs_keep_every_character_and_cover_every_number(log: list[Event]) -> None:
    joined = list(runs(log))
    covered = [seq for event in joined for seq in range(getattr(event, "first", 0) or event.seq, event.seq + 1)]
    assert covered == [event.seq for event in log]
    assert "".join(e.text for e in joined if isinstance(e, Delta)) == "".join(
        e.text for e in log if isinstance(e, Delta)
    )
    for one, other in itertools.pairwise(joined):
        if isinstance(one, Delta) and isinstance(other, Delta):
            assert (one.channel, one.attempt) != (other.channel, other.attempt)


@given(logs())
def test_encoded_events_are_decoded_unchanged(log: list[Event]) -> None:
    bare = [msgspec.structs.replace(event, seq=0, attempt=0) for event in log]
    stored = [stamped(encode(b), seq=e.seq, attempt=e.attempt) for b, e in zip(bare, log, strict=True)]
    assert decode_events(stored) == log
    assert all(b"\n" not in event for event in stored)


@given(logs(), st.data())
def test_job_agrees_with_its_log(log: list[Event], data: st.DataObject) -> None:
    job = Job(
        id="job-1234", owner="local", log="0" * 8, server="s", status="new", created_at=0.0,
        spec=JobSpec(model="demo/tour", messages=(Message(role="user", content="Hello"),)),
    )  # fmt: skip
    split = data.draw(st.integers(0, len(log)))
    job, answer = advance(advance(job, log[:split]), log[split:]), fold(log)
    assert (job.status, job.seq, job.attempt) == (answer.status, answer.seq, answer.attempt)
    assert (job.error, job.finish_reason, job.usage) == (answer.error, answer.finish_reason, answer.usage)
    assert job.paid == answer.cost
    assert (job.ended_at is not None) == answer.ended == job.ended


@given(st.sampled_from(sorted(ENDS)), st.one_of(*EVENTS.values()))
def test_ended_log_never_opens_again(end: Status, event: Event) -> None:
    with pytest.raises(IllegalEventError):
        apply(Answer(status=end, seq=1), msgspec.structs.replace(event, seq=2))


def test_fold_handles_answer_of_200000_deltas() -> None:
    log: list[Event] = [Queued(at=0.0, seq=1), Attempt(at=0.0, seq=2, attempt=1)]
    log += [Delta(channel="text", text="20 characters, once ", seq=seq, attempt=1) for seq in range(3, 200_003)]
    log += [Usage(output_tokens=1, seq=200_003, attempt=1)]
    log += [Completed(at=1.0, finish_reason="stop", seq=200_004, attempt=1)]
    assert len(list(runs(log))) == 5
    began = time.process_time()
    assert len(fold(log).text) == 20 * 200_000
    # With a copy of the text for each delta this would move 400 GB.
    assert time.process_time() - began < 5


def test_diagram_in_docs_matches_transition_table() -> None:
    lines = (ROOT / "docs/explanation/architecture.md").read_text().splitlines()
    drawn = {match.groups() for line in lines if (match := re.fullmatch(r"\s+(\w+) --> (\w+): (.+)", line))}
    table = {
        (status, to, ", ".join(sorted(str(e.__struct_config__.tag) for e, t in steps.items() if t == to)))
        for status, steps in TRANSITIONS.items()
        for to in steps.values()
    }
    assert drawn == table
