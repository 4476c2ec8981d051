"""Follow a job's log over HTTP from a cursor, through lost connections."""

import asyncio
from typing import Protocol

from ..core.errors import BgStreamError, CursorGoneError
from ..core.schemas.jobs import LogPage
from ..core.state import Answer, fold
from .errors import LOST, AnswerRestartedError

BEGINNING = "-1"
PATIENCE = 30.0  # seconds for which a lost server is tried again
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between two requests; the last value repeats


class Log(Protocol):
    """Server that returns pages of logs."""

    async def log(self, job_id: str, after: str, *, wait: bool) -> LogPage: ...


class Follower:
    """State of one job, folded from its log; shared by all readers in this process.

    Only the background loop changes it. Reads may overlap: an event that two pages contain is applied once.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.answer = Answer()
        self.cursor = BEGINNING
        self.generation = 1  # number of logs of this id so far; a job may be deleted and submitted again

    @property
    def position(self) -> tuple[int, int]:
        """Position in the log; it only grows."""
        return self.generation, self.answer.seq

    async def catch_up(self, log: Log) -> Answer:
        """Read the log up to its current end."""
        while not self.answer.ended:
            page = await self._read(log, wait=False)
            if page is not None and page.up_to_date:
                break
        return self.answer

    async def wait_after(self, log: Log, position: tuple[int, int]) -> Answer:
        """Wait until the log has an event after a position, or has ended.

        Raises:
            ServerUnreachableError: the server has not answered for PATIENCE seconds.
            ServerNotFoundError: no server was found for PATIENCE seconds.

        """
        clock = asyncio.get_running_loop()
        lost, failures = clock.time(), 0
        while self.position <= position and not self.answer.ended:
            try:
                page = await self._read(log, wait=True)
            except LOST:
                # The server may be back in a moment, and the log continues at the cursor.
                if clock.time() - lost > PATIENCE:
                    raise
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
            else:
                lost, failures = clock.time(), 0
                if page is not None and page.closed and not self.answer.ended:
                    raise BgStreamError(f"The log of the job {self.job_id} is closed without an end event.")
        return self.answer

    async def wait_for_end(self, log: Log, seconds: float | None) -> Answer:
        """Wait until the job has ended; raise TimeoutError after ``seconds``, without stopping the job."""
        try:
            async with asyncio.timeout(seconds):
                while not self.answer.ended:
                    await self.wait_after(log, self.position)
        except TimeoutError:
            raise TimeoutError(f"The job {self.job_id} has not ended after {seconds:g} s; it continues.") from None
        return self.answer

    async def _read(self, log: Log, *, wait: bool) -> LogPage | None:
        generation = self.generation
        try:
            page = await log.log(self.job_id, self.cursor, wait=wait)
        except CursorGoneError:
            if generation == self.generation:
                self.answer, self.cursor, self.generation = Answer(), BEGINNING, generation + 1
            return None
        if generation == self.generation:
            self._take(page)
        return page

    def _take(self, page: LogPage) -> None:
        new = [event for event in page.events if event.seq > self.answer.seq]
        if new:
            self.answer, self.cursor = fold(new, self.answer), page.cursor


class Deltas:
    """Iterator over text deltas; the concatenation of all deltas is the final text."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._position = 0  # characters returned so far
        self._version = (0, 0)  # of the text: the generation of the log, and the number of earlier attempts

    async def next(self, log: Log) -> str | None:
        """Return the next delta, or None when the job has ended.

        Raises:
            AnswerRestartedError: another attempt has begun; the deltas so far are no part of the answer.

        """
        while True:
            answer, position = self._follower.answer, self._follower.position
            version = (self._follower.generation, len(answer.earlier))
            if self._position and version != self._version:
                raise AnswerRestartedError(
                    f"The answer was restarted (attempt {answer.attempt}). "
                    "Discard the deltas so far and iterate over the job again."
                )
            self._version = version
            if delta := answer.text[self._position :]:
                self._position += len(delta)
                return delta
            if answer.ended:
                return None
            await self._follower.wait_after(log, position)
