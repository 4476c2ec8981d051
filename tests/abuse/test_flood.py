"""A notebook that submits many jobs: they run in order, excess jobs get 429, and a kernel stays responsive."""

from __future__ import annotations

from pathlib import Path

from abuse.flooding import flood, quantile
from abuse.watched import watched

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider
from jupyter_bgstream.testing.scripts import answer

JOBS = 1000  # benchmarks/abuse.py has 10,000
AT_A_TIME = 8
BYTES_PER_JOB = 5000  # that may stay: nothing of a job is kept in memory but what the allocator keeps


async def test_flood_of_jobs_is_served_in_order_beside_kernel(tmp_path: Path) -> None:
    scripts = {"held": answer("It is done.", hold_after=1)}
    with (
        ScriptedProvider(scripts).in_thread() as provider,
        watched(tmp_path, provider, max_queued=JOBS, max_running=AT_A_TIME) as server,
    ):
        found = await flood(server, provider, JOBS)
    print(found)
    assert found.completed == JOBS
    assert found.refused[:2] == (429, "queue_full")
    assert int(found.refused[2] or 0) > 0
    assert found.disorder < AT_A_TIME  # requests of jobs that were claimed together race to the provider
    assert found.grown * 1e6 < 16e6 + JOBS * BYTES_PER_JOB
    assert quantile(found.contents, 0.99) < 1.0
    assert quantile(found.kernel, 0.99) < 1.0
