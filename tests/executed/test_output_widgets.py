"""Answers inside ``ipywidgets.Output`` in the file of a notebook that papermill has executed."""

from __future__ import annotations

from pathlib import Path

import nbformat
from executed.executing import Place, notebook, papermill

from jupyter_bgstream.client.executed_notebooks import NOT_WAITED_FOR
from jupyter_bgstream.testing import ThreadedProvider, answer

TEXT = "one two three"
CELLS = [
    "import ipywidgets\nbefore, after = ipywidgets.Output(), ipywidgets.Output()",
    "asked = bg.submit('x', model='test/later')\nwith before:\n    display(asked)\nbefore",
    "asked.wait();",
    "with after:\n    display(asked)\nafter",
    "ipywidgets.interact(lambda model: bg.submit('x', model=model).wait(), model=['test/slow']);",
]


def in_outputs(path: Path) -> list[str]:
    """Return the plain text of what is inside each Output widget of a file."""
    states = nbformat.read(path, as_version=4).metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    shown = [each["state"]["outputs"] for each in states.values() if each["model_name"] == "OutputModel"]
    return ["".join(output["data"]["text/plain"] for output in outputs) for outputs in shown]


def test_answer_in_output_widget_stays_as_it_was_shown(
    inside: Place, provider: ThreadedProvider, tmp_path: Path
) -> None:
    provider.scripts["later"] = answer(TEXT, pace=2)  # seconds, so that it is shown before its end
    path = notebook(tmp_path / "x.ipynb", CELLS)
    ((status, printed),) = inside.run(papermill(path))
    assert status == 0, printed
    early, *others = sorted(in_outputs(path))
    assert NOT_WAITED_FOR in early
    assert others == [TEXT, TEXT]
