"""Contract tests of stores: costs; a part of StoreContract."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from store.factories import OWNER, append, running, submit

from jupyter_bgstream.core.costs import By, CostRow
from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.store import cost_ledger
from jupyter_bgstream.store.ports.store import Store

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
HOUR = 3600.0
BYS: tuple[By, ...] = ("day", "model", "thread", "notebook", "batch", "submitted_by")


def _set_zone() -> None:
    if hasattr(time, "tzset"):
        time.tzset()


async def _paid(store: Store, job_id: str, usage: Usage | None, *, at: float = NOON, **fields: Any) -> None:
    job = await running(store, job_id, created_at=at, **fields)
    if usage is not None:
        await append(store, job, [usage])
    await store.end(job.owner, job.id, Completed(at=at + 1, finish_reason="stop"))


def _spent(
    key: str | None, jobs: int, tokens: tuple[int | None, int | None], usd: float | None, **more: bool
) -> CostRow:
    given, answered = tokens
    return CostRow(
        key=key, jobs=jobs, input_tokens=given, output_tokens=answered, usd=usd, estimated=more.get("estimated", False)
    )


class CostContract:
    """Costs: sums by six keys, which outlast deleted jobs."""

    @pytest.fixture(autouse=True)
    def zone(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Put this process into a time zone, UTC or the test's."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", getattr(request, "param", "UTC"))
            _set_zone()
            yield
        _set_zone()

    async def fill(self, store: Store) -> None:
        """Run jobs of two submitters on two days."""
        cheap = Usage(input_tokens=10, output_tokens=20, cost=0.25, cost_estimated=True)
        dear = Usage(input_tokens=100, cost=4.0)
        await _paid(store, "job-0001", cheap, model="a/one", thread="t", batch="g", submitted_by="bob")
        await _paid(store, "job-0002", cheap, model="a/one", source=JobSource(notebook="n.ipynb"))
        await _paid(store, "job-0003", dear, model="b/two", thread="t", submitted_by="eve", at=NOON + 24 * HOUR)
        await _paid(store, "job-0004", Usage(output_tokens=5), model="c/local", at=NOON + 24 * HOUR)
        await _paid(store, "job-0005", None, model="d/failed")
        await submit(store, "job-0006", model="d/queued", created_at=NOON)
        await _paid(store, "job-0001", Usage(cost=99.0), owner="grace")

    async def test_costs_are_summed(self, store: Store) -> None:
        await self.fill(store)
        assert await store.costs(OWNER, "day") == [
            _spent("2023-11-16", 2, (100, 5), 4.0),
            _spent("2023-11-15", 2, (20, 40), 0.5, estimated=True),
        ]
        assert await store.costs(OWNER, "model") == [
            _spent("b/two", 1, (100, None), 4.0),
            _spent("a/one", 2, (20, 40), 0.5, estimated=True),
            _spent("c/local", 1, (None, 5), None),
        ]
        assert await store.costs(OWNER, "thread") == [
            _spent("t", 2, (110, 20), 4.25, estimated=True),
            _spent(None, 2, (10, 25), 0.25, estimated=True),
        ]
        assert await store.costs(OWNER, "notebook") == [
            _spent(None, 3, (110, 25), 4.25, estimated=True),
            _spent("n.ipynb", 1, (10, 20), 0.25, estimated=True),
        ]
        assert await store.costs(OWNER, "batch") == [
            _spent(None, 3, (110, 25), 4.25, estimated=True),
            _spent("g", 1, (10, 20), 0.25, estimated=True),
        ]
        assert await store.costs(OWNER, "submitted_by") == [
            _spent("eve", 1, (100, None), 4.0),
            _spent("bob", 1, (10, 20), 0.25, estimated=True),
            _spent(None, 2, (10, 25), 0.25, estimated=True),
        ]
        assert await store.costs("eve", "day") == []

    @pytest.mark.parametrize("by", BYS)
    async def test_costs_outlast_deleted_job(self, store: Store, by: By) -> None:
        await self.fill(store)
        before = await store.costs(OWNER, by)
        for n in (1, 2, 3, 4, 5):
            await store.delete(OWNER, f"job-000{n}")
        after = await store.costs(OWNER, by)
        if by in ("day", "model"):
            assert after == before
        else:  # the names that a user gave are forgotten
            assert after == [_spent(None, 4, (120, 45), 4.5, estimated=True)]
        again = Usage(input_tokens=1, cost=0.5)
        await _paid(store, "job-0001", again, model="b/two", at=NOON + 24 * HOUR)
        await store.delete(OWNER, "job-0001")
        assert sum(row.usd or 0.0 for row in await store.costs(OWNER, by)) == 5.0
        assert sum(row.jobs for row in await store.costs(OWNER, by)) == 5

    @pytest.mark.parametrize("gone", [False, True])
    async def test_start_of_costs_is_rounded_to_quarter_hour(self, store: Store, gone: bool) -> None:
        await _paid(store, "job-0001", Usage(cost=1.0), at=NOON + 899.5)
        await _paid(store, "job-0002", Usage(cost=2.0), at=NOON + 900.0)
        if gone:
            await store.delete(OWNER, "job-0001")
            await store.delete(OWNER, "job-0002")

        async def usd(since: float | None, until: float | None) -> float:
            return sum(row.usd or 0.0 for row in await store.costs(OWNER, "day", since=since, until=until))

        assert await usd(NOON, NOON + 900) == 1.0
        assert await usd(NOON + 450, NOON + 451) == 1.0
        assert await usd(NOON + 900, None) == 2.0
        assert await usd(NOON + 899, NOON + 901) == 3.0
        assert await usd(None, NOON) == 0.0

    @pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process is POSIX")
    @pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns"], indirect=True)
    @pytest.mark.parametrize("gone", [False, True])
    async def test_day_of_costs_is_in_time_zone_of_server(self, store: Store, gone: bool) -> None:
        midnight = time.mktime((2023, 11, 16, 0, 0, 0, 0, 0, -1))
        await _paid(store, "job-0001", Usage(cost=1.0), at=midnight - 1)
        await _paid(store, "job-0002", Usage(cost=2.0), at=midnight)
        if gone:
            await store.delete(OWNER, "job-0001")
            await store.delete(OWNER, "job-0002")
        rows = {row.key: row.usd for row in await store.costs(OWNER, "day")}
        assert rows == {"2023-11-15": 1.0, "2023-11-16": 2.0}

    async def test_unfinished_job_is_in_costs(self, store: Store) -> None:
        job = await running(store, created_at=NOON)
        await append(store, job, [Usage(input_tokens=3, cost=0.5)])
        assert await store.costs(OWNER, "day") == [_spent("2023-11-15", 1, (3, None), 0.5)]

    async def test_rows_of_costs_are_bounded(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cost_ledger, "MOST", 3)
        for n in range(5):
            await _paid(store, f"job-{n:04}", Usage(cost=float(n)), thread=f"t{n}", at=NOON + n * 24 * HOUR)
        assert [row.usd for row in await store.costs(OWNER, "thread")] == [4.0, 3.0, 2.0]
        assert [row.key for row in await store.costs(OWNER, "day")] == ["2023-11-19", "2023-11-18", "2023-11-17"]
