"""Contract tests of stores: submitters of jobs; a part of StoreContract."""

from __future__ import annotations

import msgspec
from store.factories import FAILED, HERE, OWNER, append, claim, ended, ids_of, new_job, running, submit, text_deltas

from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.events import Cancelled, Waiting
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.port_values import JobFilter
from jupyter_bgstream.store.ports.store import Store

BATCH = "batch-0001"


def _batch() -> Batch:
    return Batch(spec=BatchSpec(id=BATCH, total=2), owner=OWNER, total=2, created_at=10.0)


class SubmitterContract:
    """``submitted_by`` is set by the submit and by nothing else."""

    async def test_submitter_is_stored_and_listed(self, store: Store) -> None:
        job = await submit(store, "job-0001", submitted_by="Zoë 🌤")
        assert job.submitted_by == "Zoë 🌤"
        assert await store.job(OWNER, job.id) == job
        (listed,), _ = await store.jobs(OWNER, JobFilter())
        assert listed.submitted_by == "Zoë 🌤"
        assert (await submit(store, "job-0002")).submitted_by is None

    async def test_repeated_submit_keeps_first_submitter(self, store: Store) -> None:
        first = await submit(store, "job-0001", submitted_by="bob")
        for other in ("eve", None):
            assert await store.submit(new_job("job-0001", submitted_by=other), max_queued=9) == (first, False)
        assert (await store.job(OWNER, first.id)).submitted_by == "bob"

    async def test_life_of_job_keeps_submitter(self, store: Store) -> None:
        job = await running(store, submitted_by="bob")
        job = await store.set_history(job, (Message(role="user", content="Before?"),))
        await append(store, job, text_deltas("a"))
        waiting = Waiting(at=30.0, until=31.0, code="server_died", message="Later.")
        assert (await store.adopt(job, server=HERE, event=waiting)).submitted_by == "bob"
        (job,) = await claim(store, at=40.0)
        assert job.submitted_by == "bob"
        await store.end(OWNER, job.id, FAILED)
        assert (await store.job(OWNER, job.id)).submitted_by == "bob"

    async def test_retry_has_its_own_submitter(self, store: Store) -> None:
        first = await ended(store, end=FAILED, submitted_by="bob")
        again = msgspec.structs.replace(new_job("job-0002", submitted_by="eve"), spec=first.spec, retry_of=first.id)
        await store.submit(again, max_queued=9)
        repeated = msgspec.structs.replace(again, id="job-0003", submitted_by="bob")
        stored, new = await store.submit(repeated, max_queued=9)
        assert (stored.id, stored.submitted_by, new) == ("job-0002", "eve", False)
        assert (await store.job(OWNER, first.id)).submitted_by == "bob"

    async def test_repeated_batch_keeps_first_submitters(self, store: Store) -> None:
        for names in (("bob", None), ("eve", "eve")):
            jobs = [new_job(f"job-000{n}", batch=BATCH, submitted_by=name) for n, name in enumerate(names)]
            await store.submit_batch(_batch(), jobs, max_queued=9)
        assert [(await store.job(OWNER, f"job-000{n}")).submitted_by for n in range(2)] == ["bob", None]

    async def test_retried_batch_has_its_own_submitter(self, store: Store) -> None:
        jobs = [new_job(f"job-000{n}", batch=BATCH, submitted_by="bob") for n in range(2)]
        await store.submit_batch(_batch(), jobs, max_queued=9)
        for job in jobs:
            await store.end(OWNER, job.id, Cancelled(at=30.0))
        await store.retry_batch(
            OWNER, BATCH, server=HERE, at=70.0, limit=9, max_queued=9, span=None, submitted_by="eve"
        )
        found, _ = await store.jobs(OWNER, JobFilter(batch=BATCH, status="queued"))
        assert [job.submitted_by for job in found] == ["eve", "eve"]

    async def test_filter_finds_jobs_of_submitter(self, store: Store) -> None:
        await submit(store, "job-0001", submitted_by="bob", thread="t")
        await submit(store, "job-0002", submitted_by="eve", thread="t")
        await submit(store, "job-0003", submitted_by="bob")
        await submit(store, "job-0004")
        await submit(store, "job-0005", submitted_by="bob", owner="grace")
        assert await ids_of(store, submitted_by="bob") == ["job-0003", "job-0001"]
        assert await ids_of(store, submitted_by="bob", thread="t") == ["job-0001"]
        assert await ids_of(store, submitted_by="BOB") == []
        assert await ids_of(store, submitted_by="") == []
