"""Keeps this server's waiting jobs due after their delay, whatever happens to the wall clock meanwhile."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..core.errors import FencedError, NotFoundError
from ..core.events import Waiting
from ..core.job import Job
from ..store.base import Store
from ..store.transitions import listed
from .clock import Clock

TOLERANCE = 1.0  # seconds by which a wait may be too short or too long

log = logging.getLogger(__name__)


@dataclass
class _Delay:
    """A job that waits here, and until when by both clocks."""

    job: Job  # without its texts
    event: Waiting  # the last one in its log, or what it would say
    due: float  # monotonic seconds
    own: bool  # written in this server's life; else the wait ends at the earlier of both times

    @property
    def offset(self) -> float:
        return self.event.until - self.due


class Delays:
    """The waits of one server's jobs, in monotonic time.

    Stored times are wall-clock times, and claims compare them with the wall clock. A jump of that clock, which shows as
    a change of its offset from the monotonic clock, is corrected at the next look: each wait gets another `waiting`
    event, with the same reason and the time that is right by the new clock.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waits: dict[tuple[str, str], _Delay] = {}  # by owner and id
        self._offset: float | None = None  # for which all waits are known to be right; None: there is a new one

    def add(self, job: Job, event: Waiting, *, since: float) -> None:
        """Note that a job was put off at the monotonic time ``since``."""
        self._put(_Delay(job=listed(job), event=event, due=since + max(0.0, event.until - event.at), own=True))

    def adopt(self, job: Job) -> None:
        """Note that a job was taken over; does nothing if it does not wait.

        Who knows by which clock it was put off: it is due once that time has come, and at the latest when as much time
        has passed as was left when it was adopted.
        """
        if job.status != "waiting" or job.not_before is None or job.error is None:
            return
        now = self._clock.time()
        event = Waiting(at=now, until=job.not_before, code=job.error.code, message=job.error.message)
        due = self._clock.monotonic() + max(0.0, job.not_before - now)
        self._put(_Delay(job=listed(job), event=event, due=due, own=False))

    def remove(self, owner: str, job_id: str) -> None:
        """Forget a job that no longer waits here."""
        self._waits.pop((owner, job_id), None)

    async def correct(self) -> float:
        """Correct the stored times of waits if the wall clock has jumped; returns the wall time that they agree with.

        Raises UnavailableError if the store cannot be written.
        """
        now, steady = self._clock.time(), self._clock.monotonic()
        offset = now - steady
        if self._offset is not None and abs(offset - self._offset) <= TOLERANCE / 2:
            return now
        wrong = [wait for wait in self._waits.values() if _is_wrong(wait, now, steady)]
        if wrong:
            log.warning("The clock of this machine has jumped; %d waiting jobs keep their delay.", len(wrong))
            await asyncio.gather(*(self._correct(wait, now, steady) for wait in wrong))
        self._offset = offset
        return now

    async def _correct(self, wait: _Delay, now: float, steady: float) -> None:
        old = wait.event
        event = Waiting(at=now, until=now + max(0.0, wait.due - steady), code=old.code, message=old.message)
        try:
            await self._store.append(wait.job, [event])
            wait.event = event
        except (FencedError, NotFoundError):  # cancelled, deleted, or taken over by another server
            if self._waits.get((wait.job.owner, wait.job.id)) is wait:
                self.remove(wait.job.owner, wait.job.id)

    def _put(self, wait: _Delay) -> None:
        self._waits[wait.job.owner, wait.job.id] = wait
        if self._offset is not None and abs(wait.offset - self._offset) > TOLERANCE / 2:
            self._offset = None  # it was written by the clock before the jump, or is overdue


def _is_wrong(wait: _Delay, now: float, steady: float) -> bool:
    left = wait.due - steady
    if wait.event.until - now - max(0.0, left) > TOLERANCE / 2:
        return True  # the clock was set back
    return wait.own and left > 0 and left - (wait.event.until - now) > TOLERANCE / 2  # it was set forward
