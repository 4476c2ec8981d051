"""Read a job's log over HTTP, from wherever the reader stands, through lost connections."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..core.errors import BgStreamError, CursorGoneError
from ..core.schemas import LogPage
from ..core.state import Answer, fold
from .errors import LOST, AnswerRestartedError

BEGINNING = "-1"
PATIENCE = 30.0  # seconds for which a lost server is looked for
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between two tries, the last one again and again


class Log(Protocol):
    """Where logs are read."""

    async def log(self, job_id: str, after: str, *, wait: bool) -> LogPage: ...


class Follower:
    """What this process knows of one job: the fold of its log so far, shared by all that read it.

    Only the background loop writes to it. Two reads may overlap: what both bring is taken once.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.answer = Answer()
        self.cursor = BEGINNING
        self.logs = 1  # how many logs this id has had: it may be deleted and submitted again

    @property
    def position(self) -> tuple[int, int]:
        """How far it has read; it only grows."""
        return self.logs, self.answer.seq

    async def catch_up(self, log: Log) -> Answer:
        """Read what there is now."""
        while not self.answer.ended:
            page = await self._read(log, wait=False)
            if page is not None and page.up_to_date:
                break
        return self.answer

    async def beyond(self, log: Log, position: tuple[int, int]) -> Answer:
        """Wait until the log goes on after the position or has ended.

        Raises ServerUnreachableError or ServerNotFoundError when the server stays away for PATIENCE seconds.
        """
        clock = asyncio.get_running_loop()
        lost, tries = clock.time(), 0
        while self.position <= position and not self.answer.ended:
            try:
                page = await self._read(log, wait=True)
            except LOST:
                # The server may be back in a moment, and the log goes on at our cursor.
                if clock.time() - lost > PATIENCE:
                    raise
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1
            else:
                lost, tries = clock.time(), 0
                if page is not None and page.closed and not self.answer.ended:
                    raise BgStreamError(f"The log of the job {self.job_id} is closed, but it has no end.")
        return self.answer

    async def end(self, log: Log, seconds: float | None) -> Answer:
        """Wait until the job has ended; raises TimeoutError after ``seconds`` and leaves the job alone."""
        try:
            async with asyncio.timeout(seconds):
                while not self.answer.ended:
                    await self.beyond(log, self.position)
        except TimeoutError:
            raise TimeoutError(f"The job {self.job_id} has not ended after {seconds:g} s; it goes on.") from None
        return self.answer

    async def _read(self, log: Log, *, wait: bool) -> LogPage | None:
        logs = self.logs
        try:
            page = await log.log(self.job_id, self.cursor, wait=wait)
        except CursorGoneError:
            if logs == self.logs:
                self.answer, self.cursor, self.logs = Answer(), BEGINNING, logs + 1
            return None
        if logs == self.logs:
            self._take(page)
        return page

    def _take(self, page: LogPage) -> None:
        new = [event for event in page.events if event.seq > self.answer.seq]
        if new:
            self.answer, self.cursor = fold(new, self.answer), page.cursor


class Deltas:
    """One reader's way through the text: pieces that joined are the text, each of them handed out once."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._given = 0  # characters
        self._version = (0, 0)  # of the text: the log, and how many attempts were set aside

    async def next(self, log: Log) -> str | None:
        """Return the next piece, or None when the job has ended.

        Raises AnswerRestartedError if the pieces so far are void.
        """
        while True:
            answer, position = self._follower.answer, self._follower.position
            version = (self._follower.logs, len(answer.earlier))
            if self._given and version != self._version:
                raise AnswerRestartedError(
                    f"The answer was started over (attempt {answer.attempt}): "
                    "forget the pieces so far and iterate over the job again."
                )
            self._version = version
            if piece := answer.text[self._given :]:
                self._given += len(piece)
                return piece
            if answer.ended:
                return None
            await self._follower.beyond(log, position)
