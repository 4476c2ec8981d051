"""The widget in real JupyterLab and Notebook 7: fed by the socket of the page, or by the relay of the kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, write_notebook
from browser.test_hostile_content import CORPUS, LAST, Watch, deltas
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HEAD = """from IPython.display import display
from ipywidgets import HBox, HTML, Tab, dlink, interact, jslink
from jupyter_bgstream.client import submit
"""
LONG = [f"word{number} " for number in range(40)]
TEXT = "".join(LONG).strip()


class Page:
    """A notebook with widgets in it."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.page = tab.page

    async def shows(self, selector: str, text: str) -> None:
        """Wait until the first answer below the selector holds this text."""
        await self.page.wait_for_function(
            "([at, text]) => document.querySelector(`${at} .jp-bgstream-text`)?.textContent.includes(text)",
            arg=[selector, text],
        )

    async def state(self, selector: str, state: str, views: int = 1) -> None:
        """Wait until so many views below the selector are in this state."""
        await self.page.wait_for_function(
            """([at, state, views]) =>
                document.querySelectorAll(`${at} .jp-bgstream-view[data-state=${state}]`).length === views""",
            arg=[selector, state, views],
        )

    async def words(self, selector: str, text: str) -> None:
        await self.page.wait_for_function(
            "([at, text]) => document.querySelector(at)?.textContent === text", arg=[selector, text]
        )


@pytest.fixture
def notebook(server: Jupyter, request: pytest.FixtureRequest) -> Path:
    return server.root / f"{request.node.name.replace('[', '-').strip(']')}.ipynb"


@pytest_asyncio.fixture(loop_scope="session")
async def bare(lab: Lab, server: Jupyter) -> AsyncIterator[Tab]:
    """A tab without the labextension: there are ipywidgets and anywidget, and no socket of ours."""
    page = await lab.context.new_page()
    await page.route("**/extensions/jupyter-bgstream/**", lambda route: route.abort())
    yield Tab(page, server)
    await page.close()


def cell(number: int) -> str:
    return f".jp-Notebook .jp-Cell:nth-child({number + 1} of .jp-Cell)"


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_widgets_share_socket_of_page(lab: Lab, notebook: Path, provider: ThreadedProvider, app: str) -> None:
    provider.scripts["shared"] = answer(LONG, usage=(3, 40), hold_after=10)
    write_notebook(
        notebook,
        HEAD + "job = submit('x', model='demo/shared')\nview = job.view()\ndisplay(job)",
        "status = HTML()\njslink((view, 'status'), (status, 'value'))\nHBox([view, status])",
        "length = HTML()\ndlink((view, 'text'), (length, 'value'), lambda text: str(len(text)))\n"
        "tabs = Tab([view, length], titles=['a', 'b'])\ndisplay(view, tabs, length)",
    )
    tab = await lab.tab(notebook.name, app=app)
    page = Page(tab)
    for number in range(3):
        await tab.run(number)
    for at in (f"{cell(1)} .widget-hbox", f"{cell(2)} .widget-tab"):
        await page.shows(at, "word9")
        await page.state(at, "streaming")
    await page.words(f"{cell(1)} .widget-html-content", "running")
    provider.release()
    await page.state(".jp-Notebook", "completed", 4)
    for at in (cell(0), f"{cell(1)} .widget-hbox", cell(2), f"{cell(2)} .widget-tab"):
        await page.shows(at, TEXT)
    await page.words(f"{cell(1)} .widget-html-content", "completed")
    await page.words(f"{cell(2)} .jp-OutputArea-child:nth-child(3) .widget-html-content", str(len("".join(LONG))))
    assert len(tab.sockets) == 1
    # The page is loaded anew while the kernel lives: what was composed is there again.
    await tab.save()
    await tab.page.reload()
    await page.state(".jp-Notebook", "completed", 4)
    for at in (cell(0), f"{cell(1)} .widget-hbox", f"{cell(2)} .widget-tab"):
        await page.shows(at, TEXT)
    assert len(tab.sockets) == 2
    # The kernel is gone, and with it the boxes; what was shown by itself needs none.
    await tab.restart_kernel()
    await tab.page.reload()
    await page.shows(cell(0), TEXT)
    await page.shows(cell(2), TEXT)
    await tab.close()


async def test_interact_shows_answer_of_selected_model(lab: Lab, notebook: Path, provider: ThreadedProvider) -> None:
    for name in ("one", "two"):
        provider.scripts[f"interact-{name}"] = answer(f"It is {name}.")
    write_notebook(
        notebook,
        HEAD + "@interact(model=['demo/interact-one', 'demo/interact-two'])\n"
        "def ask(model):\n    return submit('x', model=model).view()",
    )
    tab = await lab.tab(notebook.name)
    await tab.run(0)
    await Page(tab).shows(cell(0), "It is one.")
    await tab.page.locator(f"{cell(0)} select").select_option("demo/interact-two")
    await Page(tab).shows(cell(0), "It is two.")
    await Page(tab).state(cell(0), "completed")
    assert len(tab.sockets) == 1
    await tab.close()


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_kernel_relays_answer_to_page_without_socket(
    bare: Tab, notebook: Path, provider: ThreadedProvider, app: str
) -> None:
    provider.scripts["relayed"] = answer(LONG, usage=(3, 40), hold_after=10)
    write_notebook(
        notebook,
        # One cell that takes as long as the answer: nothing the page says is heard meanwhile.
        HEAD + "import time\njob = submit('x', model='demo/relayed')\nview = job.view()\ndisplay(view)\n"
        "while view.status != 'completed':\n    time.sleep(0.05)",
        "HBox([view, view])",
    )
    tab = await bare.open(notebook.name, app=app)
    page = Page(tab)
    await tab.kernel_ready()
    await tab.page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")
    await page.shows(cell(0), "word9")
    await page.state(cell(0), "streaming")
    assert await tab.page.locator(f"{cell(0)} .jp-InputPrompt").text_content() == "[*]:"
    provider.release()
    await page.shows(cell(0), TEXT)
    await page.state(cell(0), "completed")
    assert await tab.page.evaluate("globalThis[Symbol.for('jupyter_bgstream/2')]") is None
    await tab.run(1)
    await page.state(cell(1), "completed", 2)
    await page.shows(cell(1), TEXT)
    await tab.save()
    await tab.page.reload()
    await page.state(".jp-Notebook", "completed", 3)
    await page.shows(cell(1), TEXT)
    assert tab.sockets == []
    assert not any("/api/bgstream/" in url for url in tab.requests)


