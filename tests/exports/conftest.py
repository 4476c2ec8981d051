"""A Jupyter server whose provider says what a test wants, and one Chromium that opens what is exported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from exports.exporting import Exports
from harness.jupyter import jupyter
from playwright.async_api import Browser, async_playwright

from jupyter_bgstream.testing import ScriptedProvider


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    with ScriptedProvider().in_thread() as provider:
        settings = {"store": "temporary", "providers": {"test": {"base_url": provider.base_url}}}
        with jupyter(tmp_path_factory.mktemp("exports"), config={"BgStreamApp": settings}) as server:
            yield Exports(server, provider)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    from browser.conftest import CHROMIUM, FLAGS

    assert CHROMIUM, "Chromium is needed: install it, or set BGSTREAM_CHROMIUM to its path."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")
