"""How long a page's main thread is busy at a stretch."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from playwright.async_api import Browser, Page

# Without the first, Chromium adds all that is on by default, and reading the trace takes longer than what is measured.
CATEGORIES = ["-*", "disabled-by-default-devtools.timeline"]


class Tasks:
    """Measures the longest task in milliseconds of the processor, which other programs do not make longer."""

    def __init__(self, browser: Browser, page: Page) -> None:
        self.longest = 0.0
        self._browser = browser
        self._page = page

    async def __aenter__(self) -> Tasks:
        await self._browser.start_tracing(page=self._page, categories=CATEGORIES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self._page.evaluate("0")  # a task of its own: the one before is in the trace once it has ended
        events = json.loads(await self._browser.stop_tracing())["traceEvents"]
        mains = {_thread(event) for event in events if event.get("args", {}).get("name") == "CrRendererMain"}
        tasks = (event for event in events if event["name"] == "RunTask" and _thread(event) in mains)
        self.longest = max((event.get("tdur", 0) / 1000 for event in tasks), default=0.0)


async def assert_within(budget: float, measure: Callable[[], Awaitable[dict[str, float]]]) -> None:
    """Assert that no task is longer than the one named ``harmless`` and a budget, in one of three measurements.

    A busy machine adds to CPU time and never takes from it.
    """
    for _ in range(3):
        longest = await measure()
        if max(longest.values()) <= longest["harmless"] + budget:
            return
    raise AssertionError({name: f"{busy:.0f} ms" for name, busy in longest.items()})


def _thread(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]
