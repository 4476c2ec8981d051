"""Contract tests: capacity of claims, and due times."""

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
    running,
    submit,
    text_deltas,
)

from jupyter_bgstream.core.errors import (
    FencedError,
)
from jupyter_bgstream.core.events import Attempt, Cancelled, Waiting
from jupyter_bgstream.core.state import ErrorInfo
from jupyter_bgstream.store.port_values import Capacity
from jupyter_bgstream.store.ports.store import Store
from jupyter_bgstream.store.transitions import FARTHEST

BUSY = Waiting(at=30.0, until=40.0, code="rate_limited", message="Busy.")


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
