"""The client in processes of every kind: imports, forks and exits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from client.conftest import PATIENCE
from harness.jupyter import Jupyter

import jupyter_bgstream.client
from jupyter_bgstream.testing import ThreadedProvider, answer

HEAVY = ("httpx", "jupyter_server", "tornado", "ipywidgets", "anywidget", "IPython", "sqlite3")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(server: Jupyter) -> Run:
    """Run Python in a process that knows the server, with every warning as an error."""

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", *arguments],
            env=os.environ
            | {
                "HOME": str(server.home),
                "IPYTHONDIR": str(server.home / "ipython"),
                "JUPYTER_RUNTIME_DIR": str(server.runtime),
                "JUPYTER_BGSTREAM_RUNTIME": str(server.runtime_file),
            }
            | env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        # asyncio's debug mode complains of any step that takes 0.1 s, as each may on a busy machine.
        done.stderr = re.sub(r"^Executing <.*> took \d+\.\d+ seconds\n", "", done.stderr, flags=re.MULTILINE)
        return done

    return run


def test_exported_names_exist_and_are_documented() -> None:
    public = set(jupyter_bgstream.client.__all__)
    assert len(public) == len(jupyter_bgstream.client.__all__)
    for name in public:
        found = getattr(jupyter_bgstream.client, name)
        assert found.__module__.startswith("jupyter_bgstream.")
        assert found.__doc__
    documented = {
        name
        for name, found in vars(jupyter_bgstream.client).items()
        if not name.startswith("_") and getattr(found, "__module__", "").startswith("jupyter_bgstream.")
    }
    assert documented == public


def test_client_import_loads_no_heavy_module(run: Run) -> None:
    done = run("-c", "import sys, jupyter_bgstream.client; print(*sys.modules)")
    loaded = done.stdout.split()
    assert "jupyter_bgstream.client" in loaded
    assert [module for module in HEAVY if module in loaded] == []


def test_script_can_end_while_its_job_runs(run: Run, provider: ThreadedProvider) -> None:
    provider.scripts["held"] = answer("one two", hold_after=1)
    done = run(
        "-c",
        "import threading\n"
        "from jupyter_bgstream.client import job, submit\n"
        "asked = submit('x', model='test/held')\n"
        "threading.Thread(target=asked.wait, daemon=True).start()\n"
        "next(iter(asked))\n"
        "print(asked.id)",
    )
    assert (done.returncode, done.stderr) == (0, "")
    provider.held()
    provider.release()
    again = run("-c", f"from jupyter_bgstream.client import job; print(job({done.stdout.strip()!r}).result())")
    assert (again.stdout, again.stderr) == ("one two\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_parent_and_forked_child_can_both_submit(run: Run) -> None:
    done = run(
        "-c",
        "import multiprocessing, warnings\n"
        "from jupyter_bgstream.client import submit\n"
        "warnings.filterwarnings('ignore', 'This process', DeprecationWarning)  # Python 3.12 on fork and threads\n"
        "asked = submit('x')\n"
        "def child():\n"
        "    print(asked.result(), submit('x').result(), flush=True)\n"
        "process = multiprocessing.get_context('fork').Process(target=child)\n"
        "process.start()\n"
        "print(submit('x').result(), flush=True)\n"
        "process.join(20)\n"
        "print(process.exitcode, asked.result())",
    )
    assert (sorted(done.stdout.splitlines()), done.stderr) == (
        ["0 Hello, world", "Hello, world", "Hello, world Hello, world"],
        "",
    )


def ipython(run: Run, *cells: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run cells in a plain IPython, which has no kernel."""
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()\n"
    )
    code += "".join(f"shell.run_cell({cell!r})\n" for cell in ("%load_ext jupyter_bgstream", *cells))
    return run("-W", "default", "-c", code, **env)


def test_magics_work_in_ipython_without_kernel(run: Run) -> None:
    done = ipython(run, "%%bg --name asked\nSay hello.", "print(asked.result())", "%bg")
    queued, where, said, *table = done.stdout.splitlines()
    assert re.fullmatch(r"Queued… \(job [0-9a-f]{20}\)", queued)
    assert where.startswith("asked shows the answer")
    assert said == "Hello, world"
    assert table[0].split()[:2] == ["id", "status"]


def test_missing_server_is_one_sentence_error(run: Run, server: Jupyter) -> None:
    gone = str(server.home / "nowhere")
    done = ipython(run, "%%bg\nx", "%bg", JUPYTER_RUNTIME_DIR=gone, JUPYTER_BGSTREAM_RUNTIME=f"{gone}/bgstream-x.json")
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"The Jupyter server of .* has stopped\. Start JupyterLab again, and .*\.", line)
