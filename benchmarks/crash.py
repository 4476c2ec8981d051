"""Kills real servers under load, many times, and says what was found.

    python -m benchmarks.crash [--rounds N] [--seed S] [--servers 1|2]

A round is one database with 30 jobs, on which servers are killed (``kill -9``) or stopped ``--deaths`` times before the
last ones run every job to its end; every third round has two servers. All laws of ``tests/crash/laws.py`` are checked
after each restart and at the end. A round that breaks one prints its seed; ``--rounds 1 --seed S --servers N`` plays it
again, with the same jobs, answers and moments, as far as two processes and a clock allow.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from crash.world import World


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", type=int, choices=(1, 2), help="by default every third round has two")
    parser.add_argument("--deaths", type=int, default=8)
    asked = parser.parse_args()
    total: Counter[str] = Counter()
    broken = []
    began = time.monotonic()
    for seed in range(asked.seed, asked.seed + asked.rounds):
        servers = asked.servers or (2 if seed % 3 == 0 else 1)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            world = World(seed, Path(home), names=("a", "b")[:servers], deaths=asked.deaths)
            try:
                asyncio.run(world.run())
            except Exception:
                broken.append(seed)
                print(f"--seed {seed} --servers {servers} breaks a law:\n{traceback.format_exc()}", flush=True)
        total += world.figures.counts
        print(f"seed {seed}, {servers} server(s): {world.figures}", flush=True)
    print(f"\nIn {time.monotonic() - began:.0f} s:")
    for name, count in sorted(total.items()):
        print(f"{count:8}  {name}")
    print(f"{len(broken):8}  rounds that broke a law{f', with seeds {broken}' if broken else ''}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
