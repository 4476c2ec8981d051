"""Untrusted texts do not block the page: each place gets very long ones, and very many.

The text of answers has its own test, ``test_costly_answers.py``. CI draws some of the texts; BGSTREAM_COSTLY=all draws
all of them in all places.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from browser.lab import Tab, write_notebook
from browser.places import HARMLESS, LOGS, LONG, MANY, SAVED, SHAPES, Event
from browser.tasks import Tasks, assert_within
from harness.jupyter import Jupyter
from playwright.async_api import Browser, BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

BUDGET = 200  # ms of the processor for one task, beyond what harmless words in the same place take
PATIENCE = 120  # seconds; longer than this is a page that hangs
ROWS = 20  # of the panel
SHAPE = list(SHAPES) if os.environ.get("BGSTREAM_COSTLY") == "all" else ["letters", "scripts"]

# Frames of jobs that the server does not know are given to the page's own socket.
SOCKET = """
window.WebSocket = class extends WebSocket {
    constructor(...args) {
        super(...args);
        if (String(args[0]).includes('/api/bgstream/live')) window.liveSocket = this;
    }
};
window.frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
// Show an element, open all that it folds away, and go to its end.
window.lookAt = async node => {
    const box = document.createElement('div');
    box.style = 'position: fixed; inset: 100px; z-index: 9; overflow: auto; background: white';
    box.append(node);
    document.body.append(box);
    await frame();
    return async () => {
        for (let n = 0; n < 8; n++) {
            const closed = [...node.querySelectorAll('details:not([open]) > summary, [data-action=show-rest]')];
            // Each question for the visibility of an element is a layout: ask for few.
            const isSeen = each => each.checkVisibility();
            const next = n % 2 ? closed.findLast(isSeen) : closed.find(isSeen);
            if (next === undefined) break;
            await frame(); // the search is not part of what is measured
            next.click();
            await frame();
            await frame();
        }
        for (const each of [box, ...node.querySelectorAll('.jp-bgstream-plain, .jp-bgstream-folded')].slice(0, 9)) {
            each.scrollTop = each.scrollHeight;
            await frame();
            each.scrollTop = each.scrollHeight / 2;
            await frame();
        }
        const elements = node.getElementsByTagName('*').length;
        box.remove();
        return elements;
    };
};
"""

DRAW_LOG = """async ([model, logs]) => {
    const job = 'costly-' + Math.random().toString(36).slice(2);
    const frames = logs.map((events, i) => JSON.stringify(
        {type: 'events', job, cursor: `00000000_0001_${i}`, events, closed: i === logs.length - 1}));
    const view = globalThis[Symbol.for('jupyter_bgstream/2')].answer({job, model, saved: null});
    const done = await lookAt(view.node);
    const drawn = view.node.querySelector('.jp-bgstream-view');
    while (drawn.dataset.state !== 'missing') await frame();
    for (const data of frames) {
        liveSocket.dispatchEvent(new MessageEvent('message', {data}));
        await new Promise(done => setTimeout(done));
    }
    while (drawn.dataset.state !== 'waiting' && drawn.dataset.drawn !== 'true') await frame();
    const elements = await done();
    view.dispose();
    return elements;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tab(context: BrowserContext, server: Jupyter) -> AsyncIterator[Tab]:
    """A page that takes frames from the test beside those of its server."""
    write_notebook(server.root / "places.ipynb", "1")
    page = await context.new_page()
    await page.add_init_script(SOCKET)
    tab = await Tab(page, server).open("places.ipynb")
    await page.evaluate("jupyterapp.restored")
    # Fonts that are looked for once, by some letters.
    await page.evaluate(DRAW_LOG, ["demo/gone", LOGS["an error"](lambda _: SHAPES["scripts"](50))])
    for saved in SAVED.values():
        await page.evaluate(DRAW_SAVED, saved(lambda _: SHAPES["scripts"](50)))
    yield tab
    await tab.close()


DRAW_SAVED = """async data => {
    const {rendermime} = jupyterapp.shell.currentWidget.content;
    const renderer = rendermime.createRenderer(rendermime.preferredMimeType(data, 'any'));
    const done = await lookAt(renderer.node);
    await renderer.renderModel({data, metadata: {}, trusted: false, setData: () => undefined});
    await frame();
    const elements = await done();
    renderer.dispose();
    return elements;
}"""


async def measured(browser: Browser, tab: Tab, script: str, given: object) -> float:
    """Return the CPU time of a script's longest task, in ms; one that takes too long has failed.

    A busy machine adds to CPU time and never takes from it, so that the least of three runs counts.
    """
    await tab.page.evaluate("given => { window.given = given; }", given)  # reading megabytes is not measured
    longest = math.inf
    for _ in range(3):
        async with asyncio.timeout(PATIENCE), Tasks(browser, tab.page) as tasks:
            await tab.page.evaluate(f"({script})(given)")
        longest = min(longest, tasks.longest)
        if longest <= BUDGET:
            break
    return longest


async def draw_log(browser: Browser, tab: Tab, frames: list[list[Event]]) -> float:
    return await measured(browser, tab, DRAW_LOG, ["demo/gone", frames])


def judge(longest: dict[str, float], floor: float) -> None:
    wrong = {name: f"{busy:.0f} ms (harmless: {floor:.0f} ms)" for name, busy in longest.items()}
    assert all(busy <= floor + BUDGET for busy in longest.values()), wrong


@pytest.mark.parametrize("place", LOGS)
async def test_long_texts_in_log_do_not_block_page(browser: Browser, tab: Tab, place: str) -> None:
    floor = await draw_log(browser, tab, LOGS[place](lambda _: HARMLESS))
    judge({name: await draw_log(browser, tab, LOGS[place](SHAPES[name])) for name in SHAPE}, floor)


@pytest.mark.parametrize("place", MANY)
async def test_many_parts_in_log_do_not_block_page(browser: Browser, tab: Tab, place: str) -> None:
    floor = await draw_log(browser, tab, LOGS["an error"](lambda _: HARMLESS))
    judge({place: await draw_log(browser, tab, MANY[place])}, floor)


async def test_long_model_name_does_not_block_page(browser: Browser, tab: Tab) -> None:
    frames = LOGS["an error"](lambda _: HARMLESS)
    floor = await draw_log(browser, tab, frames)
    found = {name: await measured(browser, tab, DRAW_LOG, [SHAPES[name](LONG), frames]) for name in SHAPE}
    judge(found, floor)


@pytest.mark.parametrize("place", SAVED)
async def test_long_texts_in_saved_output_do_not_block_page(browser: Browser, tab: Tab, place: str) -> None:
    floor = await measured(browser, tab, DRAW_SAVED, SAVED[place](lambda _: HARMLESS))
    found = {name: await measured(browser, tab, DRAW_SAVED, SAVED[place](SHAPES[name])) for name in SHAPE}
    judge(found, floor)


async def test_long_messages_in_thread_do_not_block_page(browser: Browser, tab: Tab, server: Jupyter) -> None:
    await tab.page.evaluate("jupyterapp.shell.activateById('jp-bgstream-panel')")

    async def measure() -> dict[str, float]:
        longest = {}
        for name in ("harmless", *SHAPE):
            words = HARMLESS if name == "harmless" else SHAPES[name](LONG)
            thread = f"long {name} {secrets.token_hex(4)}"
            call = {"id": "c", "name": "f", "arguments": json.dumps({"a": words})}
            messages: list[dict[str, object]] = [{"role": role, "content": words} for role in ("system", "user")]
            messages += [{"role": "assistant", "content": "", "tool_calls": [call]}]
            messages += [{"role": "tool", "tool_call_id": "c", "content": words}]
            with server.client() as client:
                job = {"model": "demo/none", "messages": messages, "thread": thread}
                client.post("jobs", json=job).raise_for_status()
            row = tab.page.locator(f".jp-bgstream-panel [data-thread='{thread}'] [data-action=open]")
            async with asyncio.timeout(PATIENCE), Tasks(browser, tab.page) as tasks:
                await row.click()
                await tab.page.locator(".jp-bgstream-words").last.wait_for(state="attached")
                await tab.page.evaluate("frame().then(frame)")
            longest[name] = tasks.longest
            await tab.page.evaluate("jupyterapp.shell.currentWidget.close()")
        return longest

    await assert_within(BUDGET, measure)


async def test_long_texts_in_panel_rows_do_not_block_page(browser: Browser, tab: Tab, server: Jupyter) -> None:
    await tab.page.evaluate("jupyterapp.shell.activateById('jp-bgstream-panel')")

    async def measure() -> dict[str, float]:
        longest = {}
        for name in ("harmless", *SHAPE):
            write = (lambda size: HARMLESS) if name == "harmless" else SHAPES[name]
            form = {"model": f"demo/{write(150)}", "prompt": write(2000), "title": write(200), "tags": [write(60)]}
            async with asyncio.timeout(PATIENCE), Tasks(browser, tab.page) as tasks:
                for count in range(ROWS):
                    with server.client() as client:
                        job = client.post("jobs", json={**form, "thread": f"{count} {write(150)}"}).json()["id"]
                await tab.page.locator(f".jp-bgstream-panel [data-job='{job}']").wait_for(state="attached")
            longest[name] = tasks.longest
        return longest

    await assert_within(BUDGET, measure)
