"""Answers that try to cover the page, in every view: our controls stay on top, no pixel leaves its box."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from browser.lab import Lab, Tab, write_notebook
from browser.test_hostile_content import CORPUS, FORBIDDEN, HOSTILE, Watch
from harness.jupyter import Jupyter
from playwright.async_api import Locator, Page, expect

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, refusal

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

COVERED = (HOSTILE / "covered.js").read_text()
LAST = "\n\nThe end of the overlays.\n"
OVERLAYS = "\n\n".join(CORPUS[name] for name in ("overlays", "overlaymaths")) + LAST
HIGH = "Z" + "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308" * 10 + "\u0316\u0317\u0318\u0319\u031c\u031d" * 6
TURNED = "\u202emoc.knab\u2066 \u200f"
TITLE = f'<b style="position:fixed" onclick=hit()>{HIGH}</b>{TURNED}'

HEAD = "%load_ext jupyter_bgstream\nimport jupyter_bgstream as bg\nfrom jupyter_bgstream.client import submit"
CELLS = (
    HEAD,
    "%%bg demo/overlays\nHello",
    "%%bg demo/overlays demo/overlays-too\nHello",
    f"batch = bg.map([{{'n': 1}}, {{'n': 2}}], 'Say {{n}}.', model='demo/overlays', title={TITLE!r})",
    "submit('Hello', model='demo/overlays').view()",
)


@pytest_asyncio.fixture(loop_scope="session")
async def page(lab: Lab, server: Jupyter, provider: ThreadedProvider) -> AsyncIterator[Page]:
    """A page in which every answer is the corpus of overlays; it may run and load nothing."""
    with server.client() as client:
        for job in client.get("jobs?limit=500").json()["jobs"]:
            client.delete(f"jobs/{job['id']}")
    provider.scripts["overlays"] = provider.scripts["overlays-too"] = answer([OVERLAYS])
    page = await lab.context.new_page()
    watch = await Watch(page, server).start()
    yield page
    assert await page.evaluate("window.hits") == []
    assert watch.wrong == []
    await page.close()


async def ended(page: Page, views: str, count: int) -> None:
    """Wait until so many views below the selector have ended and show the last words."""
    for number in range(count):  # a long answer is drawn where it is in sight
        view = page.locator(views).nth(number)
        await view.scroll_into_view_if_needed()
        await expect(view).to_have_attribute("data-drawn", "true")
    await page.wait_for_function(
        """([views, count, last]) => [...document.querySelectorAll(`${views}[data-drawn=true]`)].filter(
            view => view.querySelector('.jp-bgstream-text').textContent.includes(last)).length === count""",
        arg=[views, count, LAST.strip()],
    )
    # Formulas are set after that, and the first of all waits for MathJax.
    await page.wait_for_function(
        "views => [...document.querySelectorAll(views)].every(view => view.querySelector('mjx-container') !== null)",
        arg=f"{views} .jp-bgstream-text",
    )


async def covers_nothing(page: Page, controls: int) -> None:
    """Hit-test our controls, of which there are at least so many, and look for answers outside their boxes."""
    result = await page.evaluate(COVERED)
    assert not result["found"], "\n".join(result["found"])
    assert result["controls"] >= controls


async def paints_only_in(around: Locator, words: Locator) -> None:
    """Compare what is around the words with how it looks without them."""
    style = "(nodes, how) => nodes.forEach(node => node.style.setProperty('visibility', how, 'important'))"
    for left in reversed(range(5)):  # Lab may have changed something else meanwhile
        with_them = await settled(around, words)
        await words.evaluate_all(style, "hidden")
        without_them = await settled(around, words)
        await words.evaluate_all(style, "")
        if with_them == without_them:
            return
        assert left, "words are drawn outside their box"


async def settled(around: Locator, words: Locator) -> bytes:
    """Return an image, but for the words, as it stays: the same twice."""
    before = b""
    others = ".Toastify, .jp-bgstream-details { visibility: hidden !important }"  # Lab's own, and how long ago it was
    while True:
        after = await around.screenshot(mask=[words], animations="disabled", caret="hide", style=others)
        if after == before:
            return after
        before = after


async def test_overlays_in_cells_cover_no_control(page: Page, server: Jupyter, provider: ThreadedProvider) -> None:
    write_notebook(server.root / "overlays.ipynb", *CELLS)
    tab = await Tab(page, server).open("overlays.ipynb")
    for number in range(len(CELLS)):
        await tab.run(number)
    views = ".jp-Notebook .jp-bgstream-view:not(.jp-bgstream-batch)"
    await ended(page, views, 4)
    await page.wait_for_selector(".jp-bgstream-batch[data-state=completed]")
    await covers_nothing(page, 5)


async def test_overlays_in_streaming_answer_cover_no_control(
    page: Page, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["overlays"] = answer([OVERLAYS, "more"], hold_after=1)
    write_notebook(server.root / "streams.ipynb", *CELLS[:2])
    tab = await Tab(page, server).open("streams.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.shows(1, LAST.strip())
    await tab.state(1, "streaming")
    await covers_nothing(page, 1)
    await tab.view(1).locator("[data-action=stop]").click()
    await tab.state(1, "cancelled")


async def test_overlays_in_thread_cover_no_control(page: Page, server: Jupyter) -> None:
    with server.client() as client:
        jobs = []
        for _ in range(2):
            form = {"model": "demo/overlays", "prompt": OVERLAYS, "thread": "over"}
            jobs.append(client.post("jobs", json=form).json()["id"])
            while "Stream-Closed" not in client.get(f"jobs/{jobs[-1]}/events?offset=now&live=long-poll").headers:
                pass
        client.delete(f"jobs/{jobs[0]}")  # of the first only its text is left
    write_notebook(server.root / "thread.ipynb", "1")
    tab = await Tab(page, server).open("thread.ipynb")
    await open_panel(tab)
    await page.locator(".jp-bgstream-panel [data-thread=over] [data-action=open]").click()
    thread = page.get_by_role("region", name="Thread over")
    await expect(thread.locator(".jp-bgstream-gone")).to_be_attached()
    await ended(page, ".jp-bgstream-thread .jp-bgstream-view", 1)
    await expect(thread.locator(".jp-bgstream-text")).to_have_count(2)
    await covers_nothing(page, 8)
    for text in await thread.locator(".jp-bgstream-text").all():
        assert not (await text.evaluate(FORBIDDEN))["found"]


async def test_overlays_in_panel_and_its_tab_cover_no_control(
    page: Page, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["refused"] = refusal(400, {"error": {"message": TITLE}})
    with server.client() as client:
        for model in ("overlays", "refused"):
            form = {"model": f"demo/{model}", "prompt": "Hello", "title": TITLE, "tags": ["<b onclick=hit()>"]}
            job = client.post("jobs", json=form).json()["id"]
            while "Stream-Closed" not in client.get(f"jobs/{job}/events?offset=now&live=long-poll").headers:
                pass
    write_notebook(server.root / "panel.ipynb", "1")
    tab = await Tab(page, server).open("panel.ipynb")
    await open_panel(tab)
    jobs = page.locator(".jp-bgstream-jobs .jp-bgstream-row")
    await expect(jobs).to_have_count(2)
    await expect(jobs.first).to_contain_text("moc.knab")
    await covers_nothing(page, 4)
    await paints_only_in(
        page.locator(".jp-bgstream-panel"),
        page.locator(".jp-bgstream-panel :is(.jp-bgstream-title, .jp-bgstream-preview)"),
    )
    await jobs.last.locator("[data-action=open]").click()
    await ended(page, ".jp-bgstream-main .jp-bgstream-view", 1)
    await covers_nothing(page, 5)


async def test_hostile_title_in_toast_and_dialog_is_text(page: Page, server: Jupyter) -> None:
    write_notebook(server.root / "toast.ipynb", "1")
    tab = await Tab(page, server).open("toast.ipynb")
    await open_panel(tab)
    with server.client() as client:
        client.post("jobs", json={"model": "demo/overlays", "prompt": "Hello", "title": TITLE})
    toast = page.locator(".Toastify__toast", has_text="<b style=")  # Lab cuts it off
    await expect(toast).to_be_visible()
    row = page.locator(".jp-bgstream-jobs .jp-bgstream-row")
    await row.hover()
    await row.locator("[data-action=delete]").click()
    dialog = page.locator(".jp-Dialog-body")
    await expect(dialog).to_contain_text("<b style=")
    await page.keyboard.press("Escape")


async def test_overlays_in_widget_without_labextension_cover_no_control(lab: Lab, page: Page, server: Jupyter) -> None:
    await page.route("**/extensions/jupyter-bgstream/**", lambda route: route.abort())
    write_notebook(server.root / "bare.ipynb", *CELLS[:1], CELLS[-1])
    tab = await Tab(page, server).open("bare.ipynb")
    await tab.run(0)
    await tab.run(1)
    await page.wait_for_selector(".jp-bgstream-view[data-state=completed]")
    await tab.shows(1, LAST.strip())
    await covers_nothing(page, 1)


async def test_kernel_tables_have_no_typeset_formula_and_no_link(
    page: Page, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["overlays"] = answer("Hello.")
    formula = "$\\style{cursor:url(/canary-hit)}{x}$"
    form = {"model": "demo/overlays", "prompt": "Hello", "title": formula, "thread": "tables"}
    with server.client() as client:
        job = client.post("jobs", json=form).json()["id"]
    formulas = "from IPython.display import HTML\nHTML('$x$')"
    tables = ("%bg", f"%bg show {job}", "%bg threads")
    write_notebook(server.root / "tables.ipynb", HEAD, *tables, formulas)
    tab = await Tab(page, server).open("tables.ipynb")
    for number in range(len(tables) + 2):
        await tab.run(number)
    outputs = page.locator(".jp-Notebook .jp-OutputArea-output")
    await expect(outputs.last.locator("mjx-container")).to_be_attached()
    await expect(page.locator(".jp-Notebook table")).to_have_count(len(tables))
    await expect(page.locator(".jp-Notebook mjx-container")).to_have_count(1)
    await expect(page.locator(".jp-Notebook table a")).to_have_count(0)


@pytest.mark.parametrize("text", [f"{HIGH} first\n\nand {HIGH}", "$\\raise 5em{x}$ $\\rlap{\\kern-9em x}$"])
async def test_answer_paints_no_pixel_outside_its_box(
    page: Page, server: Jupyter, provider: ThreadedProvider, text: str
) -> None:
    provider.scripts["overlays"] = answer([text])
    write_notebook(server.root / "pixels.ipynb", *CELLS[:2], "1")
    tab = await Tab(page, server).open("pixels.ipynb")
    await tab.run(0)
    await tab.run(1)
    await tab.state(1, "completed")
    if "$" in text:
        await page.wait_for_selector(".jp-bgstream-text mjx-container")
    await paints_only_in(page.locator(".jp-Notebook"), page.locator(".jp-bgstream-text"))


async def open_panel(tab: Tab) -> None:
    # Not before the layout is restored, which would close it again.
    await tab.page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await tab.page.wait_for_selector(".jp-bgstream-panel:visible")
