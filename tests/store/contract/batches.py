"""Contract tests of stores: batches of thousands of jobs; a part of StoreContract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from store.factories import ALL, DONE, FAILED, HERE, OWNER, THERE, append, claim, ended, new_job, submit, text_deltas

from jupyter_bgstream.core.batches import Batch, BatchItem, BatchSpec, EndCounts, TokenTotals
from jupyter_bgstream.core.costs import Cost
from jupyter_bgstream.core.errors import InvalidRequestError, NotFoundError, QueueFullError
from jupyter_bgstream.core.events import Attempt, Cancelled, Delta, Event, Usage, Waiting
from jupyter_bgstream.store.port_values import Capacity
from jupyter_bgstream.store.ports.store import Store

ROWS = "batch-rows"


def rows(*numbers: int) -> list[str]:
    """Name the jobs of some rows."""
    return [f"{ROWS}-{number}" for number in numbers]


async def announce(
    store: Store, *numbers: int, total: int = 3, batch: str = ROWS, concurrency: int | None = None, **fields: Any
) -> Batch:
    """Announce a batch with jobs for these rows."""
    spec = BatchSpec(id=batch, total=total, concurrency=concurrency)
    jobs = [new_job(f"{batch}-{number}", batch=batch, **fields) for number in numbers]
    new = Batch(spec=spec, owner=OWNER, total=total, created_at=10.0)
    return await store.submit_batch(new, jobs, max_queued=100)


async def say(store: Store, job_id: str, *events: Event, end: Event = DONE) -> None:
    """Let a running job say something and end."""
    job = await store.job(OWNER, job_id)
    await append(store, job, events)
    await store.end(OWNER, job_id, end)


async def retry(store: Store, *, limit: int = 500, max_queued: int = 100) -> int:
    """Ask a batch's unanswered jobs again, so many in a transaction; returns how many transactions it took."""
    span, steps = None, 0
    while steps == 0 or span is not None:
        span = await store.retry_batch(OWNER, ROWS, server=HERE, at=70.0, limit=limit, max_queued=max_queued, span=span)
        steps += 1
    return steps


async def changed(store: Store, after: str | None = None, limit: int = 500) -> tuple[list[BatchItem], str]:
    """Read all that has changed of a batch's answers, page by page."""
    found: list[BatchItem] = []
    more = True
    while more:
        page, after, more = await store.answers(OWNER, ROWS, after=after, limit=limit, max_bytes=ALL)
        assert len(page) <= limit
        found += page
    assert after is not None
    return found, after


def states(places: Sequence[BatchItem]) -> list[tuple[str, str, str | None]]:
    """Return root, state and text of places."""
    return [(place.job.root or place.job.id, place.job.status, place.text) for place in places]


