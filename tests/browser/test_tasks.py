"""The measurement of long tasks finds one."""

from __future__ import annotations

import pytest
from browser.tasks import Tasks
from playwright.async_api import Browser, BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WORK = "() => { let sum = 0; for (let n = 0; n < 3e8; n++) sum += n % 7; return sum; }"  # hundreds of milliseconds


async def test_long_task_is_found(browser: Browser, context: BrowserContext) -> None:
    page = await context.new_page()
    async with Tasks(browser, page) as none:
        pass
    async with Tasks(browser, page) as one:
        await page.evaluate(WORK)
    await page.close()
    assert one.longest > none.longest + 100
