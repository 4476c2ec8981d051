"""What is kept for how long: joins and compresses logs, and deletes what is old, a little at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from ..core.errors import ConflictError, NotFoundError
from ..store.base import ExpiredJob, Store
from .clock import Clock, SettledTime

DAY = 86_400.0  # seconds
HOUR = 3_600.0
STARTS_AFTER = 120.0  # seconds from the server's start, which has more urgent things to do
TIDY_EVERY = 60.0  # seconds
PAUSE = 0.02  # seconds between two steps or two deletions, for those who write answers
ANNOUNCED_DAYS = 14  # that pass between the first warning and the deletion of an unread answer
MOST_ANNOUNCED = 500  # answers of which one warning speaks
AT_A_TIME = 100  # answers that are looked up at once

log = logging.getLogger(__name__)


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers are kept, and how much. 0 is for ever, or without limit."""

    keep_days: int = 90  # after the end, or since it was read; also for what left no notice
    unread_days: int = 365  # for what nobody has read; never less than keep_days
    max_bytes: int = 2 * 1024**3  # beyond which the oldest that was read goes first

    def read_before(self, now: float) -> float | None:
        """Return when a job that was read must have ended to be deleted; None: it never is."""
        return now - self.keep_days * DAY if self.keep_days else None

    def unread_before(self, now: float) -> float | None:
        """Return when a job that nobody has read must have ended to be deleted; None: it never is."""
        if not (self.keep_days and self.unread_days):  # unread ones never go before others
            return None
        return now - max(self.keep_days, self.unread_days) * DAY


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted."""

    jobs: int = 0
    bytes: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(jobs=self.jobs + other.jobs, bytes=self.bytes + other.bytes)


class RetentionWorker:
    """Keeps one server's store tidy, and deletes what its owner (None: anybody) has kept for long enough.

    Several servers may do it on one store: what is done twice does no harm.

    ``warnings`` are sentences for the user, as of the last look; they are also logged, once a day.
    """

    def __init__(self, *, store: Store, clock: Clock, owner: str | None, retention: Retention) -> None:
        self.warnings: tuple[str, ...] = ()
        self._store = store
        self._clock = clock
        self._retention = retention
        self._owner = owner
        self._time = SettledTime(clock)
        self._logged_at = float("-inf")

    async def run(self) -> None:
        """Tidy up every minute and look for what is too old every hour, until cancelled."""
        await self._clock.sleep(STARTS_AFTER)
        pruned_at = float("-inf")
        while True:
            try:
                await self.tidy()
                if self._clock.monotonic() - pruned_at >= HOUR:
                    await self.prune()
                    pruned_at = self._clock.monotonic()
            except Exception:
                log.exception("the store cannot be tidied now, trying again")
            await self._clock.sleep(TIDY_EVERY)

    async def tidy(self) -> None:
        """Join and compress what there is to join, and give space back."""
        while await self._store.tidy():
            await self._clock.sleep(PAUSE)

    async def prune(self) -> Deleted:
        """Delete what the rules let go, and say what they will let go unread."""
        deleted = await self._prune_by_age() + await self._prune_by_size()
        if deleted.jobs:
            log.info("%d old answers were deleted (%s).", deleted.jobs, megabytes(deleted.bytes))
        self.warnings = (*self._clock_trouble(), *await self._announce(), *await self._too_large())
        if self.warnings and self._clock.monotonic() - self._logged_at >= DAY:
            self._logged_at = self._clock.monotonic()
            for warning in self.warnings:
                log.warning(warning)
        return deleted

    async def _prune_by_age(self) -> Deleted:
        now, deleted = self._time.time(), Deleted()
        if (before := self._retention.read_before(now)) is not None:
            deleted += await delete_old(self._store, self._clock, owner=self._owner, before=before, unread=False)
            await self._store.forget_forks(owner=self._owner, before=before)
        if (before := self._retention.unread_before(now)) is not None:
            for job in await self._old(before=before, unread=True, limit=MOST_ANNOUNCED):
                if job.announced_at is not None and job.announced_at <= now - ANNOUNCED_DAYS * DAY:
                    deleted += await self._delete(job)
        return deleted

    async def _prune_by_size(self) -> Deleted:
        deleted = Deleted()
        while (excess := await self._excess()) > 0:
            # What was read within the last hour may still be on somebody's screen.
            old = await self._old(before=self._time.time() - HOUR, unread=False, limit=AT_A_TIME)
            if not old:
                break
            for job in old:
                gone = await self._delete(job)
                deleted += gone
                excess -= gone.bytes
                if excess <= 0:
                    break
        return deleted

    async def _old(self, *, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
        return await self._store.old(owner=self._owner, before=before, unread=unread, limit=limit)

    async def _size(self) -> int:
        return await self._store.size(owner=self._owner)

    async def _delete(self, job: ExpiredJob) -> Deleted:
        return await delete(self._store, self._clock, [job])

    async def _excess(self) -> int:
        # Bytes beyond the limit. Measured once for many deletions, since beside other owners every text is counted.
        return await self._size() - self._retention.max_bytes if self._retention.max_bytes else 0

    async def _too_large(self) -> list[str]:
        if await self._excess() <= 0:
            return []
        return [
            f"The answers kept take {megabytes(await self._size())}, more than BgStreamApp.max_megabytes allows"
            f" ({megabytes(self._retention.max_bytes)}), and nothing more may be deleted: the rest is unread,"
            " unfinished or of the last hour. Open or dismiss old answers, or raise the setting."
        ]

    def _clock_trouble(self) -> list[str]:
        if not self._time.ahead:
            return []
        ahead = timedelta(seconds=round(self._time.ahead))
        return [
            f"The clock of this machine was set forward by {ahead} while the server ran. Answers are deleted by the new"
            " time only after it has been so for a day: if it is wrong, correct it."
        ]

    async def _announce(self) -> list[str]:
        now = self._time.time()
        ceiling = self._retention.unread_before(now)
        if ceiling is None:
            return []
        soon = ceiling + ANNOUNCED_DAYS * DAY
        jobs = await self._old(before=soon, unread=True, limit=MOST_ANNOUNCED)
        if not jobs:
            return []
        await self._store.announce([job for job in jobs if job.announced_at is None], at=now)
        # An answer may be older than the ceiling when it is first announced: the server was off for long.
        first = min(max(job.ended_at + now - ceiling, (job.announced_at or now) + ANNOUNCED_DAYS * DAY) for job in jobs)
        many = f"{len(jobs)} or more" if len(jobs) == MOST_ANNOUNCED else str(len(jobs))
        answers, them = ("answer", "it") if len(jobs) == 1 else ("answers", "them")
        days = max(self._retention.unread_days, self._retention.keep_days)
        return [
            f"{many} unread {answers} will be deleted from {datetime.fromtimestamp(first, UTC):%Y-%m-%d} on, since by"
            f" then nobody has opened {them} for {days} days. What is opened is kept for {self._retention.keep_days}"
            " more; BgStreamApp.unread_days = 0 keeps all of them."
        ]


async def delete_old(store: Store, clock: Clock, *, owner: str | None, before: float, unread: bool) -> Deleted:
    """Delete an owner's jobs, or everybody's, that ended before a time, in Unix seconds, and were read, or were not."""
    deleted = Deleted()
    while jobs := await store.old(owner=owner, before=before, unread=unread, limit=AT_A_TIME):
        now = await delete(store, clock, jobs)
        deleted += now
        if not now.jobs:  # somebody else is at it
            break
    return deleted


async def delete(store: Store, clock: Clock, jobs: Sequence[ExpiredJob]) -> Deleted:
    """Delete jobs as a user would, one by one, with pauses; those that are gone by now do not count."""
    deleted = Deleted()
    for job in jobs:
        try:
            await store.delete(job.owner, job.id, log=job.log)
        except (NotFoundError, ConflictError):  # another server, or the user, was faster
            continue
        deleted += Deleted(jobs=1, bytes=job.bytes)
        await clock.sleep(PAUSE)
    return deleted


def megabytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1024**2:,.1f} MB"
