"""From an answer to a page: a real job, ``jupyter bgstream fill``, ``jupyter nbconvert``, Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from browser.lab import new_context
from harness.jupyter import Jupyter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.async_api import Browser, Route

from jupyter_bgstream.testing import ThreadedProvider
from jupyter_bgstream.testing.scripts import Script, answer

Data = dict[str, Any]

# Where nbconvert's own templates load from: MathJax, require.js, mermaid, reveal.js.
OF_NBCONVERT = ("https://cdnjs.cloudflare.com/", "https://unpkg.com/", "https://cdn.jsdelivr.net/")


class Exports:
    """Asks for answers, saves them in a notebook and exports it."""

    def __init__(self, server: Jupyter, provider: ThreadedProvider) -> None:
        self.server = server
        self.provider = provider
        self._scripts = 0

    def asked(self, text: str | Script, **more: Any) -> Data:
        """Return the key of a job that is being answered with this text."""
        self._scripts += 1
        model = f"test/s{self._scripts}"
        self.provider.scripts[f"s{self._scripts}"] = answer([text]) if isinstance(text, str) else text
        with self.server.client() as client:
            job = client.post("jobs", json={"model": model, "prompt": "x"} | more).raise_for_status().json()
        return {"id": job["id"], "cursor": "-1", "status": "queued", "model": model}

    def batch(self, title: str) -> Data:
        """Return the key of a batch of one row."""
        key = self.asked("x")
        batch = {"id": f"batch-{key['id']}"[:60], "total": 1, "title": title}
        with self.server.client() as client:
            jobs = [{"id": f"row-{key['id']}"[:60], "model": key["model"], "prompt": "x"}]
            client.post("batches", json=batch | {"jobs": jobs}).raise_for_status()
        return {"id": batch["id"], "status": "queued", "title": title, "total": 1, "counts": {}}

    def filled(self, path: Path, outputs: Sequence[Data]) -> Path:
        """Write a notebook with these outputs, and let ``jupyter bgstream fill`` say in it what was answered."""
        shown = [{"text/markdown": "Queued…", "text/plain": "Queued…"} | data for data in outputs]
        cells = [new_code_cell("x", outputs=[new_output("display_data", data)]) for data in shown]
        nbformat.write(new_notebook(cells=cells), path)
        self._run("jupyter_bgstream.cli", "fill", "--wait", "60", str(path))
        return path

    def exported(self, path: Path, to: str, template: str) -> Path:
        """Return the page that nbconvert makes of a notebook."""
        self._run("nbconvert", "--to", to, "--template", template, "--output", f"{path.stem}-{template}", str(path))
        return next(path.parent.glob(f"{path.stem}-{template}.*html"))

    def _run(self, module: str, *arguments: str) -> None:
        env = os.environ | self.server.environment()
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class Opened:
    """What a page did when it was opened, and when everything in it was hovered and clicked."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.scripts: list[str] = []
        self.seen = 0  # elements of outputs
        self.links: list[str] = []  # where a click would lead that is not the web
        self.read: Any = None  # what the test reads of the page

    @property
    def wrong(self) -> list[str]:
        foreign = [url for url in self.requests if "canary-hit" in url or not url.startswith(OF_NBCONVERT)]
        return [*self.scripts, *self.links, *foreign]


async def opened(browser: Browser, path: Path, *, read: str = "null") -> Opened:
    """Open a page without a network, and use it as a curious reader would; ``read`` is evaluated in it."""
    found = Opened()
    context = await new_context(browser)
    page = await context.new_page()

    async def request(route: Route) -> None:
        url = route.request.url
        if url == path.as_uri() or url.startswith(("data:", "blob:")):
            await route.continue_()
        else:
            found.requests.append(url)
            await route.abort()

    await context.route("**/*", request)
    await context.add_init_script("window.hits = []; window.hit = () => { window.hits.push(new Error().stack) }")
    await page.goto(path.as_uri())
    found.links, found.seen = await page.evaluate(USE)
    found.read = await page.evaluate(read)
    found.scripts = await page.evaluate("window.hits")
    await context.close()
    return found


# Hovers over everything, clicks all but links, and says which links there should not be.
USE = """() => {
  const links = [];
  const nodes = document.querySelectorAll('.jp-OutputArea *, .output *');
  for (const node of nodes) {
    for (const type of ['mouseover', 'pointerenter', 'focus']) {
      node.dispatchEvent(new Event(type, {bubbles: true}));
    }
    const href = node.getAttribute('href') ?? node.getAttribute('xlink:href');
    if (href !== null && !/^(https?:[/][/]|mailto:|#)/i.test(href)) {
      links.push(node.outerHTML);
    }
    if (node.closest('a') === null) {
      node.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
    }
  }
  return [links, nodes.length];
}"""
