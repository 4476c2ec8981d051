"""What must hold of every log, whatever was killed when. Each law raises AssertionError with the job's story."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from core.answers import state_of
from crash.provider import Asked
from crash.viewers import Numbered, Sightings

from jupyter_bgstream.core.codec import decode_event, decode_events
from jupyter_bgstream.core.events import Attempt, Cancelled, Delta, End, Event, Interrupted, Waiting
from jupyter_bgstream.core.state import fold

LATE = 0.5  # seconds; a request that was on its way when the job was cancelled
DEATHS = ("server_died", "server_stopped", "no_provider")


@dataclass(frozen=True)
class Wish:
    """What was submitted."""

    job: str
    server: str  # the name of the one it was given to
    on_restart: str
    retry_policy: str
    provider: str  # demo, which all servers know, or only_<name>
    thread: str | None = None


@dataclass
class Life:
    """One server process."""

    id: str
    server: str
    began: float
    death: float | None = None  # when it was killed or told to stop, Unix seconds
    how: str = ""  # kill, stop

    def dead_at(self, moment: float) -> bool:
        """Whether it had been killed or told to stop."""
        return self.death is not None and self.death <= moment


@dataclass
class Try:
    """One attempt of a log, and the request that belongs to it."""

    event: Attempt
    said: list[Event]
    after: Event | None = None  # what closed it
    asked: Asked | None = None


@dataclass
class Facts:
    """All that is known of one world."""

    max_attempts: int
    wishes: dict[str, Wish]
    lives: dict[str, Life]
    asked: list[Asked]
    doubled: list[str]
    sightings: Sightings
    given: dict[str, set[str]] = field(default_factory=dict)  # job: lives that may have taken its submit
    logs: dict[str, list[bytes]] = field(default_factory=dict)
    forms: dict[str, dict[str, Any]] = field(default_factory=dict)  # as REST has it, of the same moment as the log
    notices: list[dict[str, Any]] = field(default_factory=list)
    read_at: float = float("inf")  # when the logs were read, if jobs still ran
    hit: int = 0  # requests that a death cut off
    unasked: int = 0  # attempts without a request


def check(facts: Facts, *, over: bool) -> None:
    """Check everything; ``over``: all jobs are to have ended."""
    facts.hit = facts.unasked = 0
    assert not facts.doubled, f"two open requests at a time: {facts.doubled}"
    for job, log in facts.logs.items():
        events = decode_events(log)
        try:
            one_end(log, events)
            tries = attempts_of(events, [asked for asked in facts.asked if asked.job == job], facts)
            the_rest_of_it(facts, facts.wishes[job], events, tries)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{story(facts, job)}") from None
    what_was_seen_is_there(facts)
    answers_are_folds(facts)
    conversations_are_what_was_said(facts)
    if over:
        everything_ended(facts)


def the_rest_of_it(facts: Facts, wish: Wish, events: list[Event], tries: list[Try]) -> None:
    attempts_follow_the_rules(wish, events, facts.max_attempts)
    text_is_a_prefix(tries)
    requests_are_attempts(facts, tries)
    deaths_are_told(facts, wish, tries)
    nobody_else_runs_it(facts, wish, tries)
    nothing_after_the_end(events, tries)


def one_end(log: list[bytes], events: list[Event]) -> None:
    numbers = [event.seq for event in events]
    assert numbers == list(range(1, len(log) + 1)), f"numbers are not dense: {numbers}"
    ends = [event.seq for event in events if isinstance(event, End)]
    assert len(ends) <= 1, f"two ends: {ends}"
    assert not ends or ends == [len(log)], "something follows the end"
    fold(events)  # raises for a step that the table does not have


def attempts_of(events: list[Event], asked: list[Asked], facts: Facts) -> list[Try]:
    """Return the attempts with their requests: each belongs to the newest attempt before it."""
    tries: list[Try] = []
    for event in events:
        if isinstance(event, Attempt):
            assert not tries or tries[-1].after is not None, "an attempt begins while another is open"
            assert event.attempt == len(tries) + 1, f"attempt {event.attempt} is number {len(tries) + 1}"
            tries.append(Try(event, []))
        elif isinstance(event, End | Waiting) and tries and tries[-1].after is None:
            tries[-1].after = event
        elif tries and not isinstance(event, End | Waiting):
            tries[-1].said.append(event)
    for request in asked:
        # What a killed server had sent may reach us after its death.
        life = facts.lives[request.life]
        at = min(request.at, life.death) if life.death is not None and life.how == "kill" else request.at
        begun = [one for one in tries if one.event.at <= at]
        if request.at > facts.read_at and (not begun or begun[-1].asked or _closed_before(begun[-1], at)):
            continue  # its attempt began after the log was read
        assert begun, f"request {request.number} was made before there was an attempt"
        assert begun[-1].asked is None, f"attempt {begun[-1].event.attempt} made two requests"
        begun[-1].asked = request
    return tries


def _closed_before(one: Try, at: float) -> bool:
    return isinstance(one.after, End | Waiting) and one.after.at < at


def attempts_follow_the_rules(wish: Wish, events: list[Event], max_attempts: int) -> None:
    before: Event | None = None
    seen = 0
    for event in events:
        if isinstance(event, Attempt):
            seen += 1
            expected = "first"
            if seen > 1:
                assert isinstance(before, Waiting), f"attempt {seen} follows {type(before).__name__}"
                expected = "recovery" if before.code in DEATHS else "retry"
            assert event.reason == expected, f"attempt {seen} says {event.reason}, not {expected}"
        ran = seen > 0 and not isinstance(before, Waiting)
        if isinstance(event, Waiting) and ran and event.code in DEATHS:
            assert wish.on_restart == "retry", f"event {event.seq} hands on a job that was to be interrupted"
        before = event
    assert seen <= max_attempts, f"{seen} attempts; {max_attempts} are allowed"


def text_is_a_prefix(tries: list[Try]) -> None:
    for one in tries:
        for channel in ("text", "reasoning"):
            stored = "".join(event.text for event in one.said if isinstance(event, Delta) and event.channel == channel)
            sent = one.asked.text(channel) if one.asked else ""
            assert sent.startswith(stored), f"attempt {one.event.attempt}: {stored!r} was stored of {sent!r}"
            if type(one.after).__name__ == "Completed":
                assert one.asked is not None
                assert stored == one.asked.text(channel, whole=True), f"attempt {one.event.attempt} is not whole"


def requests_are_attempts(facts: Facts, tries: list[Try]) -> None:
    """Requests = attempts, but for those cut off between the claim and the request, by a death or a cancel."""
    for one in tries:
        if one.asked is not None:
            continue
        facts.unasked += one.after is not None
        excused = (
            one.after is None
            or isinstance(one.after, Cancelled)
            or (isinstance(one.after, Waiting | Interrupted) and one.after.code in DEATHS)
        )
        assert excused, f"attempt {one.event.attempt} ended as {one.after} without a request"
        assert not one.said, f"attempt {one.event.attempt} says what nobody said"


def deaths_are_told(facts: Facts, wish: Wish, tries: list[Try]) -> None:
    """An attempt whose server died says so, and goes on or ends as the job wishes; no other attempt says so."""
    for one in tries:
        after = one.after
        life = facts.lives[one.asked.life] if one.asked else None
        if life is not None and one.asked is not None and after is not None and _cut_off(one.asked, life):
            facts.hit += 1
            told = isinstance(after, Waiting | Interrupted) and after.code in ("server_died", "no_provider")
            assert told or isinstance(after, Cancelled), f"attempt {one.event.attempt} was killed: {after}"
        if isinstance(after, Interrupted):
            last = wish.on_restart == "interrupt" or len(tries) == facts.max_attempts
            assert last, f"attempt {one.event.attempt} ends a job that was to go on"
        if life is not None and isinstance(after, Waiting | Interrupted) and after.code in DEATHS:
            assert life.dead_at(after.at + LATE), f"{life.id} lives, and {after}"
            codes = ("server_died", "no_provider") if life.how == "kill" else DEATHS
            assert after.code in codes, f"{life.id} was killed, and {after}"


def _cut_off(asked: Asked, life: Life) -> bool:
    return (
        life.how == "kill"
        and life.death is not None
        and asked.kind == "answer"
        and asked.open_at(life.death)
        and asked.sent < asked.size
    )


def nobody_else_runs_it(facts: Facts, wish: Wish, tries: list[Try]) -> None:
    """A job runs where it was given to, and elsewhere only after that server's death."""
    holders = facts.given[wish.job]
    for one in tries:
        if one.asked is None:
            continue
        life = one.asked.life
        if life not in holders:
            for holder in holders:
                assert facts.lives[holder].dead_at(one.asked.at), f"{life} runs what {holder} has, which is alive"
        holders = {life}
        able = wish.provider in ("demo", f"only_{facts.lives[life].server}")
        assert able, f"{life} cannot know {wish.provider}"


