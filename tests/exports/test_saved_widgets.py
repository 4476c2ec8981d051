"""Widgets whose states are saved in a notebook do nothing to the page that nbconvert makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from executed.executing import Place, execute, notebook, widgets
from exports.exporting import Exports, opened
from exports.test_exports import ATTACKS, citing, refusing
from playwright.async_api import Browser

from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# A comment and a script inside a script element: its own end tag does not end it any more.
SWALLOWING = "<!--<script>alert(1)</script><!-- <SCRIPT src=x>"
JOINER = "\u2060"  # invisible; it makes markup in a trait text
HOSTILE = SWALLOWING + "\n\n" + "\n\n".join(ATTACKS.values())
CELLS = [
    "hostile = open('hostile.txt').read()",
    "answered = bg.submit(hostile, model='test/hostile', title=hostile[:200]).view()\nanswered",
    "failed = bg.submit('x', model='test/refusing').view()\nfailed",
    "cited = bg.submit('x', model='test/citing').view()\ncited",
    "rows = bg.map([hostile], '{row}', model='test/hostile', title=hostile[:200], fresh=True)",
    "board = rows.view()\nboard",
    "rows.wait()\n[bg.job(each.id).wait() for each in (answered, failed, cited)];",
    "print('The last', 'cell')",
]


@pytest.fixture(scope="session")
def executed(exports: Exports, folder: Path) -> Path:
    """A notebook with hostile text in the states of its widgets."""
    exports.provider.scripts |= {
        "hostile": answer([HOSTILE], reasoning=SWALLOWING),
        "refusing": refusing(HOSTILE),
        "citing": citing([(f"https://a.example/{SWALLOWING}", SWALLOWING)]),
    }
    (folder / "hostile.txt").write_text(HOSTILE)
    path = notebook(folder / "widgets.ipynb", CELLS)
    ((status, printed),) = Place(exports.server, None).run(execute(path))
    assert status == 0, printed
    return path


@pytest.mark.parametrize("template", ["lab", "classic"])
async def test_saved_widget_states_run_and_load_nothing(
    exports: Exports, executed: Path, browser: Browser, template: str
) -> None:
    page = exports.exported(executed, "html", template)
    found = await opened(browser, page, read=STATES)
    assert found.wrong == []
    states, text = found.read
    assert "The last cell" in text
    kept = [each["state"] for each in json.loads(states)["state"].values() if each["state"].get("kind")]
    assert sorted(each["status"] for each in kept) == ["completed", "completed", "completed", "failed"]


async def test_saved_widget_traits_and_log_have_exact_text(executed: Path) -> None:
    states = widgets(executed)
    titles = [state["title"].replace(JOINER, "") for state in states]
    assert titles.count(HOSTILE[:200]) == 2  # of a job and a batch
    (error,) = [state["error"]["message"].replace(JOINER, "") for state in states if state["error"]]
    assert SWALLOWING in error
    entries = [json.loads(state[f"log_{number}"]) for state in states for number in range(state.get("log", 0))]
    texts = [event.get("text") for entry in entries for event in entry.get("events", ())]
    assert HOSTILE in texts
    assert SWALLOWING in texts


# What a page of widgets reads, and what a reader sees.
STATES = """() => [
    document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]').textContent,
    document.body.innerText
]"""