async def test_hostile_answer_in_relayed_view_runs_and_loads_nothing(
    bare: Tab, server: Jupyter, notebook: Path, provider: ThreadedProvider
) -> None:
    for name in CORPUS:
        provider.scripts[f"widget-{name}"] = answer(deltas(CORPUS[name] + LAST))
    write_notebook(notebook, HEAD, *(f"submit('x', model='demo/widget-{name}').view()" for name in CORPUS))
    watch = await Watch(bare.page, server).start()
    tab = await bare.open(notebook.name)
    for number in range(len(CORPUS) + 1):
        await tab.run(number)
    for number in range(1, len(CORPUS) + 1):
        await tab.page.locator(cell(number)).scroll_into_view_if_needed()
        await Page(tab).state(cell(number), "completed")
        await Page(tab).shows(cell(number), "The end of it.")
        await watch.check(f"{cell(number)} .jp-bgstream-view")


async def test_stop_and_retry_without_socket_go_through_kernel(
    bare: Tab, notebook: Path, provider: ThreadedProvider
) -> None:
    provider.scripts["stopped"] = answer(LONG, hold_after=10)
    write_notebook(
        notebook, HEAD + "view = submit('x', model='demo/stopped').view()\nview", "view.status, view.newest != view.id"
    )
    tab = await bare.open(notebook.name)
    page = Page(tab)
    await tab.run(0)
    await page.state(cell(0), "streaming")
    await tab.page.locator(f"{cell(0)} [data-action=stop]").click()
    await page.state(cell(0), "cancelled")
    await page.shows(cell(0), "word9")
    provider.scripts["stopped"] = answer("At last.")
    await tab.page.locator(f"{cell(0)} [data-action=retry]").click()
    await page.state(cell(0), "completed")
    await page.shows(cell(0), "At last.")
    earlier = tab.page.locator(f"{cell(0)} details.jp-bgstream-retried")
    await earlier.locator("summary").click()
    await page.page.wait_for_function(
        "at => document.querySelector(`${at} .jp-bgstream-retried`)?.textContent.includes('word9')", arg=cell(0)
    )
    await tab.run(1)
    await tab.page.locator(cell(1)).get_by_text("('completed', True)").wait_for()


async def test_retry_in_page_updates_widget_in_kernel(lab: Lab, notebook: Path, provider: ThreadedProvider) -> None:
    provider.scripts["again"] = answer("Once.")
    write_notebook(
        notebook,
        HEAD + "newest = HTML()\nview = submit('x', model='demo/again').view()\nview",
        "dlink((view, 'text'), (newest, 'value'))\nnewest",
    )
    tab = await lab.tab(notebook.name)
    await tab.run(0)
    await tab.run(1)
    await Page(tab).words(f"{cell(1)} .widget-html-content", "Once.")
    provider.scripts["again"] = answer("Again.")
    await tab.page.locator(f"{cell(0)} [data-action=retry]").click()
    await Page(tab).words(f"{cell(1)} .widget-html-content", "Again.")
    await tab.close()


async def test_batch_widget_is_live_with_and_without_socket(
    lab: Lab, bare: Tab, server: Jupyter, notebook: Path, provider: ThreadedProvider
) -> None:
    provider.scripts["row"] = answer("a row")
    provider.scripts["held-row"] = answer(LONG, hold_after=10)
    models = ["demo/row", "demo/held-row", "demo/row"]
    rows = [{"id": f"widget-row-{number}", "model": model, "prompt": "x"} for number, model in enumerate(models)]
    with server.client() as client:
        client.post(
            "batches", json={"id": "widget-batch", "total": 3, "title": "Rows", "jobs": rows}
        ).raise_for_status()
    write_notebook(
        notebook,
        HEAD
        + "from types import SimpleNamespace\n"
        + "from jupyter_bgstream.client.default_connection import default_background\n"
        "from jupyter_bgstream.client.widgets.batch import BatchWidget\n"
        "batch = SimpleNamespace(id='widget-batch', _background=default_background, placeholder=dict)\n"
        "view = BatchWidget(batch)\ndone = HTML()\njslink((view, 'done'), (done, 'value'))\nHBox([view, done])",
    )
    tabs = [await lab.tab(notebook.name), await bare.open(notebook.name)]
    for tab in tabs:
        await tab.run(0)
        await Page(tab).state(cell(0), "running")
        await Page(tab).words(f"{cell(0)} .widget-html-content", "2")
    provider.release()
    for tab in tabs:
        await Page(tab).state(cell(0), "completed")
        await Page(tab).words(f"{cell(0)} .widget-html-content", "3")
    assert [len(tab.sockets) for tab in tabs] == [1, 0]
    await tabs[0].close()
