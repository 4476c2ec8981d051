"""Each notebook runs from top to bottom against the demo's models at a faster pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pytest
from client.conftest import Kernel, Ran
from harness.demo import fast_demo_config, serve_demo
from harness.jupyter import Jupyter, jupyter

from jupyter_bgstream.cli.demo import notebooks
from jupyter_bgstream.core.codec import BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.providers.bundled_plugins.demo_texts import NO_MOOD

Said = dict[str, dict[str, Any]]  # the job that a cell shows, as the server has it in the end


def tour(ran: dict[str, Ran], said: Said) -> None:
    assert said["tour"]["model"] == "demo/tour"
    assert ran["wait"].printed.startswith("completed 84 tokens\n")
    assert said["quick"]["text"] in ran["wait"].printed
    assert ran["iterate"].printed == said["quick"]["text"]
    assert said["view"] == said["quick"]
    assert "2 messages of history" in said["second"]["text"]
    assert said["slow"]["status"] == "cancelled"
    assert ran["kept"].printed.startswith("cancelled\n")
    assert set(ran["jobs"].bundles[0]) == {"text/plain", "text/html"}


def surviving(ran: dict[str, Ran], said: Said) -> None:
    assert said["found"]["id"] == ran["script"].printed.strip()
    assert said["found"]["text"].startswith(ran["killed"].printed.rstrip("\n"))
    assert ran["result"].printed == said["found"]["text"] + "\n"
    assert ran["timeout"].printed.splitlines()[0].endswith("has not ended after 0.5 s; it continues.")
    assert ran["timeout"].printed.splitlines()[1] == "running"
    assert ran["newest"].printed.splitlines() == ["running | Tell me a story, and take your time.", "cancelled"]
    status, kept = ran["interrupted"].printed.strip().splitlines()[-2:]
    assert status.startswith("interrupted: ")
    assert kept == "True - all that was seen is there"
    assert ran["retried"].printed.splitlines()[-1].startswith("completed: If you have been doing something else")


def threads(ran: dict[str, Ran], said: Said) -> None:
    assert "2 messages of history" in ran["ordered"].printed
    assert "4 messages of history" in ran["third"].printed
    assert "trip" in ran["threads"].bundles[0]["text/plain"]
    turns = [line.split(": ", 1) for line in ran["messages"].printed.splitlines()]
    assert [role.strip() for role, _ in turns] == ["user", "assistant"] * 3
    assert "2 messages of history" in ran["forked"].printed
    assert ran["both"].printed == "6 4\n"
    assert ran["rename"].bundles[0]["text/plain"] == "['lisbon']"


def tables(ran: dict[str, Ran], said: Said) -> None:
    moods = [line.split()[:2] for line in ran["frame"].printed.splitlines()]
    assert moods == [["Ada", "good"], ["Ben", "bad"], ["Cleo", "mixed"], ["Dan", "-"], ["Eve", "good"]]
    assert ran["frame"].printed.splitlines()[3].endswith("invalid")
    assert ran["errors"].printed.startswith("3 Dan - ")
    assert NO_MOOD in ran["errors"].printed
    assert ran["retry"].printed == "5 of 5 answered\n1 of them without a valid answer\n"
    assert "5" in ran["again"].printed
    assert ran["found"].printed == "completed | How does this sound? {text}\n"
    assert "demo/echo" in ran["dry"].bundles[0]["text/plain"]


def comparing(ran: dict[str, Ran], said: Said) -> None:
    (shown,) = ran["ask"].bundles
    assert [job["model"] for job in shown[JOBS_MIME]["jobs"]] == ["demo/quick", "demo/echo", "demo/tour"]
    assert [line.split()[:2] for line in ran["wait"].printed.splitlines()] == [
        ["demo/quick", "completed"], ["demo/echo", "completed"], ["demo/tour", "completed"],
    ]  # fmt: skip
    assert "What is a background job, in three sentences?" in ran["texts"].printed
    assert "B: > What is a background job, in three sentences?" in ran["judged"].printed
    assert len(ran["grid"].printed.splitlines()) == 4
    rows = ran["costs"].bundles[0]["text/plain"].splitlines()
    assert {row.split()[0] for row in rows} >= {"demo/quick", "demo/echo", "demo/tour"}


def agent(ran: dict[str, Ran], said: Said) -> None:
    assert "- 1001 = 7 * 11 * 13" in ran["try"].printed
    assert ran["script"].printed.split()[-2:] == ["factors", "prime"]
    assert ran["ask"].printed == "- 42 = 2 * 3 * 7\n- 1001 = 7 * 11 * 13\ncompleted 2\n"
    assert ran["fail"].printed.startswith("- 6 = 2 * 3\n")
    assert "failed: " in ran["fail"].printed
    assert "ValueError: 0 has no prime factors" in ran["fail"].printed


CHECKS: dict[str, Callable[[dict[str, Ran], Said], None]] = {
    "01-tour": tour,
    "02-surviving-everything": surviving,
    "03-threads": threads,
    "04-tables": tables,
    "05-comparing-models": comparing,
    "06-your-own-agent": agent,
}

each = pytest.mark.parametrize("path", notebooks(), ids=[path.stem for path in notebooks()])


@each
def test_notebook_is_valid_and_has_no_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.language_info.name == "python"
    assert notebook.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    home = tmp_path_factory.mktemp("demo")
    with serve_demo(speed=20) as base_url, jupyter(home, config=fast_demo_config(home, base_url)) as server:
        yield server


@each
def test_cells_of_notebook_give_expected_output(path: Path, demo: Jupyter) -> None:
    with closing(Kernel(demo)) as kernel, demo.client() as client:
        ran: dict[str, Ran] = {}
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                ran[cell.id] = kernel.run(cell.source, cell=cell.id)
                assert ran[cell.id].reply["status"] == "ok", ran[cell.id].error
        kernel.run("from jupyter_bgstream.client import jobs\nfor job in jobs(): job.wait(60)")
        said = {
            cell: client.get(f"jobs/{run.job['id']}").json()
            for cell, run in ran.items()
            if any(BUNDLE_MIME in data for data in run.bundles)
        }
    CHECKS[path.stem](ran, said)
