"""Long lists and long names do not block the page: toasts, mutes, a retry chain, a relayed widget.

The other places are in ``test_costly_places.py``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from browser.lab import Tab, write_notebook
from browser.places import HARMLESS, LOGS, LONG, MANY, SHAPES, Event
from browser.tasks import Tasks, assert_within
from browser.test_costly_places import BUDGET, DRAW_SAVED, PATIENCE, SHAPE, SOCKET, judge, measured
from harness.jupyter import Jupyter
from playwright.async_api import Browser, BrowserContext, Page, Route

from jupyter_bgstream.client.widgets.base import CODE
from jupyter_bgstream.core.codec import BUNDLE_MIME
from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import answer, refusal

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

MUTES = 500
TOASTS = 20
RETRIES = 60
FOLLOWED = 49  # of them, from the first on

# A page with nothing but the widget's code, whose kernel is the test.
WIDGET_PAGE = """<!doctype html><meta charset=utf-8><body><script type=module>
import widget from './widget.js';
class Model {
    state = {kind: 'job', id: 'costly', key: 'k', model: 'demo/gone', connection: 'online', log: 0};
    listeners = [];
    get = name => this.state[name];
    send = () => undefined;
    on = (name, listener) => this.listeners.push([name, listener]);
    off = () => undefined;
    relay(entry) {
        this.state[`log_${this.state.log++}`] = JSON.stringify(entry);
        this.listeners.filter(([name]) => name === 'change').forEach(([, listener]) => listener());
    }
}
window.drawWidget = async frames => {
    const [model, el] = [new Model(), document.createElement('div')];
    const leave = widget.render({model, el});
    const done = await lookAt(el);
    for (const entry of frames) {
        model.relay(entry);
        await new Promise(done => setTimeout(done));
    }
    const drawn = el.querySelector('.jp-bgstream-view');
    while (drawn.dataset.state !== 'waiting' && drawn.dataset.drawn !== 'true') await frame();
    const elements = await done();
    leave();
    return elements;
};
window.ready = true;
</script>"""


def relayed(frames: list[list[Event]]) -> list[Event]:
    """Return the frames of a log as a kernel relays them."""
    ends = range(1, len(frames) + 1)
    return [
        {"type": "events", "job": "costly", "cursor": f"c{end}", "events": events, "closed": end == len(frames)}
        for end, events in zip(ends, frames, strict=True)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare(context: BrowserContext) -> AsyncIterator[Page]:
    page = await context.new_page()

    async def serve(route: Route) -> None:
        if route.request.url.endswith("widget.js"):
            await route.fulfill(body=CODE.read_text(), content_type="text/javascript")
        else:
            await route.fulfill(body=WIDGET_PAGE, content_type="text/html")

    await page.route("http://widget.test/**", serve)
    await page.add_init_script(SOCKET)
    await page.goto("http://widget.test/")
    await page.wait_for_function("window.ready")
    await draw_relayed(page, LOGS["an error"](lambda _: SHAPES["scripts"](50)))  # loads fonts
    yield page
    await page.close()


async def draw_relayed(page: Page, frames: list[list[Event]]) -> float:
    browser = page.context.browser
    assert browser is not None
    await page.evaluate("given => { window.given = given; }", relayed(frames))
    longest = math.inf
    for _ in range(3):  # a busy machine adds to CPU time and never takes from it
        async with asyncio.timeout(PATIENCE), Tasks(browser, page) as tasks:
            await page.evaluate("drawWidget(given)")
        longest = min(longest, tasks.longest)
        if longest <= BUDGET:
            break
    return longest


@pytest.mark.parametrize("place", LOGS)
async def test_long_texts_in_widget_without_labextension_do_not_block_page(bare: Page, place: str) -> None:
    floor = await draw_relayed(bare, LOGS[place](lambda _: HARMLESS))
    judge({name: await draw_relayed(bare, LOGS[place](SHAPES[name])) for name in SHAPE}, floor)


@pytest.mark.parametrize("place", MANY)
async def test_many_parts_in_widget_without_labextension_do_not_block_page(bare: Page, place: str) -> None:
    floor = await draw_relayed(bare, LOGS["an error"](lambda _: HARMLESS))
    judge({place: await draw_relayed(bare, MANY[place])}, floor)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tab(context: BrowserContext, server: Jupyter) -> AsyncIterator[Tab]:
    """A page of Lab with the panel, which has drawn letters of all scripts."""
    write_notebook(server.root / "lists.ipynb", "1")
    page = await context.new_page()
    await page.add_init_script(SOCKET)
    tab = await Tab(page, server).open("lists.ipynb")
    await page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.activateById('jp-bgstream-panel'))")
    await page.evaluate(DRAW_SAVED, {"text/plain": SHAPES["scripts"](50), BUNDLE_MIME: {"id": "no id"}})
    yield tab
    await tab.close()


async def test_toasts_with_long_titles_do_not_block_page(
    browser: Browser, tab: Tab, server: Jupyter, provider: ThreadedProvider
) -> None:
    provider.scripts["toasted"] = answer("a")

    async def measure() -> dict[str, float]:
        longest = {}
        for name in ("warm", "harmless", *SHAPE):
            words = HARMLESS if name in ("warm", "harmless") else SHAPES[name](2000)
            job = {"model": "demo/toasted", "prompt": words, "title": words[:200]}
            async with asyncio.timeout(PATIENCE), Tasks(browser, tab.page) as tasks:
                with server.client() as client:
                    for _ in range(TOASTS):
                        client.post("jobs", json=job).raise_for_status()
                await tab.page.wait_for_function(
                    "document.querySelectorAll('.jp-Notification-Toast-success').length > 2"
                )
                await tab.page.evaluate("frame().then(frame)")
            longest[name] = tasks.longest
            with server.client() as client:
                client.post("notices/read", json={"all": True}).raise_for_status()
            await tab.page.locator(".jp-Notification-Toast-success").first.wait_for(state="detached")
        del longest["warm"]
        return longest

    await assert_within(BUDGET, measure)


async def test_many_mutes_in_panel_do_not_block_page(browser: Browser, tab: Tab, server: Jupyter) -> None:
    muted = tab.page.locator(".jp-bgstream-panel .jp-bgstream-muted")
    long = [f"{n} {SHAPES[SHAPE[n % len(SHAPE)]](990)}" for n in range(MUTES)]

    async def measure() -> dict[str, float]:
        longest = {}
        for name, names in {"harmless": [HARMLESS], "long": long}.items():
            with server.client() as client:
                for each in names:
                    client.put("mutes", params={"thread": each}).raise_for_status()
            async with asyncio.timeout(PATIENCE), Tasks(browser, tab.page) as tasks:
                await tab.page.evaluate("liveSocket.close()")  # with the next one the page reads them
                await muted.locator("summary", has_text=f"{len(names)} muted").wait_for()
                await muted.evaluate("details => { details.open = true; }")
                await muted.locator("[data-mute]").last.wait_for()
                await tab.page.evaluate("frame().then(frame)")
            longest[name] = tasks.longest
            await muted.evaluate("details => { details.open = false; }")
            with server.client() as client:
                for each in names:
                    client.delete("mutes", params={"thread": each}).raise_for_status()
        return longest

    await assert_within(BUDGET, measure)


def ended(client: httpx.Client, job: str) -> None:
    while "Stream-Closed" not in client.get(f"jobs/{job}/events?offset=now&live=long-poll").headers:
        pass


async def test_long_retry_chain_does_not_block_page(
    browser: Browser, tab: Tab, server: Jupyter, provider: ThreadedProvider
) -> None:
    """Show the first job of a chain in which each job retries the one before it."""

    async def measure() -> dict[str, float]:
        longest = {}
        for name in ("harmless", *SHAPE):
            words = HARMLESS if name == "harmless" else SHAPES[name](LONG // 10)
            provider.scripts["chain"] = refusal(400, {"error": {"message": words}})
            with server.client() as client:
                first = job = client.post("jobs", json={"model": "demo/chain", "prompt": "x"}).json()["id"]
                ended(client, job)
                for _ in range(1 if name == "harmless" else RETRIES):
                    job = client.post(f"jobs/{job}/retry").json()["id"]
                    ended(client, job)
            saved = {BUNDLE_MIME: {"id": first, "cursor": "-1", "status": "failed", "model": "demo/chain"}}
            longest[name] = await measured(browser, tab, SHOW_CHAIN, saved | {"text/plain": "a"})
            assert await tab.page.evaluate("window.earlier") == (1 if name == "harmless" else FOLLOWED)
        return longest

    await assert_within(BUDGET, measure)


# Show an output, wait until it knows its newest job, and open all earlier ones.
SHOW_CHAIN = """async data => {
    const {rendermime} = jupyterapp.shell.currentWidget.content;
    const renderer = rendermime.createRenderer(rendermime.preferredMimeType(data, 'any'));
    const done = await lookAt(renderer.node);
    await renderer.renderModel({data, metadata: {}, trusted: false, setData: () => undefined});
    const earlier = () => [...renderer.node.querySelectorAll('details.jp-bgstream-retried')];
    while (earlier().length === 0) await frame();
    for (const each of earlier()) {
        each.querySelector('summary').click();
        await frame();
    }
    window.earlier = earlier().length;
    while (earlier().some(each => each.textContent.length < 100)) await frame();
    await done();
    renderer.dispose();
}"""
