"""Contract tests: retries of ended jobs."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from store.contract.batch_lifecycle import announce
from store.factories import (
    DONE,
    FAILED,
    OWNER,
    ended,
    finish,
    ids_of,
    new_job,
    retried,
    running,
    submit,
    take,
)

from jupyter_bgstream.core.batches import EndCounts
from jupyter_bgstream.core.errors import (
    ConflictError,
    NotFoundError,
    QueueFullError,
)
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.store.ports.store import Store


class RetryContract:
    """Retries: an ended job has one successor, in the same place of its thread and batch."""

    async def test_retry_is_one_new_job(self, store: Store) -> None:
        first = await ended(store, end=FAILED)
        again = await retried(store, first.id, "job-0002")
        assert (again.id, again.status, again.retry_of, again.spec) == ("job-0002", "queued", first.id, first.spec)
        first = await store.job(OWNER, first.id)
        assert (first.status, first.retried_by, first.error) == (
            "failed",
            "job-0002",
            ErrorInfo(code="internal", message="No."),
        )
        assert await retried(store, first.id, "job-0003") == again
        assert await ids_of(store) == ["job-0002", "job-0001"]

    async def test_concurrent_retries_are_one_job(self, store: Store) -> None:
        await ended(store)
        jobs = await asyncio.gather(*(retried(store, "job-0001", f"job-000{n}") for n in range(2, 7)))
        assert len({job.id for job in jobs}) == 1

    async def test_unfinished_job_is_not_retried(self, store: Store) -> None:
        await running(store)
        with pytest.raises(ConflictError) as refused:
            await retried(store, "job-0001", "job-0002")
        assert refused.value.code == "not_ended"
        with pytest.raises(NotFoundError):
            await store.submit(msgspec.structs.replace(new_job("job-0002"), retry_of="job-none"), max_queued=9)
        assert await ids_of(store) == ["job-0001"]

    async def test_retry_takes_place_of_its_predecessor_in_thread(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await ended(store, "job-0002", thread="t", end=FAILED)
        await submit(store, "job-0003", thread="t")
        again = await retried(store, "job-0002", "job-0004")
        assert again.previous == "job-0001"

    async def test_queue_limit_holds_for_retries(self, store: Store) -> None:
        first = await ended(store)
        await submit(store, "job-0002")
        again = msgspec.structs.replace(new_job("job-0003"), spec=first.spec, retry_of=first.id)
        with pytest.raises(QueueFullError):
            await store.submit(again, max_queued=1)
        assert (await store.job(OWNER, first.id)).retried_by is None

    async def test_retry_changes_both_jobs(self, store: Store) -> None:
        await ended(store)
        changes = store.changes()
        await retried(store, "job-0001", "job-0002")
        received = [(change.kind, change.subject, change.status) for change in await take(changes)]
        assert sorted(received) == [("job", "job-0001", "completed"), ("job", "job-0002", "queued")]

    async def test_retry_of_older_turn_keeps_later_turns(self, store: Store) -> None:
        for number in (1, 2, 3):
            await ended(store, f"job-{number:04}", thread="t")
        await retried(store, "job-0002", "job-0004")
        assert (await submit(store, "job-0005", thread="t")).previous == "job-0003"
        await finish(store, "job-0004", DONE)
        await finish(store, "job-0005", DONE)
        await retried(store, "job-0005", "job-0006")
        assert (await submit(store, "job-0007", thread="t")).previous == "job-0006"

    async def test_chain_of_retries_closes_gap_of_deleted_job(self, store: Store) -> None:
        await announce(store, "job-0001", total=1)
        await finish(store, "job-0001", FAILED)
        for asked, again, end in (("job-0001", "job-0002", Cancelled(at=60.0)), ("job-0002", "job-0003", DONE)):
            await retried(store, asked, again)
            await finish(store, again, end)
        await store.delete(OWNER, "job-0002")
        first, last = await store.job(OWNER, "job-0001"), await store.job(OWNER, "job-0003")
        assert (first.retried_by, last.retry_of) == ("job-0003", "job-0001")
        assert (await store.batch(OWNER, "batch-0001")).counts == EndCounts(completed=1)
        assert (await retried(store, "job-0001", "job-0004")).id == "job-0003"  # it was answered
        await store.delete(OWNER, "job-0001")
        assert (await store.job(OWNER, "job-0003")).retry_of is None
        assert (await store.batch(OWNER, "batch-0001")).counts == EndCounts(completed=1)

    async def test_job_with_deleted_retry_can_be_retried_again(self, store: Store) -> None:
        await ended(store)
        await retried(store, "job-0001", "job-0002")
        await store.end(OWNER, "job-0002", Cancelled(at=60.0))
        await store.delete(OWNER, "job-0002")
        assert (await store.job(OWNER, "job-0001")).retried_by is None
        assert (await retried(store, "job-0001", "job-0003")).id == "job-0003"
