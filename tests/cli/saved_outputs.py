"""Notebooks with saved outputs of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from jupyter_bgstream.cli.fill.outputs import job_outputs


def key(job_id: str, *, status: str = "queued", model: str = "p/m", cursor: str = "-1") -> dict[str, Any]:
    return {"id": job_id, "cursor": cursor, "status": status, "model": model}


def data_of(mime: str, value: Any, text: str = "Queued…") -> dict[str, Any]:
    return {mime: value, "text/markdown": text, "text/plain": text}


def notebook_of(*outputs: dict[str, Any]) -> nbformat.NotebookNode:
    """Make a notebook with one cell for each output, and much else that must not change."""
    cells = [new_markdown_cell("Grüße 😀"), new_code_cell("1", outputs=[new_output("stream", text="a\nb")])]
    for data in outputs:
        kept = new_output("display_data", {"text/plain": "2", "image/png": "aGk="})
        shown = new_output("display_data", data, metadata={"isolated": True})
        cells.append(new_code_cell("%%bg\nx", execution_count=7, outputs=[kept, shown], metadata={"z": 1, "a": [{}]}))
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def save(path: Path, *outputs: dict[str, Any]) -> Path:
    nbformat.write(notebook_of(*outputs), path)
    return path


def shown_in(path: Path) -> list[dict[str, Any]]:
    return list(job_outputs(nbformat.read(path, as_version=4)))
