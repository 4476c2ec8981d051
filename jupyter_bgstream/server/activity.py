"""Reports unfinished jobs as activity of the server, so that a culler leaves it alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..core.errors import BgStreamError
from ..engine.service import Service

ACTIVITY_SECONDS = 10  # between reports while there are jobs to run

log = logging.getLogger(__name__)


async def report_activity(service: Service, owner: str, *, report: Callable[[], None]) -> None:
    """Call ``report`` again and again while jobs run on this server, or will."""
    while True:
        try:
            if await has_work(service, owner):
                report()
        except Exception:  # without the next report a culler would stop the server with its jobs
            log.exception("the activity of jobs cannot be reported, trying again")
        await asyncio.sleep(ACTIVITY_SECONDS)


async def has_work(service: Service, owner: str) -> bool:
    """Return whether jobs run on this server, or will: a paused group and the jobs of other servers do not count."""
    try:
        return await service.has_work(owner)
    except BgStreamError:  # a store that is locked for long; there will be a next look
        return False
