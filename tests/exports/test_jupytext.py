"""Notebooks with ``%%bg`` cells that are paired with text files, as docs/how-to/outputs.md says."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from jupytext.cli import jupytext as run
from nbformat.v4 import new_code_cell, new_notebook

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "outputs.md").read_text()
SETTING = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
CELLS = {
    "prose": "%%bg openai/m --name a\nWhy is the sky blue?\n\nDon't be brief.",
    "heading": "%%bg\n# A heading\n- a list",
    "cell marker": "%%bg\n# %% looks like a cell\nexplain this",
    "quotes": "%%bg --wait\n'''triple'''",
    "fence": "%%bg\n```python\nx = 1\n```\nExplain.",
    "line magic": "%bg list",
    "code": "x = 1",
}


@pytest.mark.parametrize(
    ("form", "suffix", "config"),
    [
        ("py:percent", ".py", SETTING),
        ("md", ".md", ""),
        ("md:myst", ".md", ""),
        ("md:myst", ".md", SETTING),
    ],
)
def test_prompts_survive_round_trip_through_text_file(tmp_path: Path, form: str, suffix: str, config: str) -> None:
    (tmp_path / "jupytext.toml").write_text(config)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[new_code_cell(text) for text in CELLS.values()], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "a.ipynb")
    text = tmp_path / f"a{suffix}"
    run(["-q", "--to", form, str(tmp_path / "a.ipynb"), "-o", str(text)])
    run(["-q", "--to", "ipynb", str(text), "-o", str(tmp_path / "back.ipynb")])
    back = json.loads((tmp_path / "back.ipynb").read_text())
    assert ["".join(cell["source"]) for cell in back["cells"]] == list(CELLS.values())
    if suffix == ".py":
        compile(text.read_text(), "a.py", "exec")
        assert "# Why is the sky blue?" in text.read_text()