class BatchSlotContract:
    """Batches with ``concurrency``: at most that many of their jobs run on a server, and other jobs are not delayed."""

    async def test_batch_runs_at_most_its_limit(self, store: Store) -> None:
        await announce(store, 1, 2, 3, 4, total=4, concurrency=2)
        assert [job.id for job in await claim(store)] == rows(1, 2)
        assert await claim(store) == []
        await store.end(OWNER, f"{ROWS}-2", DONE)
        assert [job.id for job in await claim(store)] == rows(3)

    async def test_other_jobs_run_beside_limited_batch(self, store: Store) -> None:
        await announce(store, 1, 2, concurrency=1, priority="bulk")
        await announce(store, 1, 2, batch="batch-more", priority="bulk")
        await submit(store, "job-0001")
        found = [job.id for job in await claim(store)]
        assert found == ["job-0001", f"{ROWS}-1", "batch-more-1", "batch-more-2"]

    async def test_job_waiting_for_next_attempt_keeps_slot_of_batch(self, store: Store) -> None:
        await announce(store, 1, 2, concurrency=1)
        (job,) = await claim(store)
        await append(store, job, [Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")])
        assert await claim(store, at=35.0) == []
        (again,) = await claim(store, at=40.0)
        assert (again.id, again.attempt) == (job.id, 2)

    async def test_limit_of_batch_holds_per_server(self, store: Store) -> None:
        await announce(store, 1, concurrency=1)
        await announce(store, 2, concurrency=1, server=THERE)
        assert [job.id for job in await claim(store)] == rows(1)
        assert [job.id for job in await claim(store, server=THERE)] == rows(2)

    async def test_newest_announcement_sets_limit_of_batch(self, store: Store) -> None:
        await announce(store, 1, 2, 3, concurrency=1)
        assert len(await claim(store)) == 1
        assert (await announce(store, concurrency=2)).spec.concurrency == 2
        assert len(await claim(store)) == 1
        await announce(store, concurrency=None)
        assert len(await claim(store)) == 1

    async def test_bulk_jobs_of_two_batches_come_in_order(self, store: Store) -> None:
        for number in (1, 2):
            await announce(store, number, total=2, concurrency=9, priority="bulk")
            await announce(store, number, total=2, batch="batch-more", concurrency=9, priority="bulk")
        room = Capacity(running=4, bulk=3, owner=100)
        found = [job.id for job in await claim(store, room=room)]
        assert found == [f"{ROWS}-1", "batch-more-1", f"{ROWS}-2"]

    async def test_job_behind_another_in_thread_takes_no_slot(self, store: Store) -> None:
        await submit(store, "job-0001", thread="sky")
        await claim(store)
        await announce(store, 1, thread="sky", concurrency=1)
        await announce(store, 2, concurrency=1)
        assert [job.id for job in await claim(store)] == rows(2)


class ProgressContract:
    """Progress of batches: counts by status, tokens and costs."""

    async def test_progress_counts_jobs_by_status(self, store: Store) -> None:
        await announce(store, 1, 2, 3, 4, total=5)
        progress = await store.progress(OWNER, ROWS)
        assert (progress.queued, progress.running, progress.waiting) == (4, 0, 0)
        assert progress.batch.started_at is None
        first, second, _ = await claim(store, limit=3, at=25.0)
        await claim(store, limit=1, at=26.0)
        await append(store, first, [Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")])
        await store.end(OWNER, second.id, DONE)
        await announce(store, 5, total=5)
        progress = await store.progress(OWNER, ROWS)
        assert (progress.queued, progress.running, progress.waiting) == (1, 2, 1)
        assert (progress.batch.counts, progress.batch.started_at) == (EndCounts(completed=1), 25.0)
        with pytest.raises(NotFoundError):
            await store.progress("bob", ROWS)

    async def test_totals_of_batch_include_retried_jobs(self, store: Store) -> None:
        await announce(store, 1, 2, 3)
        await claim(store)
        await say(store, f"{ROWS}-1", Usage(input_tokens=10, output_tokens=1, cost=0.5))
        await say(store, f"{ROWS}-2", Usage(input_tokens=20, cost=0.25, cost_estimated=True), end=FAILED)
        assert (await store.batch(OWNER, ROWS)).taken == TokenTotals(
            input_tokens=30, output_tokens=1, cost=Cost(usd=0.75, estimated=True)
        )
        await retry(store)
        (again,) = await claim(store)
        await say(store, again.id, Usage(input_tokens=20, output_tokens=2))
        await store.end(OWNER, f"{ROWS}-3", DONE)
        batch = await store.batch(OWNER, ROWS)
        assert batch.taken == TokenTotals(input_tokens=50, output_tokens=3, cost=Cost(usd=0.75, estimated=True))
        assert batch.status == "completed"

    async def test_totals_of_batch_without_usage_are_empty(self, store: Store) -> None:
        assert (await announce(store, 1)).taken == TokenTotals()
        await claim(store)
        await store.end(OWNER, f"{ROWS}-1", DONE)
        assert (await store.batch(OWNER, ROWS)).taken == TokenTotals()


class AnswersContract:
    """Answers of batches: all at first, later only changes."""

    async def test_answers_have_one_entry_per_place(self, store: Store) -> None:
        await announce(store, 1, 2, 3, prompt="Why?")
        await claim(store, limit=2)
        await say(store, f"{ROWS}-1", *text_deltas("Be", "cause."))
        places, _ = await changed(store)
        assert sorted(states(places)) == [
            (f"{ROWS}-1", "completed", "Because."),
            (f"{ROWS}-2", "running", None),
            (f"{ROWS}-3", "queued", None),
        ]
        assert all(place.job.spec.messages == () for place in places)

    async def test_later_answers_contain_only_changes(self, store: Store) -> None:
        await announce(store, 1, 2, 3)
        _, at = await changed(store)
        assert await changed(store, at) == ([], at)
        (job,) = await claim(store, limit=1)
        await append(store, job, text_deltas("Be"))
        places, at = await changed(store, at)
        assert states(places) == [(job.id, "running", None)]
        await append(store, job, text_deltas("cause."))
        assert await changed(store, at) == ([], at)  # it only grew
        await store.end(OWNER, job.id, DONE)
        places, at = await changed(store, at)
        assert states(places) == [(job.id, "completed", "Because.")]

    @pytest.mark.parametrize("limit", [1, 2, 5])
    async def test_pages_of_answers_contain_each_place_once(self, store: Store, limit: int) -> None:
        await announce(store, *range(5), total=5)
        await claim(store, limit=3)
        await store.end(OWNER, f"{ROWS}-1", DONE)
        places, _ = await changed(store, limit=limit)
        assert sorted(place.job.id for place in places) == rows(*range(5))

    async def test_page_of_long_answers_is_short_but_not_empty(self, store: Store) -> None:
        await announce(store, 1, 2, 3)
        await claim(store)
        for row in rows(1, 2, 3):
            await say(store, row, *text_deltas("x" * 100))
        found, after, more = await store.answers(OWNER, ROWS, after=None, limit=9, max_bytes=10)
        assert (len(found), more) == (1, True)
        found, after, more = await store.answers(OWNER, ROWS, after=after, limit=9, max_bytes=200)
        assert (len(found), more) == (2, False)

    async def test_newest_retry_answers_for_its_place(self, store: Store) -> None:
        await announce(store, 1, 2, 3)
        await claim(store)
        await say(store, f"{ROWS}-1", *text_deltas("Half"), end=FAILED)
        places, at = await changed(store)
        assert (f"{ROWS}-1", "failed", "Half") in states(places)
        await retry(store)
        places, at = await changed(store, at)
        assert states(places) == [(f"{ROWS}-1", "queued", None)]
        (job,) = await claim(store)
        await say(store, job.id, *text_deltas("Whole"))
        places, at = await changed(store, at)
        assert states(places) == [(f"{ROWS}-1", "completed", "Whole")]
        assert places[0].job.id == job.id != f"{ROWS}-1"

    async def test_place_keeps_id_of_deleted_first_job(self, store: Store) -> None:
        await announce(store, 1, 2)
        for _ in range(2):
            for job in await claim(store):
                if job.spec.batch == ROWS and (job.root or job.id) == f"{ROWS}-1":
                    await store.end(OWNER, job.id, FAILED)
            await retry(store)
        await store.delete(OWNER, f"{ROWS}-1")
        places, _ = await changed(store)
        assert sorted(states(places)) == [(f"{ROWS}-1", "queued", None), (f"{ROWS}-2", "running", None)]

    async def test_deleted_retry_restores_earlier_answer(self, store: Store) -> None:
        await announce(store, 1)
        await claim(store)
        await say(store, f"{ROWS}-1", *text_deltas("Half"), end=FAILED)
        await retry(store)
        places, at = await changed(store)
        await store.end(OWNER, places[0].job.id, Cancelled(at=80.0))
        await store.delete(OWNER, places[0].job.id)
        places, _ = await changed(store, at)
        assert states(places) == [(f"{ROWS}-1", "failed", "Half")]

    async def test_restarted_answer_is_that_of_last_attempt(self, store: Store) -> None:
        await announce(store, 1)
        (job,) = await claim(store)
        again = [
            *text_deltas("Old"),
            Attempt(at=40.0, reason="retry"),
            *text_deltas("New"),
            Delta(channel="reasoning", text="Hm"),
        ]
        await say(store, job.id, *again)
        places, _ = await changed(store)
        assert states(places) == [(f"{ROWS}-1", "completed", "New")]

    async def test_answers_are_of_announced_batches_of_owner(self, store: Store) -> None:
        await ended(store, batch="label-01")
        for owner, batch in ((OWNER, "label-01"), ("bob", ROWS)):
            with pytest.raises(NotFoundError):
                await store.answers(owner, batch, after=None, limit=9, max_bytes=ALL)

    @pytest.mark.parametrize("after", ["", "x", "1", "1_", "_1", "-1_2", "1_2_3", "٣_1", "9" * 20 + "_1"])
    async def test_invalid_cursor_of_answers_is_refused(self, store: Store, after: str) -> None:
        await announce(store, 1)
        with pytest.raises(InvalidRequestError) as refused:
            await store.answers(OWNER, ROWS, after=after, limit=9, max_bytes=ALL)
        assert refused.value.field == "cursor"


class RetryBatchContract:
    """Retries of batches: only jobs without a complete answer, and each once."""

    async def test_retry_of_batch_retries_only_jobs_without_answer(self, store: Store) -> None:
        await announce(store, *range(5), total=5)
        await claim(store, limit=4)
        ends: list[Event] = [DONE, FAILED, Cancelled(at=50.0)]
        for number, end in enumerate(ends):
            await store.end(OWNER, f"{ROWS}-{number}", end)
        await retry(store)
        batch = await store.batch(OWNER, ROWS)
        assert (batch.counts, batch.submitted, batch.ended_at) == (EndCounts(completed=1), 5, None)
        places, _ = await changed(store)
        assert sorted((root, state) for root, state, _ in states(places)) == [
            (f"{ROWS}-0", "completed"),
            (f"{ROWS}-1", "queued"),
            (f"{ROWS}-2", "queued"),
            (f"{ROWS}-3", "running"),
            (f"{ROWS}-4", "queued"),
        ]
        asked = [place.job for place in places if place.job.id not in rows(*range(5))]
        assert {job.retry_of for job in asked} == set(rows(1, 2))
        assert {job.id for job in asked} <= {job.id for job in await claim(store)}

    async def test_repeated_retry_of_batch_retries_once(self, store: Store) -> None:
        await announce(store, 1, 2)
        await claim(store)
        await store.end(OWNER, f"{ROWS}-1", FAILED)
        await retry(store)
        before = await changed(store)
        await retry(store)
        assert await changed(store) == before

    @pytest.mark.parametrize(("limit", "steps"), [(1, 3), (2, 2), (3, 1), (9, 1)])
    async def test_retry_of_batch_continues_in_steps(self, store: Store, limit: int, steps: int) -> None:
        await announce(store, 1, 2, 3)
        await claim(store)
        for row in rows(1, 2, 3):
            await store.end(OWNER, row, FAILED)
        assert await retry(store, limit=limit) == steps
        assert (await store.progress(OWNER, ROWS)).queued == 3
        assert (await store.batch(OWNER, ROWS)).counts == EndCounts()

    async def test_job_that_fails_during_retry_of_batch_waits_for_next_retry(self, store: Store) -> None:
        await announce(store, 1, 2)
        await claim(store)
        for row in rows(1, 2):
            await store.end(OWNER, row, FAILED)
        how = {"server": HERE, "at": 70.0, "limit": 1, "max_queued": 9}
        span = await store.retry_batch(OWNER, ROWS, span=None, **how)  # type: ignore[arg-type]
        (again,) = await claim(store)
        await store.end(OWNER, again.id, FAILED)
        assert span is not None
        assert await store.retry_batch(OWNER, ROWS, span=span, **how) is None  # type: ignore[arg-type]
        assert (await store.batch(OWNER, ROWS)).counts == EndCounts(failed=1)

    async def test_retry_of_batch_respects_queue_limit(self, store: Store) -> None:
        await announce(store, 1, 2)
        await claim(store)
        for row in rows(1, 2):
            await store.end(OWNER, row, FAILED)
        with pytest.raises(QueueFullError):
            await retry(store, limit=1, max_queued=1)
        await retry(store)
        assert (await store.progress(OWNER, ROWS)).queued == 2
        with pytest.raises(NotFoundError):
            await store.retry_batch("bob", ROWS, server=HERE, at=70.0, limit=9, max_queued=9, span=None)


class BatchContract(BatchSlotContract, ProgressContract, AnswersContract, RetryBatchContract):
    """Contract tests of batches."""
