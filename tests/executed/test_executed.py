"""Outputs in the file of a notebook that papermill or nbconvert has executed."""

from __future__ import annotations

import json
from pathlib import Path

from executed.executing import Place, execute, fill, html, nbconvert, notebook, outputs, papermill, saved, widgets

from jupyter_bgstream.testing import ThreadedProvider, answer, refusal
from jupyter_bgstream.testing.scripted_provider import in_turn

FILL = "jupyter bgstream fill FILE"

# Each of these is shown before its answer is there, and waited for in the last cell.
KINDS = {
    "answer": "%%bg test/slow --name asked\nSay it.",
    "side by side": "%%bg test/slow test/slower --name both\nSay it.",
    "last line": "last = bg.submit('x', model='test/slow')\nlast",
    "comparison": "pair = bg.Comparison(bg.submit('x', model=f'test/{name}') for name in ('slow', 'slower'))\npair",
    "batch": "batch = bg.map(['a', 'b'], 'Say {row}.', model='test/slow', title='Rows', fresh=True)",
    "widget": "again = bg.submit('x', model='test/slow')\nview = again.view()\nview",
    "batch's widget": "board = batch.view()\nboard",
}
WAIT = "for each in (asked, both, last, pair, batch, again):\n    each.wait()"
TEXT = "one two three"
SIDE_BY_SIDE = f"test/slow:\n\n{TEXT}\n\ntest/slower:\n\nfour five six"
ROWS = "Rows: 2 of 2 answered"
WAITED_FOR = [TEXT, SIDE_BY_SIDE, TEXT, SIDE_BY_SIDE, ROWS, TEXT, ROWS, ""]


def test_awaited_answers_are_in_file(place: Place, tmp_path: Path) -> None:
    paths = [notebook(tmp_path / name, [*KINDS.values(), WAIT]) for name in ("papermill.ipynb", "nbconvert.ipynb")]
    ran = place.run(papermill(paths[0]), nbconvert(paths[1]))  # two at once
    assert [status for status, _ in ran] == [0, 0], ran
    for path in paths:
        assert saved(path) == WAITED_FOR
        assert [len(shown) for shown in outputs(path)] == [1] * len(KINDS) + [0]
        of_one, of_many = sorted(widgets(path), key=lambda state: state["kind"], reverse=True)
        assert (of_one["status"], of_many["status"], of_many["done"]) == ("completed", "completed", 2)
        entries = [json.loads(of_one[f"log_{number}"]) for number in range(of_one["log"])]
        events = [event for entry in entries for event in entry.get("events", ())]
        assert "".join(event["text"] for event in events if event["type"] == "delta") == TEXT
        assert events[-1]["type"] == "completed"


def test_notebook_executed_into_html_has_answer(inside: Place, tmp_path: Path) -> None:
    path = notebook(tmp_path / "x.ipynb", [KINDS["answer"], KINDS["widget"], "asked.wait(), again.wait()"])
    ((status, printed),) = inside.run(html(path))
    assert status == 0, printed
    page = path.with_suffix(".html").read_text()
    assert f"<p>{TEXT}</p>" in page
    assert FILL not in page


def test_unawaited_answers_have_note_and_can_be_filled_in(
    inside: Place, provider: ThreadedProvider, tmp_path: Path
) -> None:
    provider.scripts["held"] = answer("half whole", hold_after=1)
    cells = [cell.replace("test/slow'", "test/held'") for cell in KINDS.values()]
    cells = [cell.replace("test/{name}", "test/held").replace("test/slower", "test/held") for cell in cells]
    path = notebook(tmp_path / "x.ipynb", [*(cell.replace("test/slow ", "test/held ") for cell in cells), "2 + 2"])
    ((status, printed),) = inside.run(papermill(path))
    assert status == 0, printed
    *left, _ = outputs(path)
    assert len(left) == len(KINDS)
    for (data,) in left:
        for text in (data["text/plain"], data["text/markdown"]):
            assert FILL in text
            assert not any(word in text.lower() for word in ("queued", "running"))
    provider.scripts["held"] = answer("half whole")
    provider.release(100)
    ((status, printed),) = inside.run(fill(path, "--wait", "60"))
    assert status == 0, printed
    both = "test/held:\n\nhalf whole\n\ntest/held:\n\nhalf whole"
    assert saved(path) == ["half whole", both, "half whole", both, ROWS, "half whole", ROWS, "4"]


# The output of another cell is in the file, in whichever way a cell waits.
ASK = "%%bg test/slow --name asked\nSay it."
WAYS = [
    "asked.result();",
    "await asked;",
    "_ = [piece async for piece in asked]",
    "bg.job(asked.id).wait();",
    "bg.jobs(limit=1).wait();",
    "%bg wait asked",
    "import time\nwhile bg.job(asked.id).status != 'completed':\n    time.sleep(0.01)",
    "asked.wait()\nraise ValueError('for another reason')",
    "asked.wait()\nraise SystemExit",
]
# Cells, and the text of their output in the file.
OTHERS = {
    "%%bg test/hello --name asked\nIt ends between two cells.": "Hello, world",
    "time.sleep(1)  # no call of this package": "",
    "%%bg test/mended --name asked --retry-policy never\nIt is asked again.": TEXT,
    "seen = asked.view()\nseen": TEXT,
    "asked.wait().retry().wait();": "",
    "rows = bg.map(['a'], 'Say {row}.', model='test/rows', title='Row', fresh=True)": "Row: 1 of 1 answered",
    "rows.wait().retry().wait();": "",
    "%%capture kept\nasked = bg.submit('x', model='test/slow')\ndisplay(asked)": "",
    "%%capture\nasked.wait()": "",
    "kept.show()  # as it was": TEXT,
    "%%bg test/slow --wait\nIt is waited for at once.": TEXT,
}


def test_every_way_to_wait_saves_answer(inside: Place, provider: ThreadedProvider, tmp_path: Path) -> None:
    for name in ("mended", "rows"):
        provider.scripts[name] = in_turn(refusal(400, {"error": {"message": "not now"}}), answer(TEXT))
    path = notebook(tmp_path / "x.ipynb", [*(cell for way in WAYS for cell in (ASK, way)), *OTHERS])
    ((status, printed),) = inside.run(execute(path, "--allow-errors"))
    assert status == 0, printed
    found = saved(path)
    asked = found[: 2 * len(WAYS) : 2]
    assert dict(zip(WAYS, asked, strict=True)) == dict.fromkeys(WAYS, TEXT)
    assert dict(zip(OTHERS, found[2 * len(WAYS) :], strict=True)) == OTHERS
    (state,) = widgets(path)
    assert (state["id"] != state["newest"], state["status"]) == (True, "completed")


def test_failing_cell_keeps_earlier_answers(inside: Place, tmp_path: Path) -> None:
    rows = "batch = bg.map(range(50), 'Say {row}.', model='test/refused', title='Rows', fresh=True)"
    path = notebook(tmp_path / "x.ipynb", [ASK, rows, "asked.wait()\nbatch.wait()", "never"])
    ((status, printed),) = inside.run(papermill(path, "--log-output", "--autosave-cell-every", "1"))
    assert status == 1
    assert "BatchPausedError" in printed
    shown = saved(path)
    assert shown[0] == TEXT
    assert "paused: " in shown[1]
    assert shown[2:] == ["", ""]
