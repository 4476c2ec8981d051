"""Two people on one server: the panel and a thread name the submitter of each job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, new_lab, write_notebook
from harness.jupyter import Jupyter
from harness.people import COOKIE, ask, server_of_people, until_ended
from playwright.async_api import Browser, expect

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PANEL = ".jp-bgstream-panel"
ADA = "ada"
BOB = "<img src=x onerror=\"document.title='hacked'\"> בוב " + "x" * 400


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    provider.scripts["bears"] = answer("See the bears.", usage=(3, 4))
    config = {
        "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}, "default_model": "demo/bears"},
        "LabApp": {"expose_app_in_browser": True},
    }
    with server_of_people(tmp_path_factory.mktemp("people"), config, lab=True) as server:
        write_notebook(server.root / "trip.ipynb", "%load_ext jupyter_bgstream", "%%bg --thread trip\nAsked in a cell")
        yield server


async def lab_of(browser: Browser, server: Jupyter, person: str) -> Lab:
    lab = await new_lab(browser, server)
    await lab.context.add_cookies([{"name": COOKIE, "value": quote(person), "url": server.url}])
    return lab


@pytest_asyncio.fixture(loop_scope="session")
async def labs(browser: Browser, people: Jupyter) -> AsyncIterator[tuple[Lab, Lab]]:
    labs = (await lab_of(browser, people, ADA), await lab_of(browser, people, BOB))
    yield labs
    for lab in labs:
        await lab.context.close()


async def open_panel(tab: Tab) -> None:
    # Not before the layout is restored, which would close it again.
    await tab.page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await tab.page.wait_for_selector(f"{PANEL}:visible")


async def test_panel_and_thread_name_other_submitters(labs: tuple[Lab, Lab], people: Jupyter) -> None:
    of_ada, of_bob = [await lab.tab("trip.ipynb") for lab in labs]
    await of_ada.run(0)
    await of_ada.run(1)
    await of_ada.state(1, "completed")
    await open_panel(of_ada)
    names = of_ada.page.locator(f"{PANEL} .jp-bgstream-jobs .jp-bgstream-by")
    thread = of_ada.page.get_by_role("region", name="Thread trip")

    # A kernel names no submitter, and ada is alone: her name is not shown.
    await of_ada.page.locator(f"{PANEL} [data-thread=trip] [data-action=open]").click()
    await thread.get_by_label("Continue the thread trip").fill("Asked by Ada")
    await of_ada.page.keyboard.press("Control+Enter")
    await expect(names).to_have_text(["", ""])
    await expect(thread.locator(".jp-bgstream-role")).to_have_text(["You", "You"])
    newest, cells = ask(people, ADA, "GET", "jobs")["jobs"]
    assert (newest["submitted_by"], cells["submitted_by"]) == (ADA, None)
    until_ended(people, newest["id"])

    # Bob sees whose job it is, and asks it again.
    await open_panel(of_bob)
    row = of_bob.page.locator(f"{PANEL} .jp-bgstream-jobs [data-job='{newest['id']}']")
    await expect(row.locator(".jp-bgstream-by")).to_have_text("by ada")
    await of_bob.page.locator(f"{PANEL} [data-thread=trip] [data-action=open]").click()
    asked = of_bob.page.get_by_role("region", name="Thread trip").locator(".jp-bgstream-role")
    await expect(asked).to_have_text(["Question", "ada"])
    await row.hover()
    await row.locator("[data-action=retry]").first.click()

    # His name is text to ada, with any length and content. Ada is still the one that asked.
    shown = ask(people, BOB, "GET", "jobs")["viewer"]
    assert (shown[:4], len(shown)) == ("<img", 200)
    await expect(names.first).to_have_text(f"by {shown}")
    await of_ada.page.locator(f"{PANEL} .jp-bgstream-jobs summary:visible").click()
    await expect(names).to_have_text([f"by {shown}", "by ada", ""])
    await expect(thread.locator(".jp-bgstream-role")).to_have_text(["Question", "You"])
    name = names.first.locator("bdi")
    assert await name.get_attribute("dir") == "auto"
    assert await of_ada.page.locator(PANEL).evaluate("panel => panel.scrollWidth - panel.clientWidth") == 0
    for tab in (of_ada, of_bob):
        assert await tab.page.title() != "hacked"
        assert await tab.page.locator(f"{PANEL} img[src=x]").count() == 0
        assert tab.errors == []