def nothing_after_the_end(events: list[Event], tries: list[Try]) -> None:
    end = events[-1]
    for one in tries:
        if isinstance(end, End) and one.asked is not None:
            assert one.asked.at <= end.at + LATE, f"request {one.asked.number} was made after the end"


def what_was_seen_is_there(facts: Facts) -> None:
    for job, seen in facts.sightings.events.items():
        log = facts.logs.get(job, [])
        for seq, event in seen.items():
            if seq > len(log) and facts.read_at < float("inf"):
                continue  # written after the log was read
            there = log[seq - 1] if seq <= len(log) else None
            assert there == event, f"{job}: {event!r} was seen, {there!r} is there\n{story(facts, job)}"
    for job, seq, event in facts.sightings.encoded_again:
        if seq <= len(facts.logs.get(job, [])) or facts.read_at == float("inf"):
            assert decode_event(event) == decode_event(facts.logs[job][seq - 1]), f"{job}: {event!r} is not there"
    for job, run in facts.sightings.runs:
        if run.seq > len(facts.logs.get(job, [])) and facts.read_at < float("inf"):
            continue
        joined = [msgspec.json.decode(event, type=Numbered) for event in facts.logs[job][run.first - 1 : run.seq]]
        assert [event.seq for event in joined] == list(range(run.first, run.seq + 1)), f"{job}: {run} is not there"
        assert "".join(event.text for event in joined) == run.text, f"{job}: {run} is not there"
        assert {(event.type, event.channel) for event in joined} == {("delta", run.channel)}, f"{job}: {run} is mixed"


