"""Delays of waiting jobs in monotonic time: corrects the stored due times when the wall clock jumps."""

import asyncio
import logging
from dataclasses import dataclass

from ..core.errors import FencedError, NotFoundError
from ..core.events import Waiting
from ..core.job import Job
from ..store.port_values import Append
from ..store.ports.logs import append_one
from ..store.ports.store import Store
from ..store.transitions import listed
from .clock import Clock

TOLERANCE = 1.0  # seconds by which a delay may be too short or too long

log = logging.getLogger(__name__)


@dataclass
class _Delay:
    """A job that waits here, with its due time by both clocks."""

    job: Job  # as listed, without its messages
    event: Waiting  # the last one in its log, or its equivalent
    due: float  # monotonic seconds
    own: bool  # written in this server's life; else the delay ends at the earlier of both times

    @property
    def offset(self) -> float:
        return self.event.until - self.due


class Delays:
    """The delays of one server's jobs, in monotonic time.

    Stored times are wall-clock times, and claims compare them with the wall clock. A jump of that clock, which shows as
    a change of its offset from the monotonic clock, is corrected by the next ``correct()``: each job gets another
    `waiting` event, with the same reason and the due time by the new clock.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._delays: dict[tuple[str, str], _Delay] = {}  # by owner and id
        self._offset: float | None = None  # for which all due times are right; None: there is a new one

    def add(self, job: Job, event: Waiting, *, since: float) -> None:
        """Add a job that began to wait at the monotonic time ``since``."""
        self._put(_Delay(job=listed(job), event=event, due=since + max(0.0, event.until - event.at), own=True))

    def adopt(self, job: Job) -> None:
        """Add a job that was taken over, if it waits.

        The clock that set its due time is unknown. So it is due at that time, and at the latest when as much time has
        passed as was left when it was adopted.
        """
        if job.status != "waiting" or job.not_before is None or job.error is None:
            return
        now = self._clock.time()
        event = Waiting(at=now, until=job.not_before, code=job.error.code, message=job.error.message)
        due = self._clock.monotonic() + max(0.0, job.not_before - now)
        self._put(_Delay(job=listed(job), event=event, due=due, own=False))

    def remove(self, owner: str, job_id: str) -> None:
        """Remove a job that no longer waits here."""
        self._delays.pop((owner, job_id), None)

    async def correct(self) -> float:
        """Correct the stored due times if the wall clock has jumped; return the wall time that they agree with.

        Raises:
            UnavailableError: the store cannot be written.

        """
        now, steady = self._clock.time(), self._clock.monotonic()
        offset = now - steady
        if self._offset is not None and abs(offset - self._offset) <= TOLERANCE / 2:
            return now
        wrong = [delay for delay in self._delays.values() if _is_wrong(delay, now, steady)]
        if wrong:
            log.warning("The clock of this machine has jumped; %d waiting jobs keep their delays.", len(wrong))
            await asyncio.gather(*(self._correct(delay, now, steady) for delay in wrong))
        self._offset = offset
        return now

    async def _correct(self, delay: _Delay, now: float, steady: float) -> None:
        old = delay.event
        event = Waiting(at=now, until=now + max(0.0, delay.due - steady), code=old.code, message=old.message)
        try:
            await append_one(self._store, Append(job=delay.job, events=[event]))
            delay.event = event
        except (FencedError, NotFoundError):  # cancelled, deleted, or taken over by another server
            if self._delays.get((delay.job.owner, delay.job.id)) is delay:
                self.remove(delay.job.owner, delay.job.id)

    def _put(self, delay: _Delay) -> None:
        self._delays[delay.job.owner, delay.job.id] = delay
        if self._offset is not None and abs(delay.offset - self._offset) > TOLERANCE / 2:
            self._offset = None  # written by the clock before the jump, or overdue


def _is_wrong(delay: _Delay, now: float, steady: float) -> bool:
    left = delay.due - steady
    if delay.event.until - now - max(0.0, left) > TOLERANCE / 2:
        return True  # the clock was set back
    return delay.own and left > 0 and left - (delay.event.until - now) > TOLERANCE / 2  # it was set forward
