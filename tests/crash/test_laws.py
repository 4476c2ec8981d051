"""The laws can fail: each detects a change of a log, a request or an event that a viewer received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from core.answers import state_of
from crash.laws import Facts, Life, Wish, check
from crash.provider import Asked
from crash.viewers import Sightings

from jupyter_bgstream.core.codec import decode_events, encode, stamped
from jupyter_bgstream.core.events import Attempt, Completed, Delta, Event, Failed, Interrupted, Queued, Waiting
from jupyter_bgstream.core.state import fold

JOB = "job-0001"
EVENTS: list[tuple[int, Event]] = [
    (0, Queued(at=1.0)),
    (1, Attempt(at=2.0)),
    (1, Delta(channel="text", text="One ")),
    (1, Waiting(at=5.0, until=5.0, code="server_died", message="It died.")),
    (2, Attempt(at=6.0, reason="recovery")),
    (2, Delta(channel="text", text="One ")),
    (2, Delta(channel="text", text="two")),
    (2, Completed(at=8.0, finish_reason="stop")),
]


def facts_of(events: list[tuple[int, Event]]) -> Facts:
    log = [stamped(encode(event), seq=seq, attempt=attempt) for seq, (attempt, event) in enumerate(events, 1)]
    asked = [
        Asked(job=JOB, life=life, number=number, at=at, turns=[], kind="answer", size=9, sent=sent, closed_at=at + 1.5)
        for number, (life, at, sent) in enumerate([("a1", 2.5, 4), ("a2", 6.5, 9)], 1)
    ]
    for one in asked:
        one.deltas = [(4, "text", "One "), (7, "text", "two")]
    sightings = Sightings(lambda what: None)
    sightings.events[JOB] = dict(enumerate(log, 1))
    form = {"id": JOB, "cursor": f"00000000_0002_{len(log):012d}"}
    form |= state_of(fold(decode_events(log)))
    return Facts(
        max_attempts=2,
        wishes={JOB: Wish(job=JOB, server="a", on_restart="retry", retry_policy="never", provider="demo")},
        lives={"a1": Life("a1", "a", 0.0, 3.0, "kill"), "a2": Life("a2", "a", 4.0)},
        asked=asked,
        doubled=[],
        sightings=sightings,
        given={JOB: {"a1"}},
        logs={JOB: log},
        forms={JOB: form},
        notices=[{"job": JOB, "status": "completed"}],
    )


def test_correct_log_breaks_no_law() -> None:
    check(facts := facts_of(EVENTS), over=True)
    assert (facts.hit, facts.unasked) == (1, 0)


def replaced(at: int, attempt: int, event: Event) -> Callable[[], Facts]:
    return lambda: facts_of([*EVENTS[: at - 1], (attempt, event), *EVENTS[at:]])


def without_recovery(end: Event) -> Callable[[], Facts]:
    def make() -> Facts:
        facts = facts_of([*EVENTS[:3], (1, end)])
        facts.asked.pop()
        return facts

    return make


def changed(change: Callable[[Facts], Any]) -> Callable[[], Facts]:
    def make() -> Facts:
        facts = facts_of(EVENTS)
        change(facts)
        return facts

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (replaced(3, 1, Delta(channel="text", text="Two ")), "was stored of"),
        (replaced(3, 1, Delta(channel="text", text="One two")), "was stored of"),
        (replaced(7, 2, Delta(channel="text", text="t")), "is not whole"),
        (replaced(4, 1, Waiting(at=5.0, until=5.0, code="truncated", message="")), "says recovery, not retry"),
        (without_recovery(Completed(at=5.0, finish_reason="stop")), "attempt 1 is not whole"),
        (without_recovery(Failed(at=5.0, code="truncated", message="")), "attempt 1 was killed"),
        (replaced(4, 1, Waiting(at=1.0, until=5.0, code="server_died", message="")), "lives, and"),
        (replaced(5, 2, Attempt(at=6.0, reason="retry")), "says retry, not recovery"),
        (replaced(8, 2, Completed(at=5.5, finish_reason="stop")), "after the end"),
        (replaced(8, 2, Interrupted(at=8.0, code="server_died", message="")), "a2 lives"),
        (lambda: facts_of(EVENTS[:-1]), "not ended"),
        (changed(lambda facts: facts.logs[JOB].append(facts.logs[JOB][-1])), "not dense"),
        (changed(lambda facts: facts.logs[JOB].pop(2)), "not dense"),
        (changed(lambda facts: facts.doubled.append(JOB)), "two open requests"),
        (changed(lambda facts: facts.asked.append(facts.asked[1])), "made two requests"),
        (changed(lambda facts: facts.asked.pop()), "was stored of"),
        (changed(lambda facts: setattr(facts.asked[0], "at", 1.0)), "before there was an attempt"),
        (changed(lambda facts: setattr(facts, "max_attempts", 1)), "2 attempts; 1 are allowed"),
        (changed(lambda facts: setattr(facts.lives["a1"], "death", 7.0)), "a1 lives, and"),
        (changed(lambda facts: facts.given.update({JOB: {"a2"}})), "a1 runs what a2 has"),
        (changed(lambda facts: facts.sightings.events[JOB].update({3: b"{}"})), "was seen"),
        (changed(lambda facts: facts.sightings.events[JOB].update({9: b"{}"})), "was seen"),
        (changed(lambda facts: facts.forms[JOB].update(text="One")), "text is 'One'"),
        (changed(lambda facts: facts.notices.clear()), "missing ones"),
        (changed(lambda facts: facts.notices.append(facts.notices[0])), "nobody asked for"),
        (changed(lambda facts: facts.wishes.update({"job-0002": facts.wishes[JOB]})), "lost"),
        (changed(lambda facts: facts.asked[1].turns.append(("assistant", "What?"))), "nobody ever said"),
    ],
)
def test_law_detects_violation(make: Callable[[], Facts], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check(make(), over=True)


def test_viewer_detects_gap_and_changed_event() -> None:
    sightings = Sightings(lambda what: None)
    log = [msgspec.Raw(event) for event in facts_of(EVENTS).logs[JOB]]
    assert sightings.saw(JOB, 0, log[:3]) == 3
    with pytest.raises(AssertionError, match="event 5 after 3"):
        sightings.saw(JOB, 3, log[4:])
    with pytest.raises(AssertionError, match="event 3 was"):
        sightings.saw(JOB, 2, [msgspec.Raw(bytes(log[2]).replace(b"One", b"Two"))])
