"""Contract tests: the feed of changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from store.factories import (
    ALL,
    DONE,
    OWNER,
    append,
    ended,
    new_job,
    running,
    submit,
    take,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    FencedError,
    UnavailableError,
)
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.store.port_values import Change
from jupyter_bgstream.store.ports.store import Store


class ChangesContract:
    """Changes: every commit, in order, after it was made."""

    async def test_changes_contain_every_commit_in_order_with_its_events(self, store: Store) -> None:
        await submit(store, "job-none")
        await store.end(OWNER, "job-none", Cancelled(at=5.0))
        changes = store.changes()
        job = await running(store)
        await append(store, job, text_deltas("a", "b"))
        await store.end(OWNER, job.id, DONE)
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        whole = tuple(await store.events(job, after=0, max_bytes=ALL))
        await store.delete(OWNER, job.id)
        gone = Change(kind="deleted", owner=OWNER, subject=job.id)
        noticed = Change(kind="notice", owner=OWNER, subject=job.id)
        grown = Change(kind="job", owner=OWNER, subject=job.id)
        assert await take(changes, until=gone) == [
            _at(grown, "queued", whole[:1], 1),
            _at(grown, "running", whole[1:2], 2),
            _at(Change(kind="events", owner=OWNER, subject=job.id), "running", whole[2:4], 4),
            _at(grown, "completed", whole[4:], 5),
            noticed,
            noticed,
        ]

    async def test_operation_without_effect_is_no_change(self, store: Store) -> None:
        changes = store.changes()
        job = await ended(store, end=Cancelled(at=30.0))
        await store.submit(new_job(job.id), max_queued=1)
        await store.end(OWNER, job.id, DONE)
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        await store.mark_seen(OWNER, "", job.id, seq=3, at=60.0)
        with pytest.raises(FencedError):
            await append(store, job, text_deltas("late"))
        await store.delete(OWNER, job.id)
        taken = await take(changes, until=Change(kind="deleted", owner=OWNER, subject=job.id))
        assert [change.status for change in taken] == ["queued", "running", "cancelled"]

    async def test_changed_events_can_be_read(self, store: Store) -> None:
        changes = store.changes()
        job = await running(store)
        writes = [asyncio.create_task(append(store, job, text_deltas(f"{n} "))) for n in range(50)]
        tail = 0
        while tail < 52:
            for change in await take(changes):
                stored = await store.events(job, after=change.seq - len(change.events), max_bytes=ALL)
                assert tuple(stored[: len(change.events)]) == change.events
                assert change.seq == tail + len(change.events)
                tail = change.seq
        assert sorted(await asyncio.gather(*writes)) == list(range(3, 53))

    async def test_every_subscriber_receives_changes(self, store: Store) -> None:
        first = store.changes()
        await submit(store, "job-0001")
        second = store.changes()
        await submit(store, "job-0002")
        last = await take(second)
        assert [change.subject for change in last] == ["job-0002"]
        assert [change.subject for change in await take(first, until=last[0])] == ["job-0001"]

    async def test_slow_subscriber_receives_every_change_without_events(self, store: Store) -> None:
        slow = store.changes()
        job = await running(store)
        big = "x" * 1_000_000
        for _ in range(9):
            await append(store, job, text_deltas(big))
        await store.end(OWNER, job.id, DONE)
        last = Change(kind="notice", owner=OWNER, subject=job.id)
        taken = await take(slow, until=last)
        assert sum(len(event) for change in taken for event in change.events) < 8_000_000
        assert (taken[-1].status, taken[-1].seq) == ("completed", 12)
        assert "job" in {change.kind for change in taken}

    async def test_close_ends_iterators_and_refuses_operations(self, store: Store) -> None:
        changes = store.changes()
        job = await running(store)
        rest = asyncio.create_task(take(changes, until=Change(kind="deleted", owner="none", subject="none")))
        await store.close()
        await store.close()
        assert [change.status for change in await rest] == ["queued", "running"]
        for refused in (
            store.submit(new_job("job-0002"), max_queued=9),
            append(store, job, text_deltas("late")),
            store.job(OWNER, job.id),
            store.notices(OWNER, ""),
        ):
            with pytest.raises(UnavailableError):
                await refused


def _at(change: Change, status: Any, events: tuple[bytes, ...], seq: int) -> Change:
    return Change(kind=change.kind, owner=change.owner, subject=change.subject, status=status, events=events, seq=seq)
