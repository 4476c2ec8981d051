"""Takes the README's screenshots from this build: real JupyterLab, real Chromium, the demo model.

python docs/screenshots.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser.conftest import CHROMIUM, FLAGS
from browser.lab import Lab, Tab, new_lab, write_notebook
from harness.demo import demo
from harness.jupyter import Jupyter, jupyter
from playwright.async_api import async_playwright

from jupyter_bgstream.testing.http_connection import Request
from jupyter_bgstream.testing.scripted_provider import Reply, ScriptedProvider
from jupyter_bgstream.testing.scripts import Script, refusal

IMAGES = ROOT / "docs/images"
CELLS = (
    "%load_ext jupyter_bgstream",
    "%%bg demo/tour --name answer\nShow me what you can do.",
    "6 * 7  # the kernel is free",
)
ROWS = (
    "%load_ext jupyter_bgstream\nimport jupyter_bgstream as bg",
    """schema = {"type": "object", "properties": {"mood": {"enum": ["good", "bad", "mixed"]}}}
batch = bg.map(reviews, "How does this sound? {text}", model="demo/mood", schema=schema)""",
    "%%bg demo/quick demo/tour --name answers\nWhat is a background job, and what is it good for?",
)
REVIEWS = """texts = ["A lovely, friendly house.", "Cold, loud and late.", "Great view, rude staff."]
reviews = [{"text": texts[number % 3] + ("" if number % 60 else " #!?")} for number in range(360)]"""
LIGHT = "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})"
DARK = "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


async def shoot(tab: Tab, name: str) -> None:
    await tab.page.wait_for_timeout(400)  # fonts and transitions
    await tab.page.screenshot(path=IMAGES / f"{name}.png")
    print("took", name)


async def decline_news(tab: Tab) -> None:
    """Lab asks each new user; its question would be in the image."""
    await tab.page.locator(".Toastify__toast button >> text=No").click()
    await tab.page.wait_for_selector(".Toastify__toast >> text=Jupyter news", state="detached")


async def scene(lab: Lab, server: Jupyter, name: str) -> Tab:
    write_notebook(server.root / f"{name}.ipynb", *CELLS)
    tab = await lab.tab(f"{name}.ipynb")
    await tab.page.evaluate("jupyterapp.shell.activateById('jp-bgstream-panel')")
    for n in range(len(CELLS)):
        await tab.run(n)
    return tab


async def rows_and_models(lab: Lab, server: Jupyter) -> None:
    """Take a batch on its way, with a few failed rows, and two models side by side."""
    write_notebook(server.root / "reviews.ipynb", *ROWS)
    tab = await lab.tab("reviews.ipynb")
    await tab.page.set_viewport_size({"width": 1000, "height": 620})
    await tab.page.evaluate(LIGHT)
    await tab.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    await tab.kernel_ready()
    kernel = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    await tab.page.evaluate(f"code => {kernel}.requestExecute({{code, silent: true}}).done", REVIEWS)  # in no cell
    for n in range(len(ROWS)):
        await tab.run(n)
    await tab.page.wait_for_function(
        """() => {
            const bar = document.querySelector('.jp-Notebook [role=progressbar]');
            return bar && Number(bar.ariaValueNow) > 0.6 * Number(bar.ariaValueMax);
        }"""
    )
    await shoot(tab, "notebook-light")
    await tab.close()


async def take(server: Jupyter) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        lab = await new_lab(browser, server, device_scale_factor=1.5)
        tab = await scene(lab, server, "quick-question")
        await tab.state(1, "completed")
        await tab.close()
        with server.client() as client:
            for prompt, model in [("Summarise the meeting notes", "quick"), ("Say it in French", "echo")]:
                client.post("jobs", json={"model": f"demo/{model}", "prompt": prompt})
        tab = await scene(lab, server, "background")
        await decline_news(tab)
        await tab.shows(1, "do your worst")
        await shoot(tab, "lab-light")
        await tab.state(1, "completed")
        await tab.shows(1, "continue a conversation")
        await tab.page.evaluate(DARK)
        await shoot(tab, "lab-dark")
        await tab.page.set_viewport_size({"width": 620, "height": 900})
        await tab.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        await shoot(tab, "lab-narrow")
        await tab.close()
        lab = await new_lab(browser, server, device_scale_factor=1.5)
        await rows_and_models(lab, server)
        await browser.close()


def scripts() -> dict[str, Reply]:
    """Return the demo's models, of which one refuses a row now and then."""
    replies = demo(speed=4)
    mood = replies["mood"]
    assert callable(mood)

    def refusing(request: Request) -> Script:
        prompt = str(request.json["messages"][-1]["content"])
        if "#!?" in prompt:
            return refusal(400, {"error": {"message": "It has signs that this model does not take."}})
        return mood(request)

    return replies | {"mood": refusing}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, ScriptedProvider(scripts()).in_thread() as provider:
        config = {
            "BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}},
            "LabApp": {"expose_app_in_browser": True},
        }
        with jupyter(Path(home), lab=True, disabled=(), config=config) as server:
            asyncio.run(take(server))


if __name__ == "__main__":
    main()
