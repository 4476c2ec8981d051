"""A batch whose rows fail alike, in a real JupyterLab: it shows the reason, and continues when a user resumes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser.lab import Lab, Tab, saved_markdown, write_notebook
from browser.test_views import until_each
from browser.test_widget import Page, bare, cell, notebook  # noqa: F401 - fixtures
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, refusal

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TITLE = "Rows of a paused batch"
REVOKED = refusal(401, {"error": {"message": "This key was revoked.", "code": "invalid_api_key"}})
MAP = """import jupyter_bgstream as bg
b = bg.map(range(20), 'Row {{row}}', model='demo/{model}', title='{title}', max_concurrency=1)"""


async def buttons(tab: Tab, at: str = ".jp-Notebook") -> list[str]:
    # Also where nothing is drawn, as in a tab behind another.
    return await tab.page.locator(f"{at} .jp-bgstream-line button:not([hidden])").all_text_contents()


async def test_paused_batch_shows_reason_and_resumes(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> None:
    provider.scripts["paused-cell"] = REVOKED
    cells = (MAP.format(model="paused-cell", title=TITLE), "b.wait()", "6 * 7")
    path = write_notebook(server.root / "paused.ipynb", *cells)
    tab = await lab.tab("paused.ipynb")
    await tab.run(0)
    await tab.state(0, "paused")
    await until_each(tab, "numbers", "0 of 20 answered · 5 failed · 15 queued")
    assert "revoked" in (await tab.view(0).locator(".jp-bgstream-problem").all_text_contents())[0]
    assert await buttons(tab) == ["Retry 5 failed", "Resume", "Stop"]
    await tab.run(1)  # it raises
    await tab.page.wait_for_selector(".jp-OutputArea-output >> text=BatchPausedError")
    await tab.save()
    assert saved_markdown(path, 0).startswith(f"{TITLE}: 0 of 20 answered, 5 failed, paused: demo refused the key.")
    assert not await tab.dirty()
    with server.client() as client:  # a user who sees it needs no toast
        # Other tests leave notices in the same inbox.
        def notices() -> list[dict[str, Any]]:
            return [each for each in client.get("notices").json()["notices"] if each["title"] == TITLE]

        await tab.until(lambda: [each["read_at"] is not None for each in notices()] == [True])
        assert [each["paused"] is not None for each in notices()] == [True]
    await tab.page.reload()
    await tab.ready()
    await tab.state(0, "paused")

    await tab.page.get_by_role("button", name="Resume").click()  # the key is still revoked
    await until_each(tab, "numbers", "0 of 20 answered · 10 failed · 10 queued")
    await tab.state(0, "paused")
    provider.scripts["paused-cell"] = answer("fine", usage=(3, 2))
    await tab.page.get_by_role("button", name="Resume").click()
    await tab.state(0, "partly")
    await until_each(tab, "numbers", "10 of 20 answered · 10 failed")
    await tab.page.get_by_role("button", name="Retry 10 failed").click()
    await tab.state(0, "completed")
    await tab.save()
    assert saved_markdown(path, 0) == f"{TITLE}: 20 of 20 answered"
    assert len(provider.asked("paused-cell")) == 30
    await tab.close()


@pytest.mark.parametrize("action", ["Resume", "Stop"])
async def test_batch_widget_resumes_and_stops_with_and_without_socket(
    lab: Lab,
    bare: Tab,  # noqa: F811
    notebook: Path,  # noqa: F811
    provider: ThreadedProvider,
    action: str,
) -> None:
    model = f"paused-{action.lower()}"
    provider.scripts[model] = REVOKED
    write_notebook(notebook, MAP.format(model=model, title=model) + "\nNone", "b.view()")
    tabs = [await lab.tab(notebook.name), await bare.open(notebook.name)]
    for tab in tabs:
        await tab.run(0)
        await tab.run(1)
        await Page(tab).state(cell(1), "paused")
        assert await buttons(tab, cell(1)) == ["Retry 5 failed", "Resume", "Stop"]
    provider.scripts[model] = answer("fine")
    # The one without a socket asks by its kernel; both hear of it.
    await bare.page.locator(cell(1)).get_by_role("button", name=action).click()
    ended = "partly" if action == "Resume" else "failed"
    for tab in tabs:
        await Page(tab).state(cell(1), ended)
    await tabs[0].close()
