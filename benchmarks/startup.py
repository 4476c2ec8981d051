"""What the extension adds to a Jupyter server's start, beside a start without it.

    python benchmarks/startup.py [rounds]

Prints milliseconds from the process's start to the first answer of GET api/status, median of the rounds, alternating.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness.jupyter import free_port


def start(with_us: bool) -> float:
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        config = Path(home, "config.json")
        server = {"port": port, "open_browser": False, "allow_root": True, "root_dir": home, "log_level": "ERROR"}
        # Nothing but us or nothing at all, so that the difference is ours.
        server["jpserver_extensions"] = {
            "jupyter_bgstream": with_us, "jupyterlab": False, "notebook": False, "notebook_shim": False,
            "jupyter_lsp": False, "jupyter_server_terminals": False,
        }  # fmt: skip
        config.write_text(json.dumps({"ServerApp": server, "IdentityProvider": {"token": "t"}}))
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", f"--config={config}"],
            env={"HOME": home, "PATH": "/usr/bin:/bin", "JUPYTER_PLATFORM_DIRS": "1"},
            stderr=subprocess.DEVNULL,
        )
        path = "api/bgstream/status" if with_us else "api/status"
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}?token=t").read()
                    return (time.perf_counter() - began) * 1000
                except urllib.error.URLError:  # not up yet, or 503 while we open the store
                    time.sleep(0.002)
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    start(True), start(False)  # warm the caches
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for with_us in (False, True):
            times[with_us].append(start(with_us))
    without, with_us = (statistics.median(times[key]) for key in (False, True))
    print(f"server alone        {without:7.0f} ms")
    print(f"with the extension  {with_us:7.0f} ms   +{with_us - without:.0f} ms, ratio {with_us / without:.2f}")


if __name__ == "__main__":
    main()
