"""What a notebook that floods the service does to the kernels beside it, and how soon a cancel crosses servers.

    python -m benchmarks.abuse [jobs]

The flood: so many jobs (10,000) as fast as one notebook can submit them, against a real Jupyter server, while a person
lists files and runs cells. The cancels: 100, each told to one server and run by another, while each streams 20 jobs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from abuse.cancelling import cancels, two_servers
from abuse.flooding import flood, quantiles
from abuse.watched import watched

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider
from jupyter_bgstream.testing.scripts import answer

SCRIPTS = {
    "held": answer("It is done.", hold_after=1),
    "drip": answer([f"{n} " for n in range(10_000)], pace=0.02),
}


def main() -> None:
    jobs = int((sys.argv[1:] or ["10000"])[0])
    with (
        ScriptedProvider(SCRIPTS).in_thread() as provider,
        tempfile.TemporaryDirectory() as home,
        watched(Path(home), provider, max_queued=jobs, max_running=20) as server,
    ):
        print(f"flood: {asyncio.run(flood(server, provider, jobs))}")
    with (
        ScriptedProvider(SCRIPTS).in_thread() as provider,
        tempfile.TemporaryDirectory() as home,
        two_servers(Path(home), provider) as (one, two),
    ):
        print(f"cancels across servers: {quantiles(asyncio.run(cancels(one, two, provider, 100)))}")


if __name__ == "__main__":
    main()
