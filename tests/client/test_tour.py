"""The tour runs from top to bottom, as its reader will run it, against the demo model at a faster pace."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from client.conftest import Kernel
from harness.jupyter import jupyter

from jupyter_bgstream.cli.demo import demo_config
from jupyter_bgstream.core.wire import BUNDLE_MIME
from jupyter_bgstream.testing.demo import serve_demo

TOUR = Path(__file__).parents[2] / "notebooks" / "tour.ipynb"


@pytest.fixture(scope="module")
def tour() -> nbformat.NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def test_it_is_a_clean_notebook(tour: nbformat.NotebookNode) -> None:
    nbformat.validate(tour)
    assert (tour.nbformat, tour.nbformat_minor) == (4, 5)
    assert tour.metadata.language_info.name == "python"
    assert tour.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in tour.cells}) == len(tour.cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in tour.cells if cell.cell_type == "code")


def test_every_cell_does_what_the_text_says(tour: nbformat.NotebookNode, tmp_path: Path) -> None:
    with (
        serve_demo(speed=20) as base_url,
        jupyter(tmp_path, config=demo_config(tmp_path, base_url)) as server,
        closing(Kernel(server)) as kernel,
        server.client() as client,
    ):
        ran = {}
        for cell in tour.cells:
            if cell.cell_type == "code":
                ran[cell.id] = kernel.run(cell.source, cell=cell.id)
                assert ran[cell.id].reply["status"] == "ok", ran[cell.id].error
        kernel.run("from jupyter_bgstream.client import jobs\nfor job in jobs(): job.wait(20)")
        said = {
            cell: client.get(f"jobs/{run.job['id']}").json()
            for cell, run in ran.items()
            if any(BUNDLE_MIME in data for data in run.bundles)
        }
    assert said["tour"]["model"] == "demo/tour"
    assert ran["wait"].printed.startswith("completed {")
    assert said["quick"]["text"] in ran["wait"].printed
    assert ran["iterate"].printed == said["quick"]["text"]
    assert said["view"] == said["quick"]
    assert "2 messages of history" in said["second"]["text"]
    assert said["slow"]["status"] == "cancelled"
    assert ran["kept"].printed.startswith("cancelled\n")
    assert set(ran["jobs"].bundles[0]) == {"text/plain", "text/html"}
