"""The README's first command: the demo opens a tour whose answer streams without a key and without a network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import new_context
from harness.jupyter import free_port
from playwright.async_api import Browser, Locator, Page, expect

from jupyter_bgstream.cli.demo import notebooks

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Run the demo as a user does; return the address that it prints."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))}
    env |= {"HOME": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "jupyter_bgstream.cli", "demo", "--no-browser", f"--port={free_port()}"]
    with subprocess.Popen(
        command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "jupyter_bgstream is ready" in line:  # Jupyter prints its address before it listens
                break
        else:
            pytest.fail(said)
        match = re.search(r"http://127\.0\.0\.1:\S+", said)
        assert match, said
        yield match[0]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)
    assert process.returncode is not None


async def test_demo_opens_tour_whose_answer_streams(browser: Browser, address: str, tmp_path: Path) -> None:
    folder = next(tmp_path.rglob("01-tour.ipynb")).parent
    assert sorted(path.name for path in folder.glob("*.ipynb")) == [path.name for path in notebooks()]
    context = await new_context(browser)
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    assert "tour.ipynb" in page.url
    await page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    await expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)  # opening it is no change
    view = page.locator(".jp-bgstream-view").first
    cells = json.loads((Path(__file__).parents[2] / "notebooks/01-tour.ipynb").read_text())["cells"]
    first = next(n for n, cell in enumerate(cells) if "".join(cell["source"]).startswith("%%bg"))
    active = re.compile("jp-mod-active")
    for n in range(first + 1):  # run cell after cell, as the tour says
        cell = page.locator(".jp-Notebook .jp-Cell").nth(n)
        await cell.locator(".jp-InputArea-prompt").click()
        await expect(cell).to_have_class(active)
        await page.keyboard.press("Shift+Enter")
        await expect(page.locator(".jp-Notebook .jp-Cell").nth(n + 1)).to_have_class(active)
        if cells[n]["cell_type"] == "code":
            await run_again_if_ignored(page, cell)
    await expect(view).to_have_attribute("data-state", re.compile("thinking|streaming"))
    await expect(view.locator(".jp-bgstream-text")).to_contain_text("demo model")
    await context.close()


async def run_again_if_ignored(page: Page, cell: Locator) -> None:
    """Run a cell again that has no number after some seconds.

    On a busy machine Lab drops what is run while the page still connects to its new kernel, though it shows the kernel
    as idle. A person presses the keys again.
    """
    prompt = cell.locator(".jp-InputArea-prompt")
    try:
        await expect(prompt).not_to_have_text("[ ]:")
    except AssertionError:
        await prompt.click()
        await page.keyboard.press("Shift+Enter")
        await expect(prompt).not_to_have_text("[ ]:")
