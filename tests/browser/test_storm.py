"""Twenty answers stream into one notebook while everything around them is interrupted, restarted, cut off and reloaded.

BGSTREAM_STORM_SEEDS="1 2 3" runs more than one storm; a storm that failed is run again by its seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from browser.lab import Lab, Tab, new_lab, saved_cells, write_notebook
from harness.jupyter import Jupyter
from playwright.async_api import Browser, Error, WebSocketRoute

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider
from jupyter_bgstream.testing.scripts import Pause, Script, Send, answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SEEDS = [int(seed) for seed in os.environ.get("BGSTREAM_STORM_SEEDS", "1").split()]
ANSWERS = 20
SIDE_BY_SIDE = ((15, 16, 17), (18, 19))  # the others have a cell each
ROWS = 40
STREAMING = 14.0  # seconds that the longest answer takes
BEGIN = "%load_ext jupyter_bgstream\nfrom IPython.display import display"
BATCH = """counts = dict.fromkeys(['completed', 'failed', 'cancelled', 'interrupted'], 0)
key = {{'id': {batch!r}, 'status': 'queued', 'title': 'Rows', 'total': {rows}, 'counts': counts}}
display({{'application/vnd.bgstream.batch.v1+json': key, 'text/markdown': ''}}, raw=True)"""


def paced(text: str, seconds: float) -> Script:
    """Stream a text evenly in about so many seconds."""
    script = answer(text)
    pause = Pause(seconds=seconds / len(script.steps))
    steps = [step for piece in script.steps for step in ((piece, pause) if isinstance(piece, Send) else (piece,))]
    return msgspec.structs.replace(script, steps=tuple(steps))


@pytest.fixture
def whole(server: Jupyter) -> Iterator[None]:
    """Let notebooks draw all their cells: else they draw those in sight."""
    address = f"{server.url}lab/api/settings/@jupyterlab/notebook-extension:tracker"
    with server.client() as client:
        assert client.put(address, json={"raw": '{"windowingMode": "none"}'}).is_success
        yield
        assert client.put(address, json={"raw": "{}"}).is_success


class Storm:
    """One page and the disturbances of it. Every action leaves the page connected."""

    def __init__(self, lab: Lab, name: str, chance: random.Random) -> None:
        self.lab = lab
        self.name = name
        self.chance = chance
        self.routes: list[WebSocketRoute] = []
        self.tab: Tab
        self.second: Tab | None = None

    async def open(self) -> Tab:
        await self.lab.context.route_web_socket("**/api/bgstream/live*", self._route)
        self.tab = await self.lab.tab(self.name)
        return self.tab

    def _route(self, route: WebSocketRoute) -> None:
        route.connect_to_server()
        self.routes.append(route)

    def plan(self) -> list[Callable[[], Awaitable[None]]]:
        """Return all actions, in an order that depends on the seed."""
        often = {self.drop: 4, self.offline: 2, self.interrupt: 2, self.save: 2, self.reload: 1, self.restart: 1}
        plan = [action for action, times in often.items() for _ in range(times)]
        self.chance.shuffle(plan)
        for at, action in ((self.chance.randint(0, len(plan)), self.look_elsewhere), (len(plan) + 1, self.look_away)):
            plan.insert(at, action)
        return plan

    async def drop(self) -> None:
        for route in self.routes:
            with contextlib.suppress(Error):  # it has gone already
                await route.close(code=1001)
        self.routes.clear()

    async def offline(self) -> None:
        await self.lab.context.set_offline(True)
        await self.drop()
        await asyncio.sleep(self.chance.uniform(0.1, 1.0))
        await self.lab.context.set_offline(False)

    async def interrupt(self) -> None:
        await self._kernel("interrupt")

    async def restart(self) -> None:
        await self._kernel("restart")

    async def _kernel(self, wish: str) -> None:
        with contextlib.suppress(Error):  # it may be restarting
            await self.tab.page.evaluate(f"jupyterapp.shell.currentWidget.sessionContext.session.kernel.{wish}()")

    async def save(self) -> None:
        await self.tab.save()

    async def reload(self) -> None:
        await self.tab.page.reload()
        await self.tab.ready()

    async def look_elsewhere(self) -> None:
        self.second = await self.lab.tab(self.name)

    async def look_away(self) -> None:
        assert self.second is not None
        await self.second.close()


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("seed", SEEDS)
async def test_storm_leaves_all_texts_as_provider_sent_them(
    browser: Browser, server: Jupyter, provider: ThreadedProvider, seed: int
) -> None:
    chance = random.Random(seed)
    models = [f"storm-{seed}-{number}" for number in range(ANSWERS)]
    texts = {}
    for number, model in enumerate(models):
        texts[model] = " ".join(f"{number}·{word}" for word in range(chance.randint(100, 400))) + " 👩‍🚀 end."
        provider.scripts[model] = paced(texts[model], chance.uniform(0.3, 1) * STREAMING)
    provider.scripts["storm-row"] = paced("a row", 0.5)
    batch = f"storm-batch-{seed}"
    together = [[f"demo/{models[number]}" for number in some] for some in SIDE_BY_SIDE]
    cells = [f"%%bg demo/{model}\nGo on" for model in models[: SIDE_BY_SIDE[0][0]]]
    cells += [f"%%bg {' '.join(some)}\nGo on" for some in together]
    cells += [BATCH.format(batch=batch, rows=ROWS)]
    path = write_notebook(server.root / f"storm-{seed}.ipynb", BEGIN, *cells)
    rows = [{"id": f"storm-row-{seed}-{n:04}", "model": "demo/storm-row", "prompt": str(n)} for n in range(ROWS)]
    with server.client() as client:
        announced = {"id": batch, "total": ROWS, "title": "Rows", "jobs": rows}
        assert client.post("batches", json=announced).is_success

    lab = await new_lab(browser, server)
    storm = Storm(lab, path.name, chance)
    tab = await storm.open()
    await tab.kernel_ready()
    await tab.page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    await tab.page.wait_for_function(
        "views => document.querySelectorAll('.jp-bgstream-view').length === views", arg=ANSWERS + 1
    )
    await tab.save()
    for action in storm.plan():
        await action()
        await asyncio.sleep(chance.uniform(0, 0.3))

    jobs = await drawn(tab)
    with server.client() as client:
        said = {job: client.get(f"jobs/{job}").json() for job in jobs}
    for job, text in jobs.items():
        name = said[job]["model"].removeprefix("demo/")
        assert said[job]["text"] == texts[name]
        assert " ".join(text.split()) == texts[name]
    await tab.save()
    assert not await tab.dirty()
    await tab.close()
    assert in_file(path) == [
        *(texts[model] for model in models[: SIDE_BY_SIDE[0][0]]),
        *("\n\n".join(f"#### {name}\n\n{texts[name.removeprefix('demo/')]}" for name in some) for some in together),
        f"Rows: {ROWS} of {ROWS} answered",
    ]
    again = await lab.tab(path.name)
    assert await drawn(again) == jobs
    assert not await again.dirty()
    assert not again.errors  # in the storm Lab has its own
    await lab.context.close()


async def drawn(tab: Tab) -> dict[str, str]:
    """Wait until every view has drawn its end; return the texts by job."""
    await tab.page.wait_for_function(
        """views => {
            const all = [...document.querySelectorAll('.jp-bgstream-view')];
            return all.length === views && all.every(({dataset}) =>
                dataset.state === 'completed' && (dataset.batch || dataset.drawn === 'true'));
        }""",
        arg=ANSWERS + 1,
    )
    found = await tab.page.evaluate(
        """Object.fromEntries([...document.querySelectorAll('.jp-bgstream-view[data-job]')].map(view =>
            [view.dataset.job, view.querySelector('.jp-bgstream-text').textContent]))"""
    )
    return dict(found)


def in_file(path: Path) -> list[str]:
    outputs = [output for cell in saved_cells(path) for output in cell["outputs"]]
    return ["".join(output["data"]["text/markdown"]) for output in outputs]
