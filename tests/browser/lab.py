"""A page of JupyterLab or Notebook 7 in real Chromium, and what a person does there."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.jupyter import Jupyter
from playwright.async_api import Browser, BrowserContext, Locator, Page, ViewportSize, WebSocket, expect

PATIENCE = 90_000.0  # milliseconds for all that waits; other processes may take the processors
VIEWPORT: ViewportSize = {"width": 1200, "height": 900}

expect.set_options(timeout=PATIENCE)


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook as Lab itself would, so that opening it has nothing to complete."""
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{n}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": s,
            }
            for n, s in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {
                "codemirror_mode": {"name": "ipython", "version": 3},
                "file_extension": ".py",
                "mimetype": "text/x-python",
                "name": "python",
                "nbconvert_exporter": "python",
                "pygments_lexer": "ipython3",
                "version": "3",
            },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook))
    return path


def saved_cells(path: Path) -> list[dict[str, Any]]:
    """Return the cells in the file. The server writes it in place: for a moment it has no or half a notebook."""
    end = time.monotonic() + 90
    while True:
        try:
            return list(json.loads(path.read_text())["cells"])
        except json.JSONDecodeError:
            if time.monotonic() > end:
                raise


def saved_markdown(path: Path, cell: int) -> str:
    """The answer as the file holds it."""
    (output,) = saved_cells(path)[cell]["outputs"]
    saved = output["data"].get("text/markdown", "")
    return saved if isinstance(saved, str) else "".join(saved)


class Tab:
    """One tab with one notebook."""

    def __init__(self, page: Page, server: Jupyter) -> None:
        self.page = page
        self.server = server
        self.sockets: list[WebSocket] = []
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("websocket", self._note_socket)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note_socket(self, socket: WebSocket) -> None:
        if "/api/bgstream/live" in socket.url:
            self.sockets.append(socket)

    async def open(self, name: str, *, app: str = "lab") -> Tab:
        """Open a notebook in a workspace of its own and wait until it can be used."""
        place = f"lab/workspaces/{secrets.token_hex(4)}/tree/{name}" if app == "lab" else f"notebooks/{name}"
        await self.page.goto(f"{self.server.url}{place}?token={self.server.token}")
        return await self.ready()

    async def ready(self) -> Tab:
        """Wait until the notebook of a page that was just loaded can be used."""
        await self.page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady")
        await self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        return self

    async def replace(self, name: str) -> Tab:
        """Open another notebook in place of this one, unsaved changes or not: a page costs more than a notebook."""
        await self.page.evaluate(
            """path => {
                jupyterapp.shell.currentWidget?.dispose();
                void jupyterapp.commands.execute('docmanager:open', {path});
            }""",
            name,
        )
        await self.page.wait_for_function("path => jupyterapp.shell.currentWidget?.context?.path === path", arg=name)
        return await self.ready()

    async def kernel_ready(self) -> None:
        await self.page.wait_for_function(
            "jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
        )

    async def run(self, cell: int) -> None:
        """Run one cell and wait until the kernel has."""
        await self.kernel_ready()
        await self.page.evaluate(
            """async n => {
                const panel = jupyterapp.shell.currentWidget;
                panel.content.activeCellIndex = n;
                await jupyterapp.commands.execute('notebook:run-cell');
            }""",
            cell,
        )

    async def restart_kernel(self) -> None:
        await self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        await self.kernel_ready()

    async def save(self) -> None:
        await self.page.evaluate("jupyterapp.shell.currentWidget.context.save()")

    async def dirty(self) -> bool:
        return bool(await self.page.evaluate("jupyterapp.shell.currentWidget.context.model.dirty"))

    def view(self, cell: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-bgstream-view")

    async def state(self, cell: int, state: str) -> None:
        """Wait until the view of a cell says that it is in this state."""
        await self.page.wait_for_function(
            """([n, state]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[n]
                ?.querySelector('.jp-bgstream-view')?.dataset.state === state""",
            arg=[cell, state],
        )

    async def shows(self, cell: int, text: str) -> None:
        """Wait until the answer of a cell holds this text. Not innerText: content below the fold has none."""
        await self.page.wait_for_function(
            """([n, text]) => document.querySelectorAll('.jp-Notebook .jp-Cell')[n]
                ?.querySelector('.jp-bgstream-text')?.textContent.includes(text)""",
            arg=[cell, text],
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the page's events change has become true."""
        async with asyncio.timeout(90):
            while not condition():
                await self.page.evaluate("new Promise(requestAnimationFrame)")

    async def text(self, cell: int) -> str:
        return await self.view(cell).locator(".jp-bgstream-text").text_content() or ""

    async def job(self, cell: int) -> str:
        return await self.view(cell).get_attribute("data-job") or ""

    async def close(self) -> None:
        await self.page.close()


class Lab:
    """A browser with tabs on one server."""

    def __init__(self, context: BrowserContext, server: Jupyter) -> None:
        self.context = context
        self.server = server

    async def tab(self, name: str, *, app: str = "lab") -> Tab:
        return await Tab(await self.context.new_page(), self.server).open(name, app=app)


async def new_lab(browser: Browser, server: Jupyter, **kwargs: Any) -> Lab:
    return Lab(await new_context(browser, **kwargs), server)


async def new_context(browser: Browser, **kwargs: Any) -> BrowserContext:
    """Return a context whose pages wait patiently."""
    context = await browser.new_context(viewport=VIEWPORT, **kwargs)
    context.set_default_timeout(PATIENCE)
    return context
