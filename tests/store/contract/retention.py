"""Contract tests of stores: retention of old jobs; a part of StoreContract."""

from __future__ import annotations

import pytest
from store.factories import ALL, DONE, OWNER, append, claim, ended, new_job, running, submit, text_deltas

from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.errors import NotFoundError
from jupyter_bgstream.core.events import Cancelled, Completed, Waiting
from jupyter_bgstream.store.ports.store import Store


class RetentionContract:
    """Retention: only ended jobs expire, read and unread ones separately."""

    async def expired(
        self, store: Store, *, before: float, unread: bool, owner: str | None = None, limit: int = 100
    ) -> list[str]:
        """List the ids of expired jobs."""
        return [job.id for job in await store.expired_jobs(owner=owner, before=before, unread=unread, limit=limit)]

    async def test_ended_job_expires_by_its_end_and_is_unread_until_read(self, store: Store) -> None:
        for n, at in enumerate((30.0, 50.0, 40.0), 1):
            await ended(store, f"job-000{n}", Completed(at=at, finish_reason="stop"))
        assert await self.expired(store, before=50.0, unread=True) == ["job-0001", "job-0003"]
        assert await self.expired(store, before=51.0, unread=True, limit=2) == ["job-0001", "job-0003"]
        assert await self.expired(store, before=99.0, unread=False) == []
        await store.mark_seen(OWNER, "eve", "job-0001", seq=3, at=60.0)
        (notice,) = [notice for notice in await store.notices(OWNER, "") if notice.job == "job-0002"]
        await store.dismiss(OWNER, "", notice.id, at=60.0)
        assert await self.expired(store, before=99.0, unread=True) == ["job-0003"]
        assert await self.expired(store, before=99.0, unread=False) == ["job-0001", "job-0002"]

    async def test_read_job_expires_by_time_of_reading(self, store: Store) -> None:
        await ended(store)  # at 50
        await store.mark_read(OWNER, "", ids=None, at=70.0)
        await store.mark_read(OWNER, "eve", ids=None, at=80.0)
        assert await self.expired(store, before=80.0, unread=False) == []
        assert await self.expired(store, before=80.1, unread=False) == ["job-0001"]
        assert await self.expired(store, before=80.1, unread=True) == []

    async def test_dismissed_job_expires_by_time_of_dismissal(self, store: Store) -> None:
        await ended(store, "job-0001")  # at 50
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        await ended(store, "job-0002")
        for notice in await store.notices(OWNER, ""):
            await store.dismiss(OWNER, "", notice.id, at=80.0)
        assert await self.expired(store, before=80.0, unread=True) == []
        assert await self.expired(store, before=80.0, unread=False) == ["job-0001"]  # dismissing is no second reading
        assert await self.expired(store, before=80.1, unread=False) == ["job-0001", "job-0002"]

    async def test_cancelled_job_has_no_notice_and_expires_as_read(self, store: Store) -> None:
        await ended(store, end=Cancelled(at=50.0))
        assert await self.expired(store, before=99.0, unread=True) == []
        assert await self.expired(store, before=99.0, unread=False) == ["job-0001"]

    async def test_unfinished_jobs_never_expire(self, store: Store) -> None:
        waiting = await running(store, "job-0001")
        await append(store, waiting, [Waiting(at=21.0, until=22.0, code="rate_limited", message="Later.")])
        await running(store, "job-0002")
        await submit(store, "job-0003")
        for unread in (True, False):
            assert await self.expired(store, before=1e12, unread=unread) == []

    async def test_active_thread_keeps_its_turns(self, store: Store) -> None:
        await ended(store, "job-0001", Cancelled(at=30.0), thread="t")
        await ended(store, "job-0002", Cancelled(at=31.0))
        assert await self.expired(store, before=40.0, unread=False) == ["job-0001", "job-0002"]
        await submit(store, "job-0003", thread="t")
        await submit(store, "job-0004", thread="t", owner="bob")
        assert await self.expired(store, before=40.0, unread=False) == ["job-0002"]
        await store.end(OWNER, "job-0003", Cancelled(at=50.0))
        assert await self.expired(store, before=50.0, unread=False) == ["job-0002"]
        assert await self.expired(store, before=50.1, unread=False) == ["job-0001", "job-0002", "job-0003"]

    async def test_thread_with_unread_turn_keeps_all_turns(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")  # at 50
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        await ended(store, "job-0002", thread="t")
        assert await self.expired(store, before=99.0, unread=False) == []
        assert await self.expired(store, before=99.0, unread=True) == ["job-0002"]
        await store.mark_read(OWNER, "", ids=None, at=80.0)
        for unread in (True, False):
            assert await self.expired(store, before=80.0, unread=unread) == []  # a turn was read a moment ago
        assert await self.expired(store, before=80.1, unread=False) == ["job-0001", "job-0002"]

    async def test_retried_job_is_kept_as_long_as_its_retries(self, store: Store) -> None:
        await ended(store, "job-0001", Cancelled(at=30.0))
        await ended(store, "job-0002", Cancelled(at=31.0), retry_of="job-0001")
        again = await running(store, "job-0003", retry_of="job-0002")
        assert await self.expired(store, before=99.0, unread=False) == []
        await store.end(OWNER, again.id, DONE)  # at 50
        assert await self.expired(store, before=99.0, unread=False) == []
        assert await self.expired(store, before=50.0, unread=True) == []
        assert await self.expired(store, before=50.1, unread=True) == ["job-0003"]
        await store.mark_read(OWNER, "", ids=None, at=80.0)
        assert await self.expired(store, before=80.0, unread=False) == []
        assert await self.expired(store, before=80.1, unread=False) == ["job-0001", "job-0002", "job-0003"]
        await store.delete(OWNER, again.id)
        assert await self.expired(store, before=50.0, unread=False) == ["job-0001", "job-0002"]

    async def test_unread_retried_job_expires_with_its_retry(self, store: Store) -> None:
        await ended(store, "job-0001", Completed(at=30.0, finish_reason="stop"))
        await ended(store, "job-0002", retry_of="job-0001")  # at 50
        assert await self.expired(store, before=50.0, unread=True) == []
        assert await self.expired(store, before=50.1, unread=True) == ["job-0001", "job-0002"]

    async def test_jobs_of_batch_are_unread_until_its_notice_is_read(self, store: Store) -> None:
        batch = Batch(spec=BatchSpec(id="batch-01", total=2), owner=OWNER, total=2, created_at=10.0)
        jobs = [new_job("job-0001", batch="batch-01"), new_job("job-0002", batch="batch-01")]
        await store.submit_batch(batch, jobs, max_queued=9)
        await claim(store)
        await store.end(OWNER, "job-0001", Completed(at=30.0, finish_reason="stop"))
        await store.end(OWNER, "job-0002", Cancelled(at=40.0))
        await ended(store, "job-0003", Cancelled(at=41.0), batch="a-mere-label")
        assert await self.expired(store, before=99.0, unread=True) == ["job-0001", "job-0002"]
        assert await self.expired(store, before=99.0, unread=False) == ["job-0003"]
        await store.mark_read(OWNER, "", ids=None, at=60.0)
        assert await self.expired(store, before=99.0, unread=True) == []
        assert await self.expired(store, before=99.0, unread=False) == ["job-0001", "job-0002", "job-0003"]
        assert await self.expired(store, before=60.0, unread=False) == ["job-0003"]

    async def test_ended_job_of_unfinished_batch_is_unread(self, store: Store) -> None:
        batch = Batch(spec=BatchSpec(id="batch-01", total=2), owner=OWNER, total=2, created_at=10.0)
        await store.submit_batch(batch, [new_job("job-0001", batch="batch-01")], max_queued=9)
        await store.end(OWNER, "job-0001", Cancelled(at=30.0))
        assert await self.expired(store, before=99.0, unread=False) == []
        assert await self.expired(store, before=99.0, unread=True) == ["job-0001"]

    async def test_announcement_of_deletion_is_stored_once(self, store: Store) -> None:
        await ended(store)
        (job,) = await store.expired_jobs(owner=None, before=99.0, unread=True, limit=1)
        assert (job.owner, job.ended_at, job.announced_at) == (OWNER, 50.0, None)
        assert job.log == (await store.job(OWNER, job.id)).log
        await store.mark_announced([job], at=60.0)
        await store.mark_announced([job], at=70.0)
        assert [it.announced_at for it in await store.expired_jobs(owner=None, before=99.0, unread=True, limit=1)] == [
            60.0
        ]
        await store.delete(OWNER, job.id)
        await ended(store)
        await store.mark_announced([job], at=80.0)  # it was of another log
        assert [it.announced_at for it in await store.expired_jobs(owner=None, before=99.0, unread=True, limit=1)] == [
            None
        ]

    async def test_expired_jobs_are_filtered_by_owner(self, store: Store) -> None:
        for n, owner in enumerate((OWNER, "bob", OWNER, "bob"), 1):
            await ended(store, f"job-000{n}", Cancelled(at=30.0 + n), owner=owner)
        for owner in (OWNER, "bob"):
            await ended(store, "job-0009", owner=owner)  # unread
        expected = {False: (["job-0001", "job-0003"], ["job-0002", "job-0004"]), True: (["job-0009"], ["job-0009"])}
        for unread, (own, bobs) in expected.items():
            assert await self.expired(store, owner=OWNER, before=99.0, unread=unread) == own
            assert await self.expired(store, owner="bob", before=99.0, unread=unread) == bobs
            assert await self.expired(store, owner="eve", before=99.0, unread=unread) == []
            assert len(await self.expired(store, owner=None, before=99.0, unread=unread)) == len(own + bobs)

    async def test_size_of_an_owner_leaves_other_owners_out(self, store: Store) -> None:
        for owner, words in ((OWNER, 1_000), ("bob", 40_000)):
            job = await running(store, "job-0001", owner=owner)
            await append(store, job, text_deltas("some words of an answer " * words))
            await store.end(owner, job.id, DONE)
        mine, bobs, eves = [await store.size(owner=owner) for owner in (OWNER, "bob", "eve")]
        assert 24_000 < mine < 100_000
        assert 960_000 < bobs < 1_100_000
        assert eves == 0
        assert await store.size(owner=None) >= mine + bobs
        for owner in (OWNER, "bob"):
            (old,) = await store.expired_jobs(owner=owner, before=99.0, unread=True, limit=9)
            assert old.bytes == await store.size(owner=owner)
        await store.delete("bob", "job-0001")
        assert await store.size(owner=OWNER) == await store.size(owner=None)  # it is alone now

    async def test_only_requested_log_is_deleted(self, store: Store) -> None:
        first = await ended(store)
        await store.delete(OWNER, first.id, log=first.log)
        second = await ended(store)
        with pytest.raises(NotFoundError):
            await store.delete(OWNER, first.id, log=first.log)
        assert await store.job(OWNER, second.id) == second
        await store.delete(OWNER, second.id)

    async def test_size_grows_with_stored_and_shrinks_with_deleted_jobs(self, store: Store) -> None:
        job = await running(store)
        empty = await store.size(owner=None)
        await append(store, job, text_deltas(*("some words of an answer" for _ in range(20_000))))
        await store.end(OWNER, job.id, DONE)
        (old,) = await store.expired_jobs(owner=None, before=99.0, unread=True, limit=1)
        assert await store.size(owner=None) - empty > 500_000
        assert old.bytes > 500_000
        await store.delete(OWNER, job.id)
        assert await store.size(owner=None) < empty + 100_000

    async def test_maintenance_changes_no_event_and_terminates(self, store: Store) -> None:
        job = await running(store)
        for n in range(600):
            await append(store, job, text_deltas(f"{n} "))
        await store.end(OWNER, job.id, DONE)
        before = await store.events(job, after=0, max_bytes=ALL)
        steps = 0
        while await store.compact():
            steps += 1
            assert steps < 1000
        assert await store.events(job, after=0, max_bytes=ALL) == before
        for after in (0, 1, 255, 256, 257, 300, 602, 603):
            assert await store.events(job, after=after, max_bytes=ALL) == before[after:]
            assert await store.events(job, after=after, max_bytes=1) == before[after : after + 1]
