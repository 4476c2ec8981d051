"""Ten thousand rows of a table, with kernel and server killed in the middle and the cell run again.

    python -m benchmarks.map [rows]

A real Jupyter server on a database of its own, real kernels, a provider that answers at once. Meanwhile it is asked
again and again how far the batch is, and for a small thing of Jupyter's own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from batch.killed import run_and_kill


def main() -> None:
    rows = int((sys.argv[1:] or ["10000"])[0])
    with tempfile.TemporaryDirectory() as home:
        print(run_and_kill(Path(home), rows=rows))


if __name__ == "__main__":
    main()
