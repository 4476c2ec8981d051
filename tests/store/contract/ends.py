"""Contract tests: ends and deletion of jobs."""

from __future__ import annotations

import asyncio

import pytest
from store.factories import (
    ALL,
    DONE,
    OWNER,
    THERE,
    anew,
    append,
    claim,
    ended,
    log_of,
    running,
    submit,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    ConflictError,
    FencedError,
    IllegalEventError,
    NotFoundError,
)
from jupyter_bgstream.core.events import Cancelled, Delta, Failed, Interrupted, Waiting
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.store.ports.store import Store


class EndContract:
    """Ends: the first one wins and creates one notice; and deletion."""

    async def test_second_end_changes_nothing(self, store: Store) -> None:
        job = await running(store)
        first, won = await store.end(OWNER, job.id, DONE, fence=job.fence)
        assert won
        assert (first.status, first.ended_at, first.finish_reason, first.seq) == ("completed", 50.0, "stop", 3)
        for late in (Cancelled(at=60.0), Failed(at=60.0, code="internal", message="No."), DONE):
            assert await store.end(OWNER, job.id, late) == (first, False)
            assert await store.end(OWNER, job.id, late, fence=0) == (first, False)
        assert len(await log_of(store)) == 3
        assert len(await store.notices(OWNER, "")) == 1

    async def test_one_of_concurrent_ends_wins(self, store: Store) -> None:
        job = await running(store)
        results = await asyncio.gather(*(store.end(OWNER, job.id, Cancelled(at=float(n))) for n in range(30, 40)))
        assert sum(won for _, won in results) == 1
        assert len({job.ended_at for job, _ in results}) == 1

    async def test_end_with_old_fence_is_refused(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [Waiting(at=30.0, until=31.0, code="rate_limited", message="Later.")])
        await claim(store, at=32.0)
        with pytest.raises(FencedError):
            await store.end(OWNER, job.id, DONE, fence=job.fence)
        ended_job, won = await store.end(OWNER, job.id, Interrupted(at=40.0, code="server_died", message="Dead."))
        assert won
        assert ended_job.error == ErrorInfo(code="server_died", message="Dead.")

    async def test_end_with_log_ends_only_that_log(self, store: Store) -> None:
        old, new = await anew(store)
        late = Interrupted(at=40.0, code="server_died", message="Dead.")
        for fence in (None, old.fence):
            with pytest.raises(NotFoundError):
                await store.end(OWNER, old.id, late, fence=fence, log=old.log)
        assert await store.job(OWNER, new.id) == new
        assert await store.notices(OWNER, "") == []
        ended_job, won = await store.end(OWNER, new.id, DONE, fence=new.fence, log=new.log)
        assert (won, ended_job.status) == (True, "completed")
        assert await store.end(OWNER, new.id, late, log=new.log) == (ended_job, False)
        with pytest.raises(NotFoundError):
            await store.end(OWNER, old.id, late, log=old.log)
        assert await store.job(OWNER, new.id) == ended_job

    async def test_illegal_end_is_refused(self, store: Store) -> None:
        await submit(store, "job-0001")
        with pytest.raises(IllegalEventError):
            await store.end(OWNER, "job-0001", DONE)
        with pytest.raises(IllegalEventError):
            await store.end(OWNER, "job-0001", Delta(channel="text", text="no end"))
        assert (await store.job(OWNER, "job-0001")).status == "queued"
        assert (await store.end(OWNER, "job-0001", Cancelled(at=30.0)))[1]

    async def test_end_creates_unread_notice(self, store: Store) -> None:
        source = JobSource(notebook="n.ipynb", cell="c")
        job = await running(store, title="Sky", source=source)
        await append(store, job, text_deltas("It is"), preview="It is")
        await store.end(OWNER, job.id, DONE)
        (notice,) = await store.notices(OWNER, "")
        assert (notice.job, notice.owner, notice.status, notice.title) == (job.id, OWNER, "completed", "Sky")
        assert (notice.preview, notice.source, notice.created_at, notice.read_at) == ("It is", source, 50.0, None)

    async def test_cancelled_job_creates_no_notice(self, store: Store) -> None:
        await ended(store, end=Cancelled(at=30.0))
        assert await store.notices(OWNER, "") == []

    async def test_unfinished_job_is_not_deleted(self, store: Store) -> None:
        await submit(store, "job-0001")
        with pytest.raises(ConflictError):
            await store.delete(OWNER, "job-0001")
        with pytest.raises(NotFoundError):
            await store.delete(OWNER, "job-0002")

    async def test_deletion_removes_job_log_and_notice(self, store: Store) -> None:
        job = await ended(store)
        kept = await ended(store, "job-0002")
        await store.delete(OWNER, "job-0001")
        for refused in (
            store.job(OWNER, "job-0001"),
            store.events(job, after=0, max_bytes=ALL),
            store.end(OWNER, "job-0001", DONE),
            store.delete(OWNER, "job-0001"),
        ):
            with pytest.raises(NotFoundError):
                await refused
        assert [notice.job for notice in await store.notices(OWNER, "")] == [kept.id]
        assert len(await log_of(store, "job-0002")) == 3

    async def test_deleted_id_can_be_reused_with_new_log(self, store: Store) -> None:
        await ended(store)
        await store.delete(OWNER, "job-0001")
        await submit(store, "job-0001", prompt="Something else")
        assert [event.seq for event in await log_of(store)] == [1]

    async def test_patience_can_be_lowered_at_any_time(self, store: Store) -> None:
        assert store.patience > 2.0
        job = await running(store)
        store.patience = 2.0
        assert await append(store, job, text_deltas("a")) == 3
        assert store.patience == 2.0

    async def test_unfinished_jobs_of_dead_servers_are_abandoned(self, store: Store) -> None:
        await submit(store, "job-0001", server=THERE)
        await submit(store, "job-0002", server=THERE, owner="bob")
        await submit(store, "job-0003", server=THERE)
        await running(store, "job-0004")
        await store.end(OWNER, "job-0003", Cancelled(at=30.0))
        assert [job.id for job in await store.abandoned_jobs(owner=None, limit=99)] == ["job-0001", "job-0002"]
