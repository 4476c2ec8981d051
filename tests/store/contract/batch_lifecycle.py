"""Contract tests: batches from their announcement to their notice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from store.factories import (
    DONE,
    FAILED,
    OWNER,
    claim,
    ended,
    finish,
    ids_of,
    new_job,
    retried,
    submit,
    take,
)

from jupyter_bgstream.core.batches import Batch, BatchSpec, EndCounts
from jupyter_bgstream.core.errors import (
    ConflictError,
    NotFoundError,
    QueueFullError,
)
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.store.ports.store import Store


def new_batch(total: int = 2, batch_id: str = "batch-0001", **fields: object) -> Batch:
    """Make a batch that is ready to be announced."""
    spec = BatchSpec(id=batch_id, total=total, title="Rows", source=JobSource(notebook="n.ipynb"))
    return msgspec.structs.replace(Batch(spec=spec, owner=OWNER, total=total, created_at=10.0), **fields)


async def announce(store: Store, *jobs: str, total: int = 2, **fields: Any) -> Batch:
    """Announce a batch with jobs of these ids."""
    return await store.submit_batch(
        new_batch(total), [new_job(job, batch="batch-0001", **fields) for job in jobs], max_queued=100
    )


class BatchLifecycleContract:
    """Batches: one notice, when all announced jobs have ended."""

    async def test_batch_ends_with_last_announced_job(self, store: Store) -> None:
        batch = await announce(store, "job-0001", "job-0002", total=3)
        assert (batch.total, batch.submitted, batch.status, batch.counts) == (3, 2, "running", EndCounts())
        await finish(store, "job-0001", DONE)
        await finish(store, "job-0002", FAILED)
        assert await store.notices(OWNER, "") == []
        assert (await store.batch(OWNER, batch.id)).ended_at is None
        await announce(store, "job-0003", total=3)
        assert (await store.batch(OWNER, batch.id)).submitted == 3
        await finish(store, "job-0003", DONE)
        batch = await store.batch(OWNER, batch.id)
        assert (batch.status, batch.ended_at, batch.counts) == ("failed", 50.0, EndCounts(completed=2, failed=1))
        (notice,) = await store.notices(OWNER, "")
        assert (notice.job, notice.batch, notice.status, notice.title) == (None, batch.id, "failed", "Rows")
        assert (notice.counts, notice.source, notice.read_at) == (batch.counts, JobSource(notebook="n.ipynb"), None)

    async def test_repeated_submission_of_batch_changes_nothing(self, store: Store) -> None:
        await announce(store, "job-0001")
        batch = await announce(store, "job-0001", "job-0002")
        assert batch.submitted == 2
        assert await announce(store, "job-0001", "job-0002") == batch
        assert await ids_of(store, batch=batch.id) == ["job-0002", "job-0001"]

    async def test_job_outside_of_batch_cannot_join(self, store: Store) -> None:
        await submit(store, "job-0001")
        await submit(store, "job-0002", batch="label-01")
        for job in ("job-0001", "job-0002"):
            with pytest.raises(ConflictError):
                await announce(store, job)
        with pytest.raises(NotFoundError):
            await store.batch(OWNER, "batch-0001")

    async def test_repeated_job_in_submission_of_batch_is_one_job(self, store: Store) -> None:
        assert (await announce(store, "job-0001", "job-0001")).submitted == 1
        twice = [new_job("job-0002", batch="batch-0001"), new_job("job-0002", batch="batch-0001", prompt="Else?")]
        with pytest.raises(ConflictError):
            await store.submit_batch(new_batch(2), twice, max_queued=9)
        assert await ids_of(store) == ["job-0001"]

    async def test_submission_of_batch_stores_all_jobs_or_none(self, store: Store) -> None:
        await submit(store, "job-0003", prompt="Something else")
        for jobs, limit, error in ((3, 9, ConflictError), (2, 1, QueueFullError)):
            with pytest.raises(error):
                await store.submit_batch(
                    new_batch(3),
                    [new_job(f"job-{n + 1:04}", batch="batch-0001") for n in range(jobs)],
                    max_queued=limit,
                )
            assert await ids_of(store) == ["job-0003"]
            with pytest.raises(NotFoundError):
                await store.batch(OWNER, "batch-0001")

    async def test_batch_refuses_more_jobs_than_announced(self, store: Store) -> None:
        await announce(store, "job-0001", "job-0002")
        with pytest.raises(ConflictError) as refused:
            await announce(store, "job-0003")
        assert refused.value.code == "batch_full"
        with pytest.raises(ConflictError):
            await submit(store, "job-0003", batch="batch-0001")
        with pytest.raises(ConflictError):
            await announce(store, total=3)
        assert len(await ids_of(store)) == 2

    async def test_single_job_joins_batch(self, store: Store) -> None:
        await announce(store, "job-0001")
        await submit(store, "job-0002", batch="batch-0001")
        assert (await store.batch(OWNER, "batch-0001")).submitted == 2
        for job in ("job-0001", "job-0002"):
            await finish(store, job, DONE)
        assert len(await store.notices(OWNER, "")) == 1

    async def test_batch_label_is_not_a_batch(self, store: Store) -> None:
        await ended(store, batch="label-01")
        assert [notice.job for notice in await store.notices(OWNER, "")] == ["job-0001"]
        with pytest.raises(NotFoundError):
            await store.batch(OWNER, "label-01")
        with pytest.raises(ConflictError):
            await store.submit_batch(new_batch(2, "label-01"), [], max_queued=9)

    async def test_batch_of_other_owner_is_not_found(self, store: Store) -> None:
        await announce(store, "job-0001")
        with pytest.raises(NotFoundError):
            await store.batch("bob", "batch-0001")
        with pytest.raises(NotFoundError):
            await store.cancel_batch("bob", "batch-0001", Cancelled(at=1.0), limit=9)
        await ended(store, "job-0001", owner="bob", batch="batch-0001")
        assert (await store.batch(OWNER, "batch-0001")).counts == EndCounts()

    async def test_cancelled_batch_refuses_jobs_and_creates_no_notice(self, store: Store) -> None:
        await announce(store, "job-0001", "job-0002", "job-0003", total=5)
        await finish(store, "job-0001", DONE)
        cancel = Cancelled(at=60.0)
        batch, jobs = await store.cancel_batch(OWNER, "batch-0001", cancel, limit=1)
        assert ([job.id for job in jobs], batch.ended_at) == (["job-0002"], None)
        batch, jobs = await store.cancel_batch(OWNER, "batch-0001", cancel, limit=9)
        assert [(job.id, job.status) for job in jobs] == [("job-0003", "cancelled")]
        assert (batch.status, batch.total, batch.counts) == ("cancelled", 3, EndCounts(completed=1, cancelled=2))
        assert batch.ended_at == 60.0
        assert await store.notices(OWNER, "") == []
        with pytest.raises(ConflictError):
            await announce(store, "job-0004", total=5)
        assert await store.cancel_batch(OWNER, "batch-0001", Cancelled(at=70.0), limit=9) == (batch, [])

    async def test_retry_reopens_batch_and_replaces_its_notice(self, store: Store) -> None:
        await announce(store, "job-0001", "job-0002")
        await finish(store, "job-0001", DONE)
        await finish(store, "job-0002", FAILED)
        (first,) = await store.notices(OWNER, "")
        await store.mark_read(OWNER, "", ids=[first.id], at=55.0)
        await retried(store, "job-0002", "job-0003")
        batch = await store.batch(OWNER, "batch-0001")
        assert (batch.ended_at, batch.submitted, batch.counts) == (None, 2, EndCounts(completed=1))
        assert await store.notices(OWNER, "") == []  # its counts are no longer valid
        await finish(store, "job-0003", Cancelled(at=60.0))
        (notice,) = await store.notices(OWNER, "")
        assert (notice.counts, notice.read_at) == (EndCounts(completed=1, cancelled=1), None)
        assert notice.id != first.id

    async def test_deleted_retry_restores_counts_of_batch(self, store: Store) -> None:
        await announce(store, "job-0001", "job-0002")
        await finish(store, "job-0001", DONE)
        await finish(store, "job-0002", FAILED)
        await retried(store, "job-0002", "job-0003")
        await finish(store, "job-0003", Cancelled(at=60.0))
        await store.delete(OWNER, "job-0003")
        assert (await store.batch(OWNER, "batch-0001")).counts == EndCounts(completed=1, failed=1)

    async def test_batch_is_deleted_with_its_last_job(self, store: Store) -> None:
        await announce(store, "job-0001", "job-0002")
        for job in ("job-0001", "job-0002"):
            await finish(store, job, DONE)
        await store.delete(OWNER, "job-0001")
        assert (await store.batch(OWNER, "batch-0001")).counts == EndCounts(completed=2)
        await store.delete(OWNER, "job-0002")
        with pytest.raises(NotFoundError):
            await store.batch(OWNER, "batch-0001")
        assert await store.notices(OWNER, "") == []

    async def test_notice_of_batch_is_a_change(self, store: Store) -> None:
        await announce(store, "job-0001", total=1)
        await claim(store)
        changes = store.changes()
        await store.end(OWNER, "job-0001", DONE)
        assert [(change.kind, change.subject) for change in await take(changes)] == [
            ("job", "job-0001"),
            ("notice", ""),
        ]
