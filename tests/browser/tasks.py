"""How long a page's main thread is busy at a stretch."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from playwright.async_api import Browser, Page


class Tasks:
    """Measures the longest task in milliseconds of the processor, which other programs do not make longer."""

    def __init__(self, browser: Browser, page: Page) -> None:
        self.longest = 0.0
        self._browser = browser
        self._page = page

    async def __aenter__(self) -> Tasks:
        await self._browser.start_tracing(page=self._page, categories=["disabled-by-default-devtools.timeline"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        events = json.loads(await self._browser.stop_tracing())["traceEvents"]
        mains = {_thread(event) for event in events if event.get("args", {}).get("name") == "CrRendererMain"}
        tasks = (event for event in events if event["name"] == "RunTask" and _thread(event) in mains)
        self.longest = max((event.get("tdur", 0) / 1000 for event in tasks), default=0.0)


def _thread(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]
