"""Contract tests: adoption of jobs of dead servers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from store.factories import (
    DONE,
    HERE,
    OWNER,
    THERE,
    append,
    claim,
    log_of,
    submit,
    take,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    FencedError,
)
from jupyter_bgstream.core.events import Attempt, Cancelled, Waiting
from jupyter_bgstream.store.port_values import Capacity
from jupyter_bgstream.store.ports.store import Store

BUSY = Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")
DIED = Waiting(at=30.0, until=30.0, code="server_died", message="It died.")


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
        assert (change.kind, change.subject, change.status, change.seq) == ("job", job.id, "queued", 1)

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
