"""Contract tests: claims of ready jobs."""

from __future__ import annotations

import pytest
from store.factories import (
    DONE,
    OWNER,
    THERE,
    append,
    claim,
    ended,
    log_of,
    running,
    submit,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    FencedError,
    IllegalEventError,
)
from jupyter_bgstream.core.events import Attempt, Cancelled, Failed, Waiting
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.ports.store import Store


class ClaimContract:
    """Claims: fences, order and due times."""

    async def test_claim_begins_attempt(self, store: Store) -> None:
        await submit(store, "job-0001")
        (job,) = await claim(store, at=21.5)
        assert (job.status, job.fence, job.attempt, job.seq, job.started_at) == ("running", 1, 1, 2, 21.5)
        assert await store.job(OWNER, "job-0001") == job
        assert (await log_of(store))[1] == Attempt(seq=2, attempt=1, at=21.5)
        assert await claim(store) == []

    async def test_claim_takes_interactive_before_bulk_and_old_before_new(self, store: Store) -> None:
        for job_id, priority in (("job-0001", "bulk"), ("job-0002", "interactive"), ("job-0003", "interactive")):
            await submit(store, job_id, priority=priority)
        assert [job.id for job in await claim(store, limit=2)] == ["job-0002", "job-0003"]
        assert [job.id for job in await claim(store)] == ["job-0001"]

    async def test_server_claims_its_own_jobs_only(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        await submit(store, "job-0002")
        assert [job.id for job in await claim(store)] == ["job-0002"]
        assert [job.id for job in await claim(store, server=THERE)] == ["job-0001"]

    async def test_waiting_job_is_claimed_when_due(self, store: Store) -> None:
        job = await running(store)
        await append(
            store, job, [*text_deltas("a"), Waiting(at=30.0, until=40.0, code="rate_limited", message="Later.")]
        )
        waiting = await store.job(OWNER, job.id)
        assert (waiting.status, waiting.not_before) == ("waiting", 40.0)
        with pytest.raises(IllegalEventError):
            await append(store, job, text_deltas("b"))
        assert await claim(store, at=39.9) == []
        (again,) = await claim(store, at=40.0)
        assert (again.status, again.not_before, again.attempt, again.fence) == ("running", None, 2, 2)
        assert [event.attempt for event in await log_of(store)] == [0, 1, 1, 1, 2]

    async def test_job_waits_for_predecessor_in_thread(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t")
        await submit(store, "job-0002", thread="t")
        assert [job.id for job in await claim(store)] == ["job-0001"]
        assert await claim(store) == []
        await store.end(OWNER, "job-0001", Failed(at=30.0, code="internal", message="No."))
        assert [job.id for job in await claim(store)] == ["job-0002"]

    async def test_job_waits_for_all_predecessors_in_thread(self, store: Store) -> None:
        for number in (1, 2, 3):
            await submit(store, f"job-000{number}", thread="t")
        await submit(store, "job-0004", thread="other")
        assert [job.id for job in await claim(store)] == ["job-0001", "job-0004"]
        await store.end(OWNER, "job-0002", Cancelled(at=30.0))
        assert await claim(store) == []
        await store.end(OWNER, "job-0001", Failed(at=30.0, code="internal", message="No."))
        assert [job.id for job in await claim(store)] == ["job-0003"]

    async def test_deleted_predecessor_blocks_no_job(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await submit(store, "job-0002", thread="t")
        await store.delete(OWNER, "job-0001")
        (job,) = await claim(store)
        assert (job.id, job.previous) == ("job-0002", None)

    async def test_deleted_turn_leaves_no_gap_in_thread(self, store: Store) -> None:
        for owner in ("bob", OWNER):
            for number in (1, 2, 3):
                await ended(store, f"job-{number:04}", thread="t", owner=owner)
            await submit(store, "job-0004", thread="t", owner=owner)
            await submit(store, "job-0005", thread="t", owner=owner)
        await store.delete(OWNER, "job-0003")
        await store.delete(OWNER, "job-0002")
        assert [(job.owner, job.id, job.previous) for job in await claim(store)] == [(OWNER, "job-0004", "job-0001")]
        assert (await store.job(OWNER, "job-0005")).previous == "job-0004"
        assert (await store.job("bob", "job-0004")).previous == "job-0003"
        await store.delete(OWNER, "job-0001")
        assert (await store.job(OWNER, "job-0004")).previous is None

    async def test_job_behind_deleted_turn_waits_for_earlier_running_job(self, store: Store) -> None:
        for number in (1, 2, 3):
            await submit(store, f"job-{number:04}", thread="t")
        assert [job.id for job in await claim(store)] == ["job-0001"]
        await store.end(OWNER, "job-0002", Cancelled(at=30.0))
        await store.delete(OWNER, "job-0002")
        assert await claim(store) == []
        await store.end(OWNER, "job-0001", DONE)
        assert [job.id for job in await claim(store)] == ["job-0003"]

    async def test_resubmitted_id_waits_in_thread_and_blocks_no_earlier_job(self, store: Store) -> None:
        await ended(store, "job-0001", thread="t")
        await ended(store, "job-0002", thread="t")
        await submit(store, "job-0003", thread="t")
        await store.delete(OWNER, "job-0002")
        again = await submit(store, "job-0002", thread="t")
        assert again.previous == "job-0003"
        assert [(job.id, job.previous) for job in await claim(store)] == [("job-0003", "job-0001")]
        assert await claim(store) == []
        await store.end(OWNER, "job-0003", DONE)
        assert [job.id for job in await claim(store)] == ["job-0002"]

    async def test_history_is_stored_with_job(self, store: Store) -> None:
        job = await running(store)
        history = (Message(role="user", content="Hello"), Message(role="assistant", content="Hello yourself"))
        frozen = await store.set_history(job, history)
        assert (frozen.history, frozen.spec, frozen.seq) == (history, job.spec, job.seq)
        await append(store, job, text_deltas("a"))
        assert (await store.job(OWNER, job.id)).history == history

    async def test_fenced_writer_sets_no_history(self, store: Store) -> None:
        job = await running(store)
        await store.end(OWNER, job.id, DONE)
        with pytest.raises(FencedError):
            await store.set_history(job, (Message(role="user", content="Hello"),))
        assert (await store.job(OWNER, job.id)).history == ()
