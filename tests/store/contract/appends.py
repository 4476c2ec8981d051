"""Contract tests of stores: appends to many logs in one call; a part of StoreContract."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from store.contract.images import new_image
from store.factories import ALL, DONE, OWNER, append, claim, log_of, new_job, submit, take, text_deltas

from jupyter_bgstream.core.errors import BgStreamError, FencedError, IllegalEventError, OutOfOrderError
from jupyter_bgstream.core.events import Attempt, Completed, Event, Waiting
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.store.port_values import Append
from jupyter_bgstream.store.ports.store import Store


async def three_running(store: Store) -> list[Job]:
    """Return three claimed jobs whose logs end with event 2."""
    for number in range(1, 4):
        await submit(store, f"job-000{number}")
    return await claim(store)


async def texts(store: Store) -> list[str]:
    """Return what each of the three jobs has answered."""
    logs = [await log_of(store, f"job-000{number}", after=2) for number in range(1, 4)]
    return ["".join(getattr(event, "text", "") for event in log) for log in logs]


class AppendContract:
    """One call for many jobs: one transaction, and an outcome for each."""

    async def test_one_call_appends_to_many_logs(self, store: Store) -> None:
        jobs = await three_running(store)
        appends = [Append(job=job, events=text_deltas(job.id, "!"), preview=job.id) for job in jobs]
        assert await store.append(appends) == [4, 4, 4]
        assert await texts(store) == ["job-0001!", "job-0002!", "job-0003!"]
        assert [(await store.job(OWNER, job.id)).preview for job in jobs] == [job.id for job in jobs]

    async def test_call_without_appends_changes_nothing(self, store: Store) -> None:
        assert await store.append([]) == []

    async def test_appends_of_one_call_are_one_commit(self, store: Store) -> None:
        jobs = await three_running(store)
        changes = store.changes()
        await store.append([Append(job=job, events=text_deltas("a")) for job in jobs])
        found = [(change.subject, change.seq, len(change.events)) for change in await take(changes)]
        assert found == [(job.id, 3, 1) for job in jobs]

    async def test_appends_to_one_job_are_applied_in_order(self, store: Store) -> None:
        job, other, _ = await three_running(store)
        appends = [
            Append(job=job, events=text_deltas("a"), tail=2),
            Append(job=other, events=text_deltas("x")),
            Append(job=job, events=text_deltas("b", "c"), tail=3),
            Append(job=job, events=text_deltas("d"), tail=4),
        ]
        *tails, refused = await store.append(appends)
        assert tails == [3, 3, 5]
        assert isinstance(refused, OutOfOrderError)
        assert await texts(store) == ["abc", "x", ""]

    @pytest.mark.parametrize("tail", [0, 1, 3, 99])
    @pytest.mark.parametrize("events", [text_deltas("a"), [Attempt(at=30.0, reason="retry")], []])
    async def test_unexpected_tail_is_refused(self, store: Store, tail: int, events: list[Event]) -> None:
        job, *_ = await three_running(store)
        with pytest.raises(OutOfOrderError):
            await append(store, job, events, tail=tail, preview="no", resume="no")
        assert await store.job(OWNER, job.id) == job
        assert await append(store, job, events, tail=2) == 2 + len(events)

    async def test_expected_tail_follows_events_that_change_the_state(self, store: Store) -> None:
        job, *_ = await three_running(store)
        assert await append(store, job, [*text_deltas("a"), Attempt(at=30.0, reason="retry")], tail=2) == 4
        waiting = Waiting(at=31.0, until=40.0, code="rate_limited", message="Later.")
        assert await append(store, job, [waiting], tail=4) == 5

    @pytest.mark.parametrize(
        ("refused", "error"),
        [
            ({"events": [Completed(at=30.0, finish_reason="stop")]}, IllegalEventError),
            ({"events": [*text_deltas("a"), Completed(at=30.0, finish_reason="stop")]}, IllegalEventError),
            ({"events": text_deltas("half \ud800")}, IllegalEventError),
            ({"events": [new_image("1-1")[0]]}, IllegalEventError),
            ({"events": text_deltas("a"), "files": {"1-1": b"no event"}}, IllegalEventError),
            ({"events": text_deltas("a"), "tail": 7}, OutOfOrderError),
        ],
        ids=["end", "end-behind-text", "encoding", "no-file", "no-image", "tail"],
    )
    async def test_refused_append_keeps_other_appends(
        self, store: Store, refused: dict[str, Any], error: type[BgStreamError]
    ) -> None:
        first, bad, last = await three_running(store)
        outcomes = await store.append(
            [
                Append(job=first, events=text_deltas("one")),
                Append(job=bad, **refused),
                Append(job=last, events=text_deltas("three")),
            ]
        )
        assert outcomes[::2] == [3, 3]
        assert type(outcomes[1]) is error
        assert await texts(store) == ["one", "", "three"]
        assert await store.job(OWNER, bad.id) == bad

    async def test_fenced_append_keeps_other_appends(self, store: Store) -> None:
        gone, over, claimed = await three_running(store)
        await store.end(OWNER, gone.id, DONE)
        await store.delete(OWNER, gone.id)
        await store.end(OWNER, over.id, DONE)
        await append(store, claimed, [Waiting(at=30.0, until=31.0, code="rate_limited", message="Later.")])
        (again,) = await claim(store, at=31.0)
        absent = msgspec.structs.replace(new_job("job-0009"), fence=1)
        appends = [Append(job=job, events=text_deltas("late")) for job in (gone, over, claimed, absent)]
        *refused, tail = await store.append([*appends, Append(job=again, events=text_deltas("on time"))])
        assert [type(error) for error in refused] == [FencedError] * 4
        assert tail == again.seq + 1
        assert b"late" not in b"".join(await store.events(again, after=0, max_bytes=ALL))
