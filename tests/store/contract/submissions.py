"""Contract tests: submitted jobs, and malformed ids."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from store.factories import (
    ALL,
    DONE,
    OWNER,
    ended,
    ids_of,
    new_job,
    running,
    submit,
)

from jupyter_bgstream.core.errors import (
    ConflictError,
    NotFoundError,
    QueueFullError,
)
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.store.ports.store import Store


class SubmitContract:
    """Submission: idempotent by id, limited by the queue, ordered in a thread."""

    async def test_submitted_job_is_queued_in_state_and_log(self, store: Store) -> None:
        asked = new_job("job-0001", params={"temperature": 0}, tags=("a",), source=JobSource(notebook="n.ipynb"))
        job, new = await store.submit(asked, max_queued=10)
        assert new
        assert (job.status, job.seq, job.attempt, job.fence, job.spec) == ("queued", 1, 0, 0, asked.spec)
        assert await store.job(OWNER, "job-0001") == job
        assert await store.events(job, after=0, max_bytes=ALL) == [b'{"seq":1,"attempt":0,"type":"queued","at":10.0}']

    async def test_repeated_submit_returns_same_job(self, store: Store) -> None:
        first = await submit(store, "job-0001")
        again = new_job("job-0001", created_at=99.0, title="another title")
        assert await store.submit(again, max_queued=1) == (first, False)

    @pytest.mark.parametrize(
        "other", [{"prompt": "Why?"}, {"model": "open/big"}, {"thread": "t"}, {"params": {"n": 2}}]
    )
    async def test_same_id_with_other_request_is_refused(self, store: Store, other: dict[str, Any]) -> None:
        job = await submit(store, "job-0001")
        with pytest.raises(ConflictError):
            await submit(store, "job-0001", **other)
        assert await store.job(OWNER, "job-0001") == job

    async def test_unfinished_jobs_of_owner_are_limited(self, store: Store) -> None:
        await ended(store, "job-0001")
        await running(store, "job-0002")
        await submit(store, "job-0003")
        await submit(store, "job-0004", owner="bob")
        with pytest.raises(QueueFullError):
            await store.submit(new_job("job-0005"), max_queued=2)
        with pytest.raises(NotFoundError):
            await store.job(OWNER, "job-0005")
        assert (await store.submit(new_job("job-0005"), max_queued=3))[1]

    async def test_queue_limit_holds_for_concurrent_submits(self, store: Store) -> None:
        tries = [store.submit(new_job(f"job-{n:04}"), max_queued=3) for n in range(8)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, QueueFullError) for result in results) == 5
        assert await store.counts(OWNER) == {"queued": 3}

    async def test_job_follows_newest_job_of_its_thread(self, store: Store) -> None:
        assert (await submit(store, "job-0001", thread="t")).previous is None
        await submit(store, "job-0002", thread="other")
        await submit(store, "job-0003", thread="t", owner="bob")
        assert (await submit(store, "job-0004", thread="t")).previous == "job-0001"
        assert (await submit(store, "job-0005", thread="t")).previous == "job-0004"
        assert (await submit(store, "job-0006")).previous is None

    async def test_owner_does_not_see_jobs_of_others(self, store: Store) -> None:
        job = await running(store)
        await store.end(OWNER, job.id, DONE)
        (notice,) = await store.notices(OWNER, "")
        for refused in (
            store.job("bob", job.id),
            store.events(msgspec.structs.replace(job, owner="bob"), after=0, max_bytes=ALL),
            store.end("bob", job.id, Cancelled(at=1.0)),
            store.delete("bob", job.id),
            store.mark_seen("bob", "", job.id, seq=9, at=1.0),
            store.dismiss("bob", "", notice.id, at=60.0),
        ):
            with pytest.raises(NotFoundError):
                await refused
        await store.mark_read("bob", "", ids=[notice.id], at=1.0)
        assert await store.notices(OWNER, "") == [notice]
        assert await store.notices("bob", "") == []
        assert await store.counts("bob") == {}
        assert await ids_of(store, "bob") == []

    async def test_same_id_of_two_owners_is_two_jobs(self, store: Store) -> None:
        await submit(store, "job-0001", prompt="one")
        await submit(store, "job-0001", prompt="two", owner="bob")
        assert (await store.job(OWNER, "job-0001")).spec.title == "one"
        assert (await store.job("bob", "job-0001")).spec.title == "two"


class IdContract:
    """Malformed ids."""

    @pytest.mark.parametrize("id", ["", "a b", "\0", "\ud800", "x" * 65])
    async def test_malformed_id_is_not_found(self, store: Store, id: str) -> None:
        await submit(store, "job-0001")
        for call in (
            lambda: store.job(OWNER, id),
            lambda: store.end(OWNER, id, DONE),
            lambda: store.delete(OWNER, id),
            lambda: store.image(OWNER, "job-0001", id),
            lambda: store.batch(OWNER, id),
            lambda: store.progress(OWNER, id),
            lambda: store.resume_batch(OWNER, id),
            lambda: store.dismiss(OWNER, "", id, at=1.0),
        ):
            with pytest.raises(NotFoundError):
                await call()
