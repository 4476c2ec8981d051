"""Hostile answers in a real JupyterLab: they run nothing, fetch nothing and stay in their frame."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from browser.lab import Tab, write_notebook
from harness.jupyter import Jupyter
from playwright.async_api import BrowserContext, Page, Route

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOSTILE = Path(__file__).parent / "hostile"

# In the corpus `hit()` is the canary: any call of it is a script of it that ran. `canary-hit` is in every address.
ODD = (
    "\u202e evil \u2066\u200b\u200d\ufeff text \u0000\u0007 \x1b[31mred\x1b]8;;javascript:hit()\x07link\x1b[0m\n\n"
    + "> " * 300 + "deep\n\n" + "<div>" * 600 + "deep" + "</div>" * 600 + "\n\n"
    + "[" * 300 + "x" + "](javascript:hit())" * 300 + "\n\n" + "*_" * 500 + "\n\n" + "`" * 301 + "\n\n"
    + "| a | b |\n|---|---|\n| <script>hit()</script> | ![x](https://evil.example/canary-hit) |\n\n"
    + "- [ ] <img src=x onerror=hit()>\n"
)  # fmt: skip
CORPUS = {path.stem: path.read_text() for path in sorted(HOSTILE.glob("*.md"))} | {"odd": ODD}
LAST = "\n\n\nThe end of it.\n"

# Run in the page: what of the answer should not be there. MathJax draws with styles and ids of its own.
FORBIDDEN = (HOSTILE / "forbidden.js").read_text()


class Watch:
    """Notes all that a page should not do."""

    def __init__(self, page: Page, server: Jupyter) -> None:
        self.wrong: list[str] = []
        self._page = page
        self._home = server.url
        page.on("dialog", self._dialog)
        page.on("popup", lambda popup: self.wrong.append(f"a window: {popup.url}"))
        page.on("download", lambda download: self.wrong.append(f"a download: {download.url}"))
        page.on("framenavigated", self._navigated)

    async def start(self) -> Watch:
        await self._page.add_init_script("window.hits = []; window.hit = () => { window.hits.push(new Error().stack) }")
        await self._page.route("**/*", self._request)
        return self

    async def _request(self, route: Route) -> None:
        url = route.request.url
        if "canary-hit" in url or not url.startswith((self._home, "data:", "blob:")):
            self.wrong.append(f"a request: {url}")
            await route.abort()
        else:
            await route.continue_()

    async def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    def _navigated(self, frame: Any) -> None:
        if frame is not self._page.main_frame or not frame.url.startswith(self._home):
            self.wrong.append(f"a navigation: {frame.url}")

    async def check(self, selector: str) -> None:
        """Assert that the page shows answers below the selector, and that nothing happened."""
        result = await self._page.locator(selector).first.evaluate(FORBIDDEN)
        assert result["texts"] == 1
        assert not result["found"], "\n".join(result["found"])
        assert await self._page.evaluate("window.hits") == []
        assert self.wrong == []


def deltas(text: str) -> list[str]:
    """The text in small pieces, so that every tag is seen half as well."""
    chance = random.Random(7)
    pieces = []
    while text:
        size = chance.randint(3, 90)
        pieces, text = [*pieces, text[:size]], text[size:]
    return pieces


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pages(context: BrowserContext, server: Jupyter) -> AsyncIterator[list[tuple[Tab, Watch]]]:
    """Two pages for all answers: one has followed them, the other one knows only the saved text."""
    write_notebook(server.root / "empty.ipynb", "1")
    pages = []
    for _ in range(2):
        page = await context.new_page()
        watch = await Watch(page, server).start()
        tab = await Tab(page, server).open("empty.ipynb")
        await page.evaluate("jupyterapp.restored")
        pages.append((tab, watch))
    yield pages
    for tab, _ in pages:
        await tab.close()


@pytest.mark.parametrize("name", CORPUS)
async def test_hostile_answer_in_cell_runs_and_loads_nothing(
    pages: list[tuple[Tab, Watch]], server: Jupyter, provider: ThreadedProvider, name: str
) -> None:
    pieces = deltas(CORPUS[name] + LAST)
    provider.scripts[f"hostile-{name}"] = answer(pieces, hold_after=len(pieces))
    write_notebook(
        server.root / f"hostile-{name}.ipynb", "%load_ext jupyter_bgstream", f"%%bg demo/hostile-{name}\nHello"
    )
    (tab, watch), (saved, watch_saved) = pages
    page = tab.page
    await tab.replace(f"hostile-{name}.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, "The end of it.")  # live: the answer has not ended
    await tab.state(1, "streaming")
    view = ".jp-Notebook .jp-bgstream-view"
    assert await page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).trusted")
    await watch.check(view)
    provider.release()
    await tab.state(1, "completed")
    await tab.shows(1, "The end of it.")
    await watch.check(view)
    # Nor where a person clicks, and looks at what there is to hover.
    for link in await page.locator(f"{view} .jp-bgstream-text").locator("a, button, summary, input").all():
        await link.dispatch_event("mouseover")
        if await link.get_attribute("target") is None and not (await link.get_attribute("href") or "").startswith(
            "http"
        ):
            await link.dispatch_event("click")
    await tab.save()
    await watch.check(view)
    await saved.replace(f"hostile-{name}.ipynb")  # what was saved is the first paint, in a trusted notebook
    await saved.state(1, "completed")
    await saved.shows(1, "The end of it.")
    await watch_saved.check(view)


@pytest.mark.parametrize("name", CORPUS)
async def test_hostile_answer_in_panel_tab_runs_and_loads_nothing(
    pages: list[tuple[Tab, Watch]], server: Jupyter, provider: ThreadedProvider, name: str
) -> None:
    provider.scripts[f"panel-{name}"] = answer(deltas(CORPUS[name] + LAST))
    hostile = {
        "model": f"demo/panel-{name}",
        "prompt": "Hello",
        "title": "<img src=x onerror=hit()>",
        "tags": ["<b onclick=hit()>"],
    }
    with server.client() as client:
        job = client.post("jobs", json=hostile).json()["id"]
    tab, watch = pages[0]
    page = tab.page
    await page.evaluate("jupyterapp.shell.activateById('jp-bgstream-panel')")
    await page.locator(f".jp-bgstream-panel [data-job='{job}'] [data-action=open]").first.click()
    view = f".jp-bgstream-view[data-job='{job}']"
    await page.wait_for_selector(f"{view}[data-state=completed]")
    await page.wait_for_function("job => document.querySelector(job)?.textContent.includes('The end of it.')", arg=view)
    await watch.check(view)
    assert await page.locator(".jp-bgstream-panel img, .jp-bgstream-panel b[onclick]").count() == 0
    await page.evaluate("jupyterapp.shell.currentWidget.close()")
