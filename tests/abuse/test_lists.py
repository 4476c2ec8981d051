"""The memory for a list of jobs does not depend on their prompts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from abuse.watched import caller, follow, memory, submit, watched

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider
from jupyter_bgstream.testing.scripts import answer

JOBS = 100
PROMPT = "word " * 90_000  # 450 kB: 45 MB in all
SLACK_MB = 20.0


async def test_list_of_jobs_does_not_read_prompts(tmp_path: Path) -> None:
    with ScriptedProvider({"quick": answer("ok")}).in_thread() as provider, watched(tmp_path, provider) as server:
        async with caller(server) as client:
            for _ in range(JOBS):
                await follow(client, await submit(client, "quick", prompt=PROMPT))
            before = peak = memory(server)
            listing = asyncio.create_task(client.get("jobs", params={"limit": str(JOBS)}))
            while not listing.done():
                await asyncio.sleep(0.002)
                peak = max(peak, memory(server))
            assert len((await listing).json()["jobs"]) == JOBS
    print(f"+{peak - before:.1f} MB for {len(listing.result().content) / 1e3:.0f} kB of answer")
    assert peak - before < SLACK_MB
