"""What the client costs a kernel, in milliseconds and beside what IPython costs anyway.

    python benchmarks/imports.py [RUNS]

Each number is the median of fresh processes, taken in turn after a first one that warms the disk cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

KERNEL = "import IPython, ipykernel.ipkernel, ipykernel.zmqshell"
CASES = {
    "IPython itself": ("pass", "import IPython"),
    "client, in a kernel": (KERNEL, "import jupyter_bgstream.client"),
    "magics, in a kernel": (KERNEL, "import jupyter_bgstream.client.magics"),
    "first request (httpx), in a kernel": (
        f"{KERNEL}; import jupyter_bgstream.client",
        "import jupyter_bgstream.client.rest_client",
    ),
    "client, in a bare script": ("pass", "import jupyter_bgstream.client"),
}
TARGET = 60.0  # milliseconds, of the client in a kernel


def milliseconds(before: str, measured: str) -> float:
    code = (
        f"{before}\nimport time\nstart = time.perf_counter()\n{measured}\nprint((time.perf_counter() - start) * 1000)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main(runs: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(runs + 1):
        for name, case in CASES.items():
            spent = milliseconds(*case)
            if number:
                taken[name].append(spent)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    whole = medians["IPython itself"]
    for name, median in medians.items():
        print(f"{name:36} {median:7.1f} ms   {median / whole:5.2f} x IPython   (slowest {max(taken[name]):.1f} ms)")
    verdict = "within" if medians["client, in a kernel"] < TARGET else "OVER"
    print(f"The client in a kernel is {verdict} its {TARGET:g} ms.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
