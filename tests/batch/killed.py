"""A batch whose kernel and server are killed in the middle, and whose cell is then run again."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from client.conftest import Kernel
from harness.jupyter import Jupyter

from jupyter_bgstream.testing import Request, Script, ScriptedProvider, ThreadedProvider, answer

PATIENCE = 600.0  # seconds for all of it

CELL = """
import time
from jupyter_bgstream.client.batch import map
table = [{{"text": f"row {{n}}", "n": n}} for n in range({rows})]
began = time.perf_counter()
batch = map(table, "Classify: {{text}}", model="test/classify", max_concurrency={concurrency})
print("took", time.perf_counter() - began)
"""
CHECK = """
frame = batch.wait().to_frame()
assert [row["n"] for row in frame] == [row["n"] for row in table]
wrong = [row for row in frame if row["answer"] != f"Class of: Classify: {row['text']}" or row["status"] != "completed"]
assert not wrong, wrong[:3]
assert list(batch.errors) == []
began = time.perf_counter()
again = len(batch.to_frame())
print("rows", again, "frame", time.perf_counter() - began)
"""


@dataclass
class Figures:
    """What was seen; times in seconds, memory in MB."""

    rows: int
    submit: float = 0.0
    again: float = 0.0  # the cell, run again after the kill
    answered_at_kill: int = 0
    requests: int = 0  # at the provider, in all
    asked_twice: int = 0  # rows
    seconds: float = 0.0  # without the restart
    restart: float = 0.0  # until the server answers again
    frame: float = 0.0
    server: list[float] = field(default_factory=list)  # memory at the start, in the middle, at the end, …
    kernel: list[float] = field(default_factory=list)
    form: list[float] = field(default_factory=list)  # how long it took to ask how far the batch is
    small: list[float] = field(default_factory=list)  # and another small thing of Jupyter
    notices: int = 0

    def __str__(self) -> str:
        def quantiles(times: list[float]) -> str:
            ordered = sorted(times)
            picked = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99, 0.9999))
            return "median {:.1f} ms, 99 % {:.1f} ms, longest {:.1f} ms".format(*picked)

        def memory(values: list[float]) -> str:
            return " → ".join(f"{value:.0f}" for value in values)

        return "\n".join(
            (
                f"{self.rows:,} rows: sent in {self.submit:.2f} s, {self.rows / self.seconds:.0f} answered a second",
                f"killed with {self.answered_at_kill:,} rows answered; server back in {self.restart:.1f} s,"
                f" the cell again {self.again:.2f} s",
                f"requests at the provider: {self.requests:,}, rows asked twice: {self.asked_twice}",
                f"frame: {self.frame:.2f} s; notices: {self.notices}",
                f"server: {memory(self.server)} MB; kernel: {memory(self.kernel)} MB",
                f"how far it is: {quantiles(self.form)}",
                f"GET api meanwhile: {quantiles(self.small)}",
            )
        )


def memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1e6)


def run_and_kill(home: Path, *, rows: int, concurrency: int = 15) -> Figures:
    """Map over rows, kill kernel and server in the middle, run the cell again; raises if a row is wrong in the end."""
    figures = Figures(rows=rows)
    asked = itertools.count()

    def classify(request: Request) -> Script:
        # The last rows wait for the kill and for the second run, however late they come on a busy machine.
        hold = 1 if next(asked) >= rows * 0.7 else None
        return answer(f"Class of: {request.prompt}", usage=(5, 4), hold_after=hold)

    scripts = {"classify": classify}
    with ScriptedProvider(scripts).in_thread() as provider:
        providers = {"test": {"base_url": provider.base_url}}
        server = Jupyter(home, config={"BgStreamApp": {"store": "sqlite", "providers": providers}}).start()
        try:
            _map_and_kill(server, figures, concurrency)
            began = time.perf_counter()
            server.start()
            figures.restart = time.perf_counter() - began
            _map_again(server, figures, concurrency, provider)
        finally:
            server.stop()
        _count(provider, figures)
    return figures


def _map_and_kill(server: Jupyter, figures: Figures, concurrency: int) -> None:
    figures.server.append(memory(server.pid))
    with closing(Kernel(server)) as kernel:
        pid = _kernel_of(server)
        figures.kernel.append(memory(pid))
        ran = kernel.run(CELL.format(rows=figures.rows, concurrency=concurrency))
        assert ran.reply["status"] == "ok", ran.error
        figures.submit = float(ran.printed.split()[-1])
        figures.seconds -= time.perf_counter()
        _watch(server, figures, until=int(figures.rows * 0.4))
        figures.seconds += time.perf_counter()
        figures.server.append(memory(server.pid))
        figures.kernel.append(memory(pid))
        os.kill(pid, signal.SIGKILL)
        server.kill()
        kernel.abandon()


def _map_again(server: Jupyter, figures: Figures, concurrency: int, provider: ThreadedProvider) -> None:
    with closing(Kernel(server)) as kernel:
        figures.seconds -= time.perf_counter()
        ran = kernel.run(CELL.format(rows=figures.rows, concurrency=concurrency))
        assert ran.reply["status"] == "ok", ran.error
        found = re.search(r"Found batch \S+ of \S+: ([\d,]+) of ([\d,]+) rows have been answered", ran.printed)
        assert found is not None, ran.printed
        assert int(found[2].replace(",", "")) == figures.rows
        figures.answered_at_kill = int(found[1].replace(",", ""))
        figures.again = float(ran.printed.split()[-1])
        provider.release(2 * figures.rows)
        _watch(server, figures, until=figures.rows)
        figures.seconds += time.perf_counter()
        ran = kernel.run(CHECK)
        assert ran.reply["status"] == "ok", ran.error
        figures.frame = float(ran.printed.split()[-1])
        figures.server.append(memory(server.pid))
        figures.kernel.append(memory(_kernel_of(server)))
        with server.client() as client:
            figures.notices = len(client.get("notices").json()["notices"])


def _count(provider: ThreadedProvider, figures: Figures) -> None:
    asked = Counter(request.prompt for request in provider.requests)
    assert len(asked) == figures.rows
    figures.requests = len(provider.requests)
    figures.asked_twice = sum(times > 1 for times in asked.values())
    assert max(asked.values()) <= 2


def _kernel_of(server: Jupyter) -> int:
    (kernel,) = [
        child
        for child in psutil.Process(server.pid).children(recursive=True)
        if "ipykernel" in " ".join(child.cmdline())
    ]
    return int(kernel.pid)


def _watch(server: Jupyter, figures: Figures, *, until: int) -> None:
    headers = {"Authorization": f"token {server.token}"}
    give_up = time.monotonic() + PATIENCE
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=False, timeout=60) as client:
        (job,) = client.get("api/bgstream/jobs", params={"limit": 1}).json()["jobs"]
        while time.monotonic() < give_up:
            began = time.perf_counter()
            form = client.get(f"api/bgstream/batches/{job['batch']}").json()
            middle = time.perf_counter()
            client.get("api").raise_for_status()
            figures.form.append(middle - began)
            figures.small.append(time.perf_counter() - middle)
            assert form["counts"]["failed"] + form["counts"]["interrupted"] == 0, form
            if form["counts"]["completed"] >= until:
                return
    raise AssertionError(f"After {PATIENCE:g} s only so much was answered: {form}")