def answers_are_folds(facts: Facts) -> None:
    """Every answer of REST, at any moment, is the fold of the log up to its cursor."""
    for form in [*facts.sightings.answers, *facts.forms.values()]:
        seq = int(form["cursor"].rpartition("_")[2])
        log = facts.logs.get(form["id"], [])
        if seq > len(log) and facts.read_at < float("inf"):
            continue
        assert seq <= len(log), f"{form['id']}: an answer was at event {seq}, the log has {len(log)}"
        folded = state_of(fold(decode_events(log[:seq])))
        for name in folded.keys() & form.keys():
            assert form[name] == folded[name], f"{form['id']}: {name} is {form[name]!r}, the log says {folded[name]!r}"
    for job, form in facts.forms.items():
        assert int(form["cursor"].rpartition("_")[2]) == len(facts.logs[job]), f"{job}: the cursor is not the tail"


def conversations_are_what_was_said(facts: Facts) -> None:
    """What goes out as the history of a thread is what the job before it said, whole."""
    whole = {form["text"] for form in facts.forms.values() if form["status"] == "completed"}
    for asked in facts.asked if facts.forms else ():
        for role, content in asked.turns:
            assert role != "assistant" or content in whole, f"{asked.job}: nobody ever said {content!r}"


def everything_ended(facts: Facts) -> None:
    states = {job: form["status"] for job, form in facts.forms.items()}
    assert states.keys() == facts.wishes.keys(), f"lost: {facts.wishes.keys() - states.keys()}"
    open_ones = {job: state for job, state in states.items() if not isinstance(decode_event(facts.logs[job][-1]), End)}
    assert not open_ones, f"not ended: {open_ones}"
    told = Counter((notice["job"], notice["status"]) for notice in facts.notices)
    due = Counter((job, state) for job, state in states.items() if state != "cancelled")
    assert told == due, f"notices that nobody asked for {told - due}, and missing ones {due - told}"


def story(facts: Facts, job: str) -> str:
    """Tell all that is known of a job."""
    lines = [str(facts.wishes[job]), f"given to {facts.given[job]}"]
    lines += [event.decode()[:200] for event in facts.logs.get(job, []) if b'"type":"delta"' not in event]
    for asked in facts.asked:
        if asked.job == job:
            lines.append(
                f"request {asked.number} by {asked.life} at {asked.at:.3f}, {asked.kind}, {asked.sent} of {asked.size}"
                f" bytes, closed at {asked.closed_at}"
            )
    lines += [f"{life.id}: from {life.began:.3f}, {life.how or 'lives'} {life.death}" for life in facts.lives.values()]
    return "\n".join(lines)
