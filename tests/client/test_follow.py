"""Concurrent readers of one log, with responses in every order."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_bgstream.client import AnswerRestartedError, BgStreamError
from jupyter_bgstream.client.follower import BEGINNING, Deltas, Follower
from jupyter_bgstream.core.errors import CursorGoneError
from jupyter_bgstream.core.events import Attempt, Completed, Delta, Event, Queued
from jupyter_bgstream.core.schemas.jobs import LogPage
from jupyter_bgstream.core.state import fold


def log_of(*events: Event) -> list[Event]:
    return [msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(events, 1)]


def text(piece: str, attempt: int = 1) -> Delta:
    return Delta(channel="text", text=piece, attempt=attempt)


WHOLE = log_of(
    Queued(at=1.0),
    Attempt(at=1.0, attempt=1),
    *map(text, "abcdefgh"),
    Completed(at=2.0, attempt=1, finish_reason="stop"),
)


class Pages:
    """A log that shows its first ``shown`` events, with a cursor that is the number of events."""

    def __init__(self, events: list[Event], name: str = "a") -> None:
        self.events = events
        self.name = name
        self.shown = len(events)
        self.asked = 0

    async def log(self, job_id: str, after: str, *, wait: bool) -> LogPage:
        self.asked += 1
        if after != BEGINNING and not after.startswith(self.name):
            raise CursorGoneError("another log")
        start = 0 if after == BEGINNING else int(after[1:])
        stop = self.shown
        await asyncio.sleep(0)  # others run in between
        return LogPage(
            events=self.events[start:stop],
            cursor=f"{self.name}{stop}",
            up_to_date=stop == self.shown,
            closed=stop == len(self.events),
        )


@given(st.lists(st.integers(1, len(WHOLE)), min_size=1, max_size=12).map(sorted), st.integers(1, 4))
async def test_overlapping_reads_apply_each_event_once(stops: list[int], readers: int) -> None:
    pages, follower = Pages(WHOLE), Follower("job")
    deltas = [Deltas(follower) for _ in range(readers)]
    said = [""] * readers

    async def read(number: int) -> None:
        while (piece := await deltas[number].next(pages)) is not None:
            said[number] += piece

    for stop in stops:
        pages.shown = stop
        await asyncio.gather(*(follower.catch_up(pages) for _ in range(readers)))
        assert follower.answer == fold(WHOLE[: follower.answer.seq])
        assert follower.answer.seq == stop
    pages.shown = len(WHOLE)
    await asyncio.gather(*map(read, range(readers)))
    assert said == ["abcdefgh"] * readers


async def test_restarted_answer_ends_iteration_with_error() -> None:
    events = log_of(
        Queued(at=1.0),
        Attempt(at=1.0, attempt=1),
        text("ab"),
        Attempt(at=2.0, attempt=2),
        text("cd", 2),
        Completed(at=3.0, attempt=2, finish_reason="stop"),
    )
    pages, follower = Pages(events), Follower("job")
    pages.shown = 3
    early = Deltas(follower)
    assert await early.next(pages) == "ab"
    pages.shown = len(events)
    with pytest.raises(AnswerRestartedError):
        await early.next(pages)
    late = Deltas(follower)
    assert [await late.next(pages), await late.next(pages)] == ["cd", None]


async def test_reused_id_is_another_log() -> None:
    follower = Follower("job")
    old = Pages(WHOLE)
    old.shown = 4
    deltas = Deltas(follower)
    assert await deltas.next(old) == "ab"
    new = Pages(WHOLE, name="b")
    assert (await follower.catch_up(new)).text == "abcdefgh"
    with pytest.raises(AnswerRestartedError):
        await deltas.next(new)


async def test_ended_log_is_not_requested_again() -> None:
    pages, follower = Pages(WHOLE), Follower("job")
    await follower.wait_for_end(pages, None)
    asked = pages.asked
    await follower.catch_up(pages)
    await follower.wait_for_end(pages, 0)
    assert pages.asked == asked


async def test_log_closed_without_end_event_raises() -> None:
    pages = Pages(WHOLE[:-1])
    with pytest.raises(BgStreamError, match="without an end event"):
        await Follower("job").wait_for_end(pages, 5)
