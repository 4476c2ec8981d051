"""A cancel told to one server reaches the provider's socket on another within 100 ms, while both are busy."""

from __future__ import annotations

import statistics
from pathlib import Path

from abuse.cancelling import cancels, two_servers

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider
from jupyter_bgstream.testing.scripts import answer

CANCELS = 20


async def test_a_cancel_takes_effect_on_the_other_server(tmp_path: Path) -> None:
    scripts = {"drip": answer([f"{n} " for n in range(10_000)], pace=0.02)}
    with ScriptedProvider(scripts).in_thread() as provider, two_servers(tmp_path, provider) as (one, two):
        found = sorted(await cancels(one, two, provider, CANCELS))
    print([round(seconds * 1e3) for seconds in found], "ms")
    assert statistics.median(found) < 0.1
