"""One JupyterLab, one scripted provider and one Chromium for all browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from browser.lab import PATIENCE, VIEWPORT, Lab
from harness.jupyter import Jupyter, jupyter
from playwright.async_api import Browser, BrowserContext, async_playwright

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider

CHROMIUM = os.environ.get("BGSTREAM_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="session")
def provider() -> Iterator[ThreadedProvider]:
    with ScriptedProvider().in_thread() as provider:
        yield provider


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    config = {
        "BgStreamApp": {
            "providers": {"demo": {"base_url": provider.base_url}, "nowhere": {"base_url": "http://127.0.0.1:9/v1"}},
            "default_model": "demo/tour",
        },
        "LabApp": {"expose_app_in_browser": True},
        "JupyterNotebookApp": {"expose_app_in_browser": True},
    }
    with jupyter(tmp_path_factory.mktemp("lab"), lab=True, config=config) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def context(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    """Chromium with a profile, which caches compiled code: a page then takes half the CPU time to load.

    Its first, empty page stays open, so that no page needs a new window.
    """
    assert CHROMIUM, "Chromium is needed: install it, or set BGSTREAM_CHROMIUM to its path."
    profile = tmp_path_factory.mktemp("chromium")
    async with async_playwright() as playwright:
        launch = playwright.chromium.launch_persistent_context
        async with await launch(profile, executable_path=CHROMIUM, args=FLAGS, viewport=VIEWPORT) as context:
            context.set_default_timeout(PATIENCE)
            yield context


@pytest.fixture(scope="session")
def browser(context: BrowserContext) -> Browser:
    """Give the browser, for contexts that share neither cookies nor caches with the others."""
    assert context.browser is not None
    return context.browser


@pytest_asyncio.fixture(loop_scope="session")
async def lab(context: BrowserContext, server: Jupyter) -> AsyncIterator[Lab]:
    before = set(context.pages)
    yield Lab(context, server)
    for page in set(context.pages) - before:
        await page.close()
    await context.clear_cookies()
    await context.clear_permissions()
