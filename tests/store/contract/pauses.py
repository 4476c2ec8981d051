"""Contract tests of stores: paused batches; a part of StoreContract."""

from __future__ import annotations

import pytest
from store.contract.batches import ROWS, announce, retry
from store.factories import DONE, HERE, OWNER, THERE, append, claim, submit, take

from jupyter_bgstream.core.batch_pause import AT_FIRST, IN_A_ROW, Paused
from jupyter_bgstream.core.batches import EndCounts
from jupyter_bgstream.core.errors import NotFoundError
from jupyter_bgstream.core.events import Cancelled, Event, Failed, Interrupted, Waiting
from jupyter_bgstream.store import transitions
from jupyter_bgstream.store.ports.store import Store

REFUSED = Failed(at=50.0, code="unauthorized", message="The key is refused.")
BROKEN = Failed(at=51.0, code="truncated", message="It broke off.")
PAUSED = Paused(code="unauthorized", message="The key is refused.", at=50.0)


async def end_next(store: Store, *ends: Event) -> None:
    """Claim a batch's jobs one by one, and end each so."""
    for end in ends:
        (job,) = await claim(store, limit=1)
        await store.end(OWNER, job.id, end)


async def paused(store: Store, total: int = 20, more: int = 3) -> None:
    """Make a paused batch with ``more`` queued jobs."""
    await announce(store, *range(AT_FIRST + more), total=total)
    await end_next(store, *[REFUSED] * AT_FIRST)
    assert (await store.batch(OWNER, ROWS)).paused == PAUSED


