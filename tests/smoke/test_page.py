"""A cell's answer, the panel, a widget and a batch in JupyterLab and in Notebook 7."""

from __future__ import annotations

import pytest
from browser.lab import Lab, Tab, saved_markdown, write_notebook
from harness.jupyter import Jupyter
from playwright.async_api import ConsoleMessage, Error

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OURS = "/extensions/jupyter-bgstream/"  # in the address of what our bundle runs
TEXT = "# A title\n\nSome *emphasis* and the last words."
CELLS = (
    "%load_ext jupyter_bgstream\nimport jupyter_bgstream as bg",
    "%%bg scripted/{name}\nHello",
    "6 * 7",
    "bg.submit('Hello', model='scripted/{name}-view').view()",
    "rows = [{{'text': 'A lovely, friendly house.'}}, {{'text': 'Cold and late.'}}, {{'text': 'Loud, bad.'}}]\n"
    "batch = bg.map(rows, 'How does this sound? {{text}}', model='demo/mood')\n"
    "batch.wait(60)\n"
    "len(batch.to_frame()), batch.counts['completed']",
)


@pytest.mark.parametrize("app", ["lab", "notebook"])
async def test_page_shows_answer_panel_widget_and_batch(
    lab: Lab, server: Jupyter, provider: ThreadedProvider, app: str
) -> None:
    provider.scripts[app] = answer(TEXT, hold_after=5)
    provider.scripts[f"{app}-view"] = answer("A widget's answer.")
    name = f"smoke-{app}.ipynb"
    write_notebook(server.root / name, *(cell.format(name=app) for cell in CELLS))
    tab = Tab(await lab.context.new_page(), server)
    complaints: list[str] = []
    tab.page.on("console", lambda message: complaints.extend(version_complaints(message)))
    tab.page.on("pageerror", lambda error: complaints.extend(errors(error)))
    await tab.open(name, app=app)

    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "Some emphasis")
    await tab.state(1, "streaming")
    await tab.run(2)
    await tab.page.wait_for_selector(".jp-OutputArea-executeResult >> text=42")

    await open_panel(tab, app)
    job = await tab.job(1)
    await tab.page.wait_for_selector(f".jp-bgstream-panel:visible .jp-bgstream-jobs [data-job='{job}']")
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "the last words.")

    await tab.run(3)
    await tab.shows(3, "A widget's answer.")
    await tab.state(3, "completed")
    await tab.run(4)
    await tab.page.wait_for_selector(".jp-OutputArea-executeResult >> text=(3, 3)")

    await tab.save()
    assert saved_markdown(server.root / name, 1) == TEXT
    assert not complaints


def version_complaints(message: ConsoleMessage) -> list[str]:
    """Return what the page says of a shared module whose version does not fit our bundle."""
    ours = OURS in message.location["url"]
    return [message.text] if ours and "of shared singleton module" in message.text else []


def errors(error: Error) -> list[str]:
    """Return an uncaught error of our code, and none of Notebook's own."""
    return [str(error)] if OURS in (error.stack or "") else []


async def open_panel(tab: Tab, app: str) -> None:
    if app == "notebook":
        await tab.page.locator("#jp-bgstream-badge [data-action=show-panel]").click()
        return
    await tab.page.evaluate("jupyterapp.restored")
    await tab.page.locator(".jp-SideBar .jp-bgstream-tab").click()
