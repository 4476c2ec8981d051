"""One notebook, two people: jupyter-collaboration beside us, from the folder where tests/check.sh puts it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, new_lab, saved_cells, write_notebook
from browser.test_cell import LOAD, TEXT, bg
from browser.test_prompt_cell import language, marked
from harness.jupyter import Jupyter, jupyter
from playwright.async_api import Browser

import jupyter_bgstream
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LONG = TEXT + " And so on." * 100 + "\n\nThe end."
BESIDE = Path(jupyter_bgstream.__file__).parents[1] / ".venv" / "collab"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    assert BESIDE.is_dir(), "jupyter-collaboration is needed in .venv/collab: see tests/check.sh."
    extensions = ("jupyter_bgstream", "jupyter_server_ydoc", "jupyter_server_fileid")
    config = {
        "ServerApp": {"jpserver_extensions": dict.fromkeys(extensions, True)},
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}},
        "LabApp": {"expose_app_in_browser": True},
        "YDocExtension": {"document_save_delay": 0.2},
    }
    env = {"PYTHONPATH": str(BESIDE), "JUPYTER_PATH": str(BESIDE / "share" / "jupyter")}
    with jupyter(tmp_path_factory.mktemp("together"), lab=True, config=config, **env) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def ann_and_bob(browser: Browser, shared: Jupyter) -> AsyncIterator[tuple[Lab, Lab]]:
    people = await new_lab(browser, shared), await new_lab(browser, shared)
    yield people
    for person in people:
        await person.context.close()


SET_SOURCE = """source => {
    jupyterapp.shell.currentWidget.content.widgets[0].model.sharedModel.setSource(source);
}"""


def times_written(server: Jupyter, text: str) -> int:
    """Return how often a text is in the history of all documents."""
    with closing(sqlite3.connect(server.root / ".jupyter_ystore.db")) as store:
        return sum(update.count(text.encode()) for (update,) in store.execute("SELECT yupdate FROM yupdates"))


def saved(path: Path) -> list[str]:
    """Return the answers in the file."""
    outputs = saved_cells(path)[1]["outputs"]
    return ["".join(output["data"].get("text/markdown", "")) for output in outputs]


async def until_saved(tab: Tab, path: Path, text: str) -> None:
    """Wait until the server has saved the answer once, and nothing else."""
    await tab.until(lambda: saved(path) == [text])


async def both_stream(
    people: tuple[Lab, Lab], server: Jupyter, provider: ThreadedProvider, name: str
) -> tuple[Tab, Tab, Path]:
    """Let Ann run the cell, and wait until both pages show the first half of TEXT, live."""
    provider.scripts[name] = answer(LONG, hold_after=8)
    path = write_notebook(server.root / f"{name}.ipynb", LOAD, bg(name))
    ann, bob = await asyncio.gather(*(person.tab(f"{name}.ipynb") for person in people))
    assert await bob.page.evaluate("jupyterapp.shell.currentWidget.context.model.collaborative")
    await ann.run(0)
    await ann.run(1)
    for tab in (ann, bob):
        await tab.shows(1, "Some emphasis")
    return ann, bob, path


async def test_both_pages_show_live_answer_and_its_end_is_written_once(
    ann_and_bob: tuple[Lab, Lab], shared: Jupyter, provider: ThreadedProvider
) -> None:
    ann, bob, path = await both_stream(ann_and_bob, shared, provider, "live")
    assert await ann.job(1) == await bob.job(1)
    provider.release()
    for tab in (ann, bob):
        await tab.state(1, "completed")
        await tab.shows(1, "The end.")
        await tab.page.wait_for_selector(".jp-bgstream-view[data-drawn=true]")
    assert await ann.text(1) == await bob.text(1)
    await until_saved(bob, path, LONG)
    # Each change of the notebook is an occasion to write what the document lacks: it lacks nothing.
    for tab, source in ((ann, "1"), (bob, "2"), (ann, "3"), (bob, "4")):
        await tab.page.evaluate(SET_SOURCE, source)
        await tab.until(lambda source=source: "".join(saved_cells(path)[0]["source"]) == source)
    assert times_written(shared, "And so on.\n\nThe end.") == 2  # as Markdown and as plain text
    assert not ann.errors + bob.errors


async def test_end_is_written_after_page_that_ran_cell_is_closed(
    ann_and_bob: tuple[Lab, Lab], shared: Jupyter, provider: ThreadedProvider
) -> None:
    ann, bob, path = await both_stream(ann_and_bob, shared, provider, "left")
    await ann.close()
    provider.release()
    await bob.state(1, "completed")
    await until_saved(bob, path, LONG)


async def test_answer_ended_without_open_page_is_written_at_next_save(
    ann_and_bob: tuple[Lab, Lab], shared: Jupyter, provider: ThreadedProvider
) -> None:
    ann, bob, path = await both_stream(ann_and_bob, shared, provider, "nobody")
    job = await ann.job(1)
    await bob.until(lambda: len(saved(path)) == 1)
    await ann.close()
    await bob.close()
    provider.release()
    with shared.client() as client:
        client.get(f"jobs/{job}/events?live=sse")  # until it has ended
    unfinished = path.read_text()
    tabs = [await person.tab("nobody.ipynb") for person in ann_and_bob]
    for tab in tabs:
        await tab.state(1, "completed")
        await tab.shows(1, "The end.")
    assert path.read_text() == unfinished
    await tabs[1].save()
    await until_saved(tabs[1], path, LONG)


async def until_source(tab: Tab, source: str) -> None:
    """Wait until the first cell has this source, in the model and on the screen."""
    await tab.page.wait_for_function(
        """source => {
            const { activeCell, widgets: [cell] } = jupyterapp.shell.currentWidget.content;
            const lines = [...cell.node.querySelectorAll('.cm-line')].map(({ textContent }) => textContent);
            return activeCell !== null && cell.model.sharedModel.getSource() === source && lines.join('\\n') === source;
        }""",
        arg=source,
    )


async def test_prompt_cell_is_prose_for_both_while_both_type(ann_and_bob: tuple[Lab, Lab], shared: Jupyter) -> None:
    write_notebook(shared.root / "prompt.ipynb", "%%bg demo/echo --thread trip\nFor {reader}:\n\nWhy?", "1 + 1")
    ann, bob = await asyncio.gather(*(person.tab("prompt.ipynb") for person in ann_and_bob))
    for tab in (ann, bob):
        await language(tab, 0, "bgstream-prompt")
        assert await marked(tab, 0, "expression") == ["{reader}"]
        assert await marked(tab, 0, "option") == ["--thread"]
    # Each at a line of their own, at the same time.
    first, last = (tab.page.locator(".jp-Notebook .jp-Cell .cm-line") for tab in (ann, bob))
    await first.nth(1).click()
    await last.nth(3).click()
    await ann.page.keyboard.press("End")
    await bob.page.keyboard.press("End")
    await asyncio.gather(
        ann.page.keyboard.type(" it's (not) {ann} asking", delay=10),
        bob.page.keyboard.type(" Since {bob} asks.", delay=10),
    )
    lines = ("%%bg demo/echo --thread trip", "For {reader}: it's (not) {ann} asking", "", "Why? Since {bob} asks.")
    for tab in (ann, bob):
        await until_source(tab, "\n".join(lines))
        assert await marked(tab, 0, "expression") == ["{reader}", "{ann}", "{bob}"]
        await language(tab, 1, "python")
    # What one of them makes of the first line, the other sees.
    await ann.page.keyboard.press("Control+Home")
    await ann.page.keyboard.press("Delete")
    for tab in (ann, bob):
        await language(tab, 0, "python")
        assert await marked(tab, 0, "expression") == []
    await ann.page.keyboard.type("%")
    for tab in (ann, bob):
        await language(tab, 0, "bgstream-prompt")
    await bob.page.keyboard.press("Control+z")  # undoes his own words and not hers
    await until_source(ann, "\n".join((*lines[:3], "Why?")))
    assert await marked(bob, 0, "expression") == ["{reader}", "{ann}"]
    assert not ann.errors + bob.errors