class PauseContract:
    """Pauses: a batch whose jobs fail with the same code is paused on every server until it is resumed."""

    async def test_equal_failures_of_first_jobs_pause_batch(self, store: Store) -> None:
        await announce(store, *range(20), total=20)
        await end_next(store, *[REFUSED] * (AT_FIRST - 1))
        assert (await store.batch(OWNER, ROWS)).paused is None
        await end_next(store, REFUSED)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.paused, batch.ended_at, batch.counts) == (PAUSED, None, EndCounts(failed=AT_FIRST))
        assert await claim(store) == []

    async def test_many_equal_failures_in_a_row_pause_batch(self, store: Store) -> None:
        await announce(store, *range(40), total=40)
        await end_next(store, DONE, *[BROKEN] * (IN_A_ROW - 1), DONE, *[BROKEN] * (IN_A_ROW - 1))
        assert (await store.batch(OWNER, ROWS)).paused is None
        await end_next(store, BROKEN)
        assert (await store.batch(OWNER, ROWS)).paused == Paused(code="truncated", message="It broke off.", at=51.0)

    async def test_cancelled_job_does_not_count_for_pause(self, store: Store) -> None:
        await announce(store, *range(20), total=20)
        stops: list[Event] = [Cancelled(at=50.0), Interrupted(at=50.0, code="server_died", message="Dead.")]
        await end_next(store, *stops, *[REFUSED] * 3, *stops, REFUSED)
        assert (await store.batch(OWNER, ROWS)).paused is None
        await end_next(store, REFUSED)
        assert (await store.batch(OWNER, ROWS)).paused == PAUSED

    @pytest.mark.parametrize("code", ["unreachable", "provider_error", "context_too_long", "no_such_code"])
    async def test_transient_failures_and_failures_of_one_row_do_not_pause_batch(self, store: Store, code: str) -> None:
        await announce(store, *range(40), total=40)
        await end_next(store, *[Failed(at=50.0, code=code, message="No.")] * 12, *[REFUSED] * 9)
        assert (await store.batch(OWNER, ROWS)).paused is None

    async def test_mixed_failures_do_not_pause_batch(self, store: Store) -> None:
        await announce(store, *range(60), total=60)
        await end_next(store, *[REFUSED, BROKEN] * 12)
        assert (await store.batch(OWNER, ROWS)).paused is None

    async def test_running_jobs_of_paused_batch_continue_and_reason_stays(self, store: Store) -> None:
        await announce(store, *range(20), total=20)
        running = await claim(store, limit=AT_FIRST + 3)
        for job in running[:AT_FIRST]:
            await store.end(OWNER, job.id, REFUSED)
        ends: list[Event] = [DONE, BROKEN, REFUSED]
        for job, end in zip(running[AT_FIRST:], ends, strict=True):
            await store.end(OWNER, job.id, end)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.paused, batch.counts) == (PAUSED, EndCounts(completed=1, failed=AT_FIRST + 2))
        assert len(await store.notices(OWNER, "")) == 1

    async def test_batch_is_paused_on_every_server_and_other_jobs_run(self, store: Store) -> None:
        await announce(store, *range(9), total=20, concurrency=1)
        await announce(store, *range(10, 13), total=20, server=THERE)
        await announce(store, 1, total=1, batch="batch-more")
        await submit(store, "job-0001")
        running = [job for job in await claim(store, limit=AT_FIRST) if job.spec.batch == ROWS]
        for job in running:
            await store.end(OWNER, job.id, REFUSED)
        assert (await store.batch(OWNER, ROWS)).paused == PAUSED
        assert {job.id for job in await claim(store)} == {"batch-more-1", "job-0001"}
        assert await claim(store, server=THERE) == []

    async def test_waiting_job_of_paused_batch_is_not_claimed(self, store: Store) -> None:
        await announce(store, *range(20), total=20)
        (waits, *running) = await claim(store, limit=AT_FIRST + 1)
        await append(store, waits, [Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")])
        for job in running:
            await store.end(OWNER, job.id, REFUSED)
        assert await claim(store, at=60.0) == []
        assert await store.next_due(server=HERE, owner=None, after=60.0) is None
        await store.resume_batch(OWNER, ROWS)
        assert waits.id in {job.id for job in await claim(store, at=60.0)}

    async def test_paused_batch_accepts_jobs_and_starts_none(self, store: Store) -> None:
        await paused(store)
        await announce(store, 11, 12, total=20)
        await submit(store, f"{ROWS}-13", batch=ROWS)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.submitted, batch.paused) == (AT_FIRST + 6, PAUSED)
        assert await claim(store) == []

    async def test_resumed_batch_runs_remaining_jobs_and_counts_failures_anew(self, store: Store) -> None:
        await paused(store, more=AT_FIRST + 2)
        for _ in range(2):
            batch = await store.resume_batch(OWNER, ROWS)
            assert (batch.paused, batch.counts) == (None, EndCounts(failed=AT_FIRST))
        await end_next(store, *[REFUSED] * (AT_FIRST - 1))
        assert (await store.batch(OWNER, ROWS)).paused is None
        await end_next(store, REFUSED)
        assert (await store.batch(OWNER, ROWS)).paused == PAUSED
        with pytest.raises(NotFoundError):
            await store.resume_batch("bob", ROWS)

    async def test_retry_resumes_paused_batch(self, store: Store) -> None:
        await paused(store)
        await retry(store)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.paused, batch.counts) == (None, EndCounts())
        assert len(await claim(store)) == AT_FIRST + 3
        assert await store.notices(OWNER, "") == []

    async def test_pause_has_one_notice_until_batch_is_resumed(self, store: Store) -> None:
        await paused(store)
        (notice,) = await store.notices(OWNER, "")
        assert (notice.batch, notice.status, notice.paused, notice.created_at) == (ROWS, "running", PAUSED, 50.0)
        assert notice.counts == EndCounts(failed=AT_FIRST)
        due = await store.due_webhooks(OWNER, since=0.0, at=90.0, again=99.0, limit=9)
        assert [each.id for each in due] == [notice.id]
        await store.mark_read(OWNER, "", ids=[notice.id], at=60.0)
        await store.resume_batch(OWNER, ROWS)
        assert await store.notices(OWNER, "") == []

    async def test_notice_of_end_replaces_notice_of_pause(self, store: Store) -> None:
        await announce(store, *range(AT_FIRST + 1), total=AT_FIRST + 1)
        running = await claim(store)
        for job in running[:-1]:
            await store.end(OWNER, job.id, REFUSED)
        assert (await store.batch(OWNER, ROWS)).paused == PAUSED
        await store.end(OWNER, running[-1].id, DONE)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.paused, batch.status) == (None, "failed")
        (notice,) = await store.notices(OWNER, "")
        assert (notice.status, notice.paused) == ("failed", None)

    async def test_failure_of_last_job_does_not_pause_batch(self, store: Store) -> None:
        await announce(store, *range(AT_FIRST), total=AT_FIRST)
        await end_next(store, *[REFUSED] * AT_FIRST)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.paused, batch.status) == (None, "failed")

    async def test_cancel_ends_paused_batch(self, store: Store) -> None:
        await paused(store)
        batch, jobs = await store.cancel_batch(OWNER, ROWS, Cancelled(at=60.0), limit=9)
        assert (batch.paused, batch.status, len(jobs)) == (None, "failed", 3)
        assert await store.notices(OWNER, "") == []
        assert await store.resume_batch(OWNER, ROWS) == batch

    async def test_paused_batch_is_no_work(self, store: Store) -> None:
        assert not await store.has_work(server=HERE, owner=OWNER)
        await paused(store)
        assert not await store.has_work(server=HERE, owner=OWNER)
        await announce(store, 1, total=1, batch="batch-more", server=THERE)
        assert not await store.has_work(server=HERE, owner=OWNER)
        assert await store.has_work(server=THERE, owner=OWNER)
        assert not await store.has_work(server=THERE, owner="bob")
        await store.resume_batch(OWNER, ROWS)
        assert await store.has_work(server=HERE, owner=OWNER)
        job, *_ = await claim(store)
        assert not await store.has_work(server=HERE, owner=OWNER)
        await append(store, job, [Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")])
        assert await store.has_work(server=HERE, owner=OWNER)

    async def test_pause_and_resumption_are_changes(self, store: Store) -> None:
        await announce(store, *range(AT_FIRST + 3), total=20)
        running = await claim(store, limit=AT_FIRST)
        for job in running[:-1]:
            await store.end(OWNER, job.id, REFUSED)
        batch = await store.batch(OWNER, ROWS)
        changes = store.changes()
        await store.end(OWNER, running[-1].id, REFUSED)
        assert [change.kind for change in await take(changes)] == ["job", "batch", "notice"]
        await store.resume_batch(OWNER, ROWS)
        assert await take(changes) == [transitions.batch_change(batch)]
