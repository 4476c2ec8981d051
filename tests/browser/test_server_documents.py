"""One notebook, two people: jupyter-server-documents beside us, from the folder where tests/check.sh puts it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, new_lab, saved_cells, write_notebook
from browser.test_cell import LOAD, bg
from browser.test_together import LONG, saved, until_saved
from harness.jupyter import Jupyter, jupyter
from playwright.async_api import Browser

import jupyter_bgstream
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BESIDE = Path(jupyter_bgstream.__file__).parents[1] / ".venv" / "server-documents"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    assert BESIDE.is_dir(), "jupyter-server-documents is needed in .venv/server-documents: see tests/check.sh."
    extensions = ("jupyter_bgstream", "jupyter_server_documents", "jupyter_server_fileid")
    config = {
        "ServerApp": {"jpserver_extensions": dict.fromkeys(extensions, True)},
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}},
        "LabApp": {"expose_app_in_browser": True},
        # It pauses for so many times as long as a save took: on a busy machine that is longer than a test waits.
        "YRoomFileAPI": {"min_poll_interval": 0.2, "poll_interval_multiplier": 0.2},
    }
    env = {"PYTHONPATH": str(BESIDE), "JUPYTER_PATH": str(BESIDE / "share" / "jupyter")}
    with jupyter(tmp_path_factory.mktemp("documents"), lab=True, config=config, **env) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def ann_and_bob(browser: Browser, documents: Jupyter) -> AsyncIterator[tuple[Lab, Lab]]:
    people = await new_lab(browser, documents), await new_lab(browser, documents)
    yield people
    for person in people:
        await person.context.close()


async def both_stream(
    people: tuple[Lab, Lab], server: Jupyter, provider: ThreadedProvider, name: str, cell: str = ""
) -> tuple[Tab, Tab, Path]:
    """Ann has run the second cell, and both see the first half of LONG, live."""
    provider.scripts[name] = answer(LONG, hold_after=8)
    path = write_notebook(server.root / f"{name}.ipynb", LOAD, cell or bg(name))
    ann = await people[0].tab(path.name)
    await ann.kernel_ready()  # two pages that start one kernel at the same time are more than this package bears
    bob = await people[1].tab(path.name)
    assert await bob.page.evaluate("jupyterapp.shell.currentWidget.context.model.collaborative")
    await ann.run(0)
    await ann.run(1)
    for tab in (ann, bob):
        await tab.shows(1, "Some emphasis")
    return ann, bob, path


async def count_updates(tab: Tab) -> None:
    """Count from now on the bytes by which the document's history grows."""
    await tab.page.evaluate(
        """() => {
            window.grown = 0;
            const { ydoc } = jupyterapp.shell.currentWidget.context.model.sharedModel;
            ydoc.on('update', update => { window.grown += update.length; });
        }"""
    )


async def test_end_of_answer_is_written_once_into_file(
    ann_and_bob: tuple[Lab, Lab], documents: Jupyter, provider: ThreadedProvider
) -> None:
    ann, bob, path = await both_stream(ann_and_bob, documents, provider, "live")
    assert await ann.job(1) == await bob.job(1)
    complaints: list[str] = []
    for tab in (ann, bob):
        tab.page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await count_updates(bob)
    provider.release()
    for tab in (ann, bob):
        await tab.state(1, "completed")
        await tab.shows(1, "The end.")
        await tab.page.wait_for_selector(".jp-bgstream-view[data-drawn=true]")
    await until_saved(bob, path, LONG)
    assert await ann.text(1) == await bob.text(1)
    # The end, as Markdown and as plain text; no second copy.
    assert await bob.page.evaluate("window.grown") < 3 * len(LONG)
    assert not ann.errors + bob.errors
    assert not [error for error in complaints if "Comm not found" not in error]  # Lab's, of the other page's widgets
    again = await ann_and_bob[0].tab("live.ipynb")
    await again.state(1, "completed")
    assert await again.view(1).count() == 1
    assert saved(path) == [LONG]


async def test_end_is_written_after_page_that_ran_cell_is_closed(
    ann_and_bob: tuple[Lab, Lab], documents: Jupyter, provider: ThreadedProvider
) -> None:
    ann, bob, path = await both_stream(ann_and_bob, documents, provider, "left")
    await ann.close()
    provider.release()
    await bob.state(1, "completed")
    await until_saved(bob, path, LONG)


BESIDE_OTHERS = """import jupyter_bgstream as bg
print("one", flush=True)
print("two", flush=True)
display(bg.submit("Hello", model="demo/beside"))
print("three", flush=True)
"last"
"""


async def test_other_outputs_of_the_cell_keep_their_order(
    ann_and_bob: tuple[Lab, Lab], documents: Jupyter, provider: ThreadedProvider
) -> None:
    ann, bob, path = await both_stream(ann_and_bob, documents, provider, "beside", BESIDE_OTHERS)
    provider.release()
    await bob.state(1, "completed")

    def outputs() -> list[dict[str, object]]:
        return list(saved_cells(path)[1]["outputs"])

    def texts() -> list[str]:
        """Return the text of each output of the file, with adjacent streams joined."""
        said = [
            "".join(each["text"]) if each["output_type"] == "stream" else "".join(shown(each["data"]))
            for each in outputs()
        ]
        return "".join(f"{each}\n" for each in said).split("\n")

    await bob.until(lambda: "The end." in texts())
    words = [word for word in texts() if word in {"one", "two", "# A title", "three", "'last'"}]
    assert words == ["one", "two", "# A title", "three", "'last'"]
    for tab in (ann, bob):
        await tab.state(1, "completed")
        await tab.page.wait_for_function(
            """() => {
                const said = [...document.querySelectorAll('.jp-Notebook .jp-Cell')[1]
                    .querySelectorAll('.jp-OutputArea-output')].map(node => node.textContent.trim());
                return said.length === 4 && said[0].includes('two') && said[1].includes('The end.')
                    && said[2] === 'three' && said[3] === "'last'";
            }"""
        )
        assert not tab.errors


def shown(data: dict[str, list[str] | str]) -> list[str] | str:
    return data.get("text/markdown") or data["text/plain"]


async def ended_unseen(
    people: tuple[Lab, Lab], server: Jupyter, provider: ThreadedProvider, name: str
) -> tuple[Tab, Path, str]:
    """Open a notebook whose answer ended without an open page; return also its path and its text at the end."""
    ann, bob, path = await both_stream(people, server, provider, name)
    job = await ann.job(1)
    await bob.until(lambda: len(saved(path)) == 1)
    await ann.close()
    await bob.close()
    provider.release()
    with server.client() as client:
        client.get(f"jobs/{job}/events?live=sse")  # until it has ended
    unfinished = path.read_text()
    tab = await people[1].tab(f"{name}.ipynb")
    await tab.state(1, "completed")
    await tab.shows(1, "The end.")
    return tab, path, unfinished


async def test_opening_writes_nothing_and_save_command_writes_answer(
    ann_and_bob: tuple[Lab, Lab], documents: Jupyter, provider: ThreadedProvider
) -> None:
    tab, path, unfinished = await ended_unseen(ann_and_bob, documents, provider, "unseen")
    await tab.kernel_ready()
    assert path.read_text() == unfinished
    await tab.page.keyboard.press("Control+s")
    await until_saved(tab, path, LONG)


async def test_change_of_notebook_also_saves_answer(
    ann_and_bob: tuple[Lab, Lab], documents: Jupyter, provider: ThreadedProvider
) -> None:
    tab, path, _ = await ended_unseen(ann_and_bob, documents, provider, "changed")
    await tab.run(0)
    await until_saved(tab, path, LONG)
