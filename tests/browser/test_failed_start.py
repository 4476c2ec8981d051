"""A page whose server fails to start the engine at first."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.lab import new_lab
from harness.jupyter import Jupyter
from playwright.async_api import Browser, expect
from server.test_start import UNPRIVILEGED, patched

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_panel_shows_reason_of_failed_start_and_recovers(
    browser: Browser, provider: ThreadedProvider, tmp_path: Path
) -> None:
    config = {"BgStreamApp": {"providers": {"demo": {"base_url": provider.base_url}}}}
    server = Jupyter(tmp_path, lab=True, config=config, **patched(tmp_path / "patch", UNPRIVILEGED))
    server.start()
    server.stop()
    database = server.data / "bgstream" / "jobs.sqlite"
    database.chmod(0o400)
    server.start()
    lab = await new_lab(browser, server)
    try:
        page = await lab.context.new_page()
        await page.goto(f"{server.url}lab?token={server.token}")
        await page.locator('.lm-TabBar-tab[data-id="jp-bgstream-panel"]').click()
        panel = page.locator("#jp-bgstream-panel")
        await expect(panel).to_contain_text("read-only")
        await expect(panel).to_contain_text("The start is repeated automatically; no restart is needed.")
        await page.screenshot(path=tmp_path / "failed.png")
        database.chmod(0o600)
        await expect(panel).not_to_contain_text("read-only")
        await expect(panel).not_to_contain_text("reconnecting")
        await page.screenshot(path=tmp_path / "recovered.png")
    finally:
        await lab.context.close()
        server.stop()
