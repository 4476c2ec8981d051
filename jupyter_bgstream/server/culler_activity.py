"""Report unfinished jobs as activity of the server, so that a culler does not stop it."""

import asyncio
import logging
from collections.abc import Callable

from ..core.errors import BgStreamError
from ..engine.engine import Engine

ACTIVITY_SECONDS = 10  # between reports

log = logging.getLogger(__name__)


async def report_activity(engine: Engine, owner: str, *, report: Callable[[], None]) -> None:
    """Call ``report`` every ACTIVITY_SECONDS while jobs run on this server or are to run."""
    while True:
        try:
            if await has_work(engine, owner):
                report()
        except Exception:  # without further reports a culler would stop the server with its jobs
            log.exception("cannot report the activity of jobs, trying again")
        await asyncio.sleep(ACTIVITY_SECONDS)


async def has_work(engine: Engine, owner: str) -> bool:
    """Return whether jobs run on this server or are to run; paused batches and jobs of other servers do not count."""
    try:
        return await engine.jobs.has_work(owner)
    except BgStreamError:  # such as a store that is locked for long; the next call checks again
        return False
