"""A cancel sent to one server closes the provider's connection of another one within 100 ms under load."""

from __future__ import annotations

import statistics
from pathlib import Path

from abuse.cancelling import cancels, two_servers

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider
from jupyter_bgstream.testing.scripts import answer

CANCELS = 20


async def test_cancel_reaches_provider_of_other_server_quickly(tmp_path: Path) -> None:
    scripts = {"drip": answer([f"{n} " for n in range(10_000)], pace=0.02)}
    with ScriptedProvider(scripts).in_thread() as provider, two_servers(tmp_path, provider) as (one, two):
        found = sorted(await cancels(one, two, provider, CANCELS))
    print([round(seconds * 1e3) for seconds in found], "ms")
    assert statistics.median(found) < 0.1
