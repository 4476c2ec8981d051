"""Contract tests of stores: capacity, adoption, retries, batches, mutes and webhooks; a part of StoreContract."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ..core.batches import Batch, BatchSpec, EndCounts
from ..core.errors import ConflictError, FencedError, NotFoundError, QueueFullError
from ..core.events import Attempt, Cancelled, Event, Failed, Waiting
from ..core.job import Job, JobSource
from ..core.notices import CALL_AFTER, Mute, Notice
from ..core.state import ErrorInfo
from ..store.ports.store import Capacity, Store
from ..store.transitions import FARTHEST
from .factories import (
    ALL,
    DONE,
    HERE,
    OWNER,
    THERE,
    append,
    claim,
    ended,
    ids_of,
    log_of,
    new_job,
    running,
    submit,
    take,
    text_deltas,
)

BUSY = Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")
DIED = Waiting(at=30.0, until=30.0, code="server_died", message="It died.")
FAILED = Failed(at=50.0, code="internal", message="No.")


def new_batch(total: int = 2, batch_id: str = "batch-0001", **fields: object) -> Batch:
    """Make a batch that is ready to be announced."""
    spec = BatchSpec(id=batch_id, total=total, title="Rows", source=JobSource(notebook="n.ipynb"))
    return msgspec.structs.replace(Batch(spec=spec, owner=OWNER, total=total, created_at=10.0), **fields)


async def announce(store: Store, *jobs: str, total: int = 2, **fields: Any) -> Batch:
    """Announce a batch with jobs of these ids."""
    return await store.submit_batch(
        new_batch(total), [new_job(job, batch="batch-0001", **fields) for job in jobs], max_queued=100
    )


async def retried(store: Store, job_id: str, new_id: str, **fields: Any) -> Job:
    """Retry an ended job."""
    spec = (await store.job(OWNER, job_id)).spec
    again = msgspec.structs.replace(new_job(new_id, **fields), spec=spec, retry_of=job_id)
    job, _ = await store.submit(again, max_queued=100)
    return job


async def finish(store: Store, job_id: str, end: Event) -> None:
    """Claim all ready jobs and end one."""
    await claim(store)
    await store.end(OWNER, job_id, end)


class CapacityContract:
    """Capacity: a claim counts running jobs on all servers and takes more in one transaction."""

    async def test_claim_takes_at_most_capacity(self, store: Store) -> None:
        for number in range(5):
            await submit(store, f"job-{number:04}")
        room = Capacity(running=3, bulk=3, owner=9)
        assert len(await claim(store, limit=2, room=room)) == 2
        assert len(await claim(store, room=room)) == 1
        assert await claim(store, room=room) == []
        await store.end(OWNER, "job-0001", DONE)
        assert [job.id for job in await claim(store, room=room)] == ["job-0003"]

    async def test_concurrent_claims_share_capacity(self, store: Store) -> None:
        for number in range(9):
            await submit(store, f"job-{number:04}")
        room = Capacity(running=4, bulk=4, owner=9)
        claims = await asyncio.gather(*(claim(store, limit=3, room=room) for _ in range(5)))
        assert sum(map(len, claims)) == 4

    async def test_bulk_jobs_leave_capacity_for_interactive_jobs(self, store: Store) -> None:
        for number in range(4):
            await submit(store, f"job-{number:04}", priority="bulk")
        room = Capacity(running=3, bulk=2, owner=9)
        assert [job.id for job in await claim(store, room=room)] == ["job-0000", "job-0001"]
        await submit(store, "job-0009")
        await submit(store, "job-0010")
        assert [job.id for job in await claim(store, room=room)] == ["job-0009"]
        await store.end(OWNER, "job-0000", DONE)
        assert [job.id for job in await claim(store, room=room)] == ["job-0010"]
        await store.end(OWNER, "job-0010", DONE)
        assert [job.id for job in await claim(store, room=room)] == ["job-0002"]

    async def test_capacity_of_owner_counts_jobs_on_all_servers(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        await claim(store, server=THERE)
        for number in (2, 3, 4):
            await submit(store, f"job-{number:04}")
        await submit(store, "job-0005", owner="bob")
        claimed = await claim(store, room=Capacity(running=9, bulk=9, owner=2))
        assert [(job.owner, job.id) for job in claimed] == [(OWNER, "job-0002"), ("bob", "job-0005")]

    async def test_claim_takes_jobs_of_its_owner_only(self, store: Store) -> None:
        await submit(store, "job-0001", owner="bob")
        await submit(store, "job-0002")
        await submit(store, "job-0003", owner="bob", priority="bulk")
        await submit(store, "job-0004", owner="bob", thread="t")
        assert [job.id for job in await claim(store, owner=OWNER)] == ["job-0002"]
        assert await claim(store, owner=OWNER) == []
        assert await claim(store, owner="eve") == []
        assert [job.id for job in await claim(store, owner="bob")] == ["job-0001", "job-0004", "job-0003"]

    async def test_claim_takes_waiting_jobs_of_its_owner_only(self, store: Store) -> None:
        for owner, until in (("bob", 40.0), (OWNER, 50.0)):
            job = await running(store, "job-0001", owner=owner)
            await append(store, job, [msgspec.structs.replace(BUSY, until=until)])
        assert await store.next_due(server=HERE, owner=OWNER, after=0.0) == 50.0
        assert await store.next_due(server=HERE, owner=None, after=0.0) == 40.0
        assert [job.owner for job in await claim(store, owner=OWNER, at=60.0)] == [OWNER]
        assert [job.owner for job in await claim(store, owner=None, at=60.0)] == ["bob"]

    async def test_jobs_of_other_owners_use_capacity_of_server(self, store: Store) -> None:
        await submit(store, "job-0001", owner="bob")
        await claim(store)
        await submit(store, "job-0002")
        assert await claim(store, owner=OWNER, room=Capacity(running=1, bulk=1, owner=1)) == []
        assert len(await claim(store, owner=OWNER, room=Capacity(running=2, bulk=1, owner=1))) == 1

    async def test_waiting_job_uses_no_capacity(self, store: Store) -> None:
        job = await running(store)
        await submit(store, "job-0002")
        room = Capacity(running=1, bulk=1, owner=1)
        assert await claim(store, room=room) == []
        await append(store, job, [BUSY])
        assert [job.id for job in await claim(store, room=room)] == ["job-0002"]

    async def test_next_due_is_time_of_next_waiting_job(self, store: Store) -> None:
        assert await store.next_due(server=HERE, owner=None, after=0.0) is None
        job = await running(store)
        await append(store, job, [BUSY])
        other = await running(store, "job-0002")
        await append(store, other, [msgspec.structs.replace(BUSY, until=60.0)])
        assert await store.next_due(server=HERE, owner=None, after=0.0) == 40.0
        assert await store.next_due(server=HERE, owner=None, after=40.0) == 60.0
        assert await store.next_due(server=THERE, owner=None, after=0.0) is None
        await store.end(OWNER, job.id, Cancelled(at=35.0))
        assert await store.next_due(server=HERE, owner=None, after=0.0) == 60.0

    async def test_has_work_finds_pending_jobs_of_server_only(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        assert not await store.has_work(server=HERE, owner=OWNER)
        await submit(store, "job-0002")
        await submit(store, "job-0003", server=THERE)
        assert await store.has_work(server=HERE, owner=OWNER)
        (job,) = await claim(store)
        assert not await store.has_work(server=HERE, owner=OWNER)  # it runs
        await append(store, job, [BUSY])
        assert await store.has_work(server=HERE, owner=OWNER)
        await store.end(OWNER, job.id, Cancelled(at=35.0))
        assert not await store.has_work(server=HERE, owner=OWNER)
        assert await store.has_work(server=THERE, owner=OWNER)

    async def test_waiting_job_can_be_rescheduled(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [BUSY])
        for until in (25.0, 60.0, 35.0):
            assert await append(store, job, [msgspec.structs.replace(BUSY, until=until)]) > 3
            assert (await store.job(OWNER, job.id)).not_before == until
            assert await store.next_due(server=HERE, owner=OWNER, after=0.0) == until
        assert await claim(store, at=34.9) == []
        (again,) = await claim(store, at=35.0)
        with pytest.raises(FencedError):
            await append(store, job, [BUSY])
        assert (await store.job(OWNER, job.id)).status == "running"
        assert again.attempt == 2

    async def test_clock_set_back_delays_no_waiting_job(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [BUSY])
        assert await claim(store, at=40.0 - FARTHEST) == []
        assert [found.id for found in await claim(store, at=39.0 - FARTHEST)] == [job.id]

    async def test_waiting_job_has_error_until_next_attempt(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [*text_deltas("a"), BUSY])
        assert (await store.job(OWNER, job.id)).error == ErrorInfo(code="rate_limited", message="Busy.")
        (again,) = await claim(store, at=40.0)
        assert (again.error, (await store.job(OWNER, job.id)).error) == (None, None)
        assert (await log_of(store))[-1] == Attempt(seq=5, attempt=2, at=40.0, reason="retry")


class AdoptContract:
    """Adoption: one other server continues a dead server's job, and the dead server's writes are refused."""

    async def test_adopted_running_job_waits_and_is_claimed_by_new_server(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        (job,) = await claim(store, server=THERE)
        await append(store, job, text_deltas("a"))
        adopted = await store.adopt(job, server=HERE, event=DIED)
        assert (adopted.status, adopted.server, adopted.fence, adopted.attempt) == ("waiting", HERE, 2, 1)
        assert await store.abandoned_jobs(owner=None, limit=9) == []
        for refused in (
            append(store, job, text_deltas("late")),
            store.set_history(job, ()),
            store.end(OWNER, job.id, DONE, fence=1),
        ):
            with pytest.raises(FencedError):
                await refused
        (again,) = await claim(store, at=30.0)
        assert (again.id, again.attempt, again.fence) == (job.id, 2, 3)
        assert (await log_of(store))[-2:] == [
            msgspec.structs.replace(DIED, seq=4, attempt=1),
            Attempt(seq=5, attempt=2, at=30.0, reason="recovery"),
        ]

    async def test_adoption_of_queued_job_changes_only_its_server(self, store: Store) -> None:
        job = await submit(store, "job-0001", server=THERE)
        adopted = await store.adopt(job, server=HERE)
        assert (adopted.status, adopted.server, adopted.seq) == ("queued", HERE, 1)
        (claimed,) = await claim(store)
        assert (await log_of(store))[-1] == Attempt(seq=2, attempt=1, at=20.0)
        assert claimed.server == HERE

    async def test_adopted_job_without_attempt_begins_with_first_attempt(self, store: Store) -> None:
        job = await submit(store, "job-0001", server=THERE)
        left = await store.adopt(job, server=THERE, event=msgspec.structs.replace(DIED, code="no_provider"))
        assert [found.id for found in await store.abandoned_jobs(owner=None, limit=9)] == [job.id]
        await store.adopt(left, server=HERE)
        (claimed,) = await claim(store, at=30.0)
        assert (await log_of(store))[-1] == Attempt(seq=3, attempt=1, at=30.0)
        assert claimed.error is None

    async def test_second_server_adopts_nothing(self, store: Store) -> None:
        job = await submit(store, "job-0001", server=THERE)
        tries = [store.adopt(job, server=f"server-{n}") for n in range(5)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, FencedError) for result in results) == 4
        assert (await store.job(OWNER, job.id)).server == "server-0"

    async def test_ended_job_is_not_adopted(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        (job,) = await claim(store, server=THERE)
        await store.end(OWNER, job.id, Cancelled(at=30.0))
        with pytest.raises(FencedError):
            await store.adopt(job, server=HERE, event=DIED)

    async def test_adoption_is_a_change(self, store: Store) -> None:
        job = await submit(store, "job-0001", server=THERE)
        changes = store.changes()
        await store.adopt(job, server=HERE)
        (change,) = await take(changes)
        assert (change.kind, change.job, change.status, change.seq) == ("job", job.id, "queued", 1)

    async def test_abandoned_jobs_are_filtered_by_owner(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE, owner="bob")
        await claim(store, server=THERE)
        job = await submit(store, "job-0002", server=THERE)
        await claim(store, server=THERE)
        await append(store, await store.job(OWNER, job.id), [BUSY])
        await submit(store, "job-0003", server=THERE, owner="bob", priority="bulk")
        await submit(store, "job-0004", server=THERE, priority="bulk")
        await submit(store, "job-0005", server=THERE)
        await claim(store, server=THERE, room=Capacity(running=3, bulk=0, owner=9))
        await submit(store, "job-0006", server=THERE)
        await store.end(OWNER, "job-0006", Cancelled(at=30.0))
        await submit(store, "job-0007")
        expected: dict[str | None, list[int]] = {None: [1, 2, 3, 4, 5], OWNER: [2, 4, 5], "bob": [1, 3], "eve": []}
        for owner, numbers in expected.items():
            found = await store.abandoned_jobs(owner=owner, limit=9)
            assert [(job.id, owner in (None, job.owner)) for job in found] == [(f"job-000{n}", True) for n in numbers]
        assert [job.id for job in await store.abandoned_jobs(owner=OWNER, limit=2)] == ["job-0002", "job-0004"]

    async def test_abandoned_jobs_come_oldest_first_and_jobs_without_provider_last(self, store: Store) -> None:
        jobs = [await submit(store, f"job-{number:04}", server=THERE) for number in range(4)]
        await store.adopt(jobs[0], server=THERE, event=msgspec.structs.replace(DIED, code="no_provider"))
        await store.adopt(jobs[1], server=THERE, event=DIED)
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=2)] == ["job-0001", "job-0002"]
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=9)][-1] == "job-0000"


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
        received = [(change.kind, change.job, change.status) for change in await take(changes)]
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
        assert [(change.kind, change.job) for change in await take(changes)] == [("job", "job-0001"), ("notice", "")]


class MuteContract:
    """Mutes: stored per viewer, and marked in the inbox."""

    async def test_mutes_are_listed_and_mark_notices(self, store: Store) -> None:
        await ended(store, "job-0001", source=JobSource(notebook="a.ipynb"))
        await ended(store, "job-0002", thread="t")
        await ended(store, "job-0003")
        mutes = [Mute(kind="notebook", name="a.ipynb"), Mute(kind="thread", name="t")]
        for mute in reversed(mutes):
            await store.mute(OWNER, "", mute, on=True)
        assert await store.mutes(OWNER, "") == mutes
        assert _muted(await store.notices(OWNER, "")) == {"job-0001", "job-0002"}
        await store.mute(OWNER, "", mutes[0], on=False)
        assert _muted(await store.notices(OWNER, "")) == {"job-0002"}

    async def test_mute_holds_for_its_viewer_only(self, store: Store) -> None:
        await ended(store, thread="t")
        await store.mute(OWNER, "eve", Mute(kind="thread", name="t"), on=True)
        assert _muted(await store.notices(OWNER, "")) == set()
        assert _muted(await store.notices(OWNER, "eve")) == {"job-0001"}
        assert await store.mutes("bob", "eve") == []

    async def test_mute_is_a_change_and_repeated_mute_is_none(self, store: Store) -> None:
        changes = store.changes()
        mute = Mute(kind="thread", name="t")
        for on in (True, True, False, False):
            await store.mute(OWNER, "", mute, on=on)
        await submit(store, "job-0001")
        received: list[tuple[str, str]] = []
        while not received or received[-1] != ("job", "job-0001"):
            received += [(change.kind, change.job) for change in await take(changes)]
        assert received == [("notice", ""), ("notice", ""), ("job", "job-0001")]


class CallContract:
    """Webhook calls: a notice is due once it has been unseen for a while."""

    async def test_unseen_notice_is_due_for_first_caller_only(self, store: Store) -> None:
        await ended(store)
        due = 50.0 + CALL_AFTER
        assert await _calls(store, at=due - 0.1) == []
        asked = await asyncio.gather(*(_calls(store, at=due) for _ in range(3)))
        assert sorted(asked) == [[], [], ["job-0001"]]
        assert await _calls(store, at=due + 9.9) == []
        assert await _calls(store, at=due + 10.0) == ["job-0001"]
        (notice,) = await store.notices(OWNER, "")
        await store.reschedule_webhook(OWNER, notice.id)
        assert await _calls(store, at=due + 1000.0) == []

    async def test_seen_dismissed_and_muted_notices_are_not_due(self, store: Store) -> None:
        for number in range(1, 5):
            await ended(store, f"job-{number:04}", thread=f"t{number}")
        notices = {notice.job: notice.id for notice in await store.notices(OWNER, "eve")}
        await store.mark_seen(OWNER, "eve", "job-0001", seq=ALL, at=60.0)
        await store.dismiss(OWNER, "", notices["job-0002"], at=60.0)
        await store.mute(OWNER, "eve", Mute(kind="thread", name="t3"), on=True)
        assert await _calls(store, at=100.0) == ["job-0004"]

    async def test_clock_set_back_delays_no_first_webhook_call(self, store: Store) -> None:
        await ended(store)  # at 50
        assert await _calls(store, at=50.0) == []
        assert await _calls(store, at=49.9) == ["job-0001"]  # a caller at 49.9 has a clock that was set back
        assert await _calls(store, at=49.95) == []  # it was rescheduled, as any other
        assert await _calls(store, at=59.95) == ["job-0001"]

    async def test_clock_set_far_back_delays_no_webhook_call(self, store: Store) -> None:
        await ended(store)
        due = 50.0 + CALL_AFTER
        assert await _calls(store, at=due) == ["job-0001"]
        assert await _calls(store, at=due + 10.0 - FARTHEST) == []
        assert await _calls(store, at=due + 9.0 - FARTHEST) == ["job-0001"]

    async def test_old_notice_is_not_due(self, store: Store) -> None:
        await ended(store)
        assert await _calls(store, at=9000.0, since=50.1) == []
        assert await _calls(store, at=9999.0) == []

    async def test_due_webhooks_are_of_owner_and_paged(self, store: Store) -> None:
        for number in range(3):
            await ended(store, f"job-{number:04}")
        assert await _calls(store, at=100.0, owner="bob") == []
        assert len(await _calls(store, at=100.0, limit=2)) == 2
        assert len(await _calls(store, at=100.0, limit=2)) == 1


async def _calls(
    store: Store, *, at: float, since: float = 0.0, owner: str = OWNER, limit: int = 9
) -> list[str | None]:
    notices = await store.due_webhooks(owner, since=since, at=at, again=at + 10.0, limit=limit)
    return [notice.job for notice in notices]


def _muted(notices: Sequence[Notice]) -> set[str | None]:
    return {notice.job for notice in notices if notice.muted}


class LifecycleContract(
    CapacityContract, AdoptContract, RetryContract, BatchLifecycleContract, MuteContract, CallContract
):
    """Contract tests of capacity, adoption, retries, batches, mutes and webhook calls."""
