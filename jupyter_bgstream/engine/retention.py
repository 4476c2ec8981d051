"""Retention: merges and compresses logs, and deletes old jobs, a few at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from ..core.errors import ConflictError, NotFoundError
from ..store.port_values import ExpiredJob
from ..store.ports.store import Store
from .clock import Clock, SettledTime

DAY = 86_400.0  # seconds
HOUR = 3_600.0
STARTS_AFTER = 120.0  # seconds; the server's start has more urgent work
TIDY_EVERY = 60.0  # seconds
PAUSE = 0.02  # seconds between two steps or two deletions, in which answers are written
NOTICE_DAYS = 14  # between the first warning and the deletion of an unread answer
MAX_ANNOUNCED = 500  # answers that one warning counts
PAGE = 100  # answers read at a time

log = logging.getLogger(__name__)


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers are kept, and how much. 0 means forever, or without limit."""

    retention_days: int = 90  # after the end or the last read; also for jobs without a notice
    unread_retention_days: int = 365  # for unread answers; never less than retention_days
    max_database_bytes: int = 2 * 1024**3  # beyond which the oldest read answers are deleted

    def read_before(self, now: float) -> float | None:
        """Return the end time before which read jobs are deleted; None: never."""
        return now - self.retention_days * DAY if self.retention_days else None

    def unread_before(self, now: float) -> float | None:
        """Return the end time before which unread jobs are deleted; None: never."""
        if not (self.retention_days and self.unread_retention_days):  # unread ones are never deleted before others
            return None
        return now - max(self.retention_days, self.unread_retention_days) * DAY


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """Number and size of deleted jobs."""

    jobs: int = 0
    bytes: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(jobs=self.jobs + other.jobs, bytes=self.bytes + other.bytes)


class RetentionWorker:
    """Maintains one server's store, and deletes expired jobs of its owner (None: of every owner).

    Several servers may do so on one store; repeated work does no harm.

    ``warnings`` are sentences for the user, as of the last pruning; they are also logged, once a day.
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
        """Maintain the store every minute and prune it every hour, until cancelled."""
        await self._clock.sleep(STARTS_AFTER)
        pruned_at = float("-inf")
        while True:
            try:
                await self.tidy()
                if self._clock.monotonic() - pruned_at >= HOUR:
                    await self.prune()
                    pruned_at = self._clock.monotonic()
            except Exception:
                log.exception("the store cannot be maintained now, retrying")
            await self._clock.sleep(TIDY_EVERY)

    async def tidy(self) -> None:
        """Merge and compress log segments, and free space."""
        while await self._store.compact():
            await self._clock.sleep(PAUSE)

    async def prune(self) -> Deleted:
        """Delete expired jobs, and announce unread ones that expire soon."""
        deleted = await self._prune_by_age() + await self._prune_by_size()
        if deleted.jobs:
            log.info("%d old answers were deleted (%s).", deleted.jobs, megabytes(deleted.bytes))
        self.warnings = (*self._clock_warning(), *await self._announce(), *await self._size_warning())
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
            for job in await self._old(before=before, unread=True, limit=MAX_ANNOUNCED):
                if job.announced_at is not None and job.announced_at <= now - NOTICE_DAYS * DAY:
                    deleted += await self._delete(job)
        return deleted

    async def _prune_by_size(self) -> Deleted:
        deleted = Deleted()
        while (excess := await self._excess()) > 0:
            # An answer read within the last hour may still be on a screen.
            old = await self._old(before=self._time.time() - HOUR, unread=False, limit=PAGE)
            if not old:
                break
            for job in old:
                step = await self._delete(job)
                deleted += step
                excess -= step.bytes
                if excess <= 0:
                    break
        return deleted

    async def _old(self, *, before: float, unread: bool, limit: int) -> list[ExpiredJob]:
        return await self._store.expired_jobs(owner=self._owner, before=before, unread=unread, limit=limit)

    async def _size(self) -> int:
        return await self._store.size(owner=self._owner)

    async def _delete(self, job: ExpiredJob) -> Deleted:
        return await delete(self._store, self._clock, [job])

    async def _excess(self) -> int:
        # Bytes beyond the limit. Measured once for many deletions: with several owners, every text is counted.
        return await self._size() - self._retention.max_database_bytes if self._retention.max_database_bytes else 0

    async def _size_warning(self) -> list[str]:
        if await self._excess() <= 0:
            return []
        return [
            f"Stored answers take {megabytes(await self._size())}, more than BgStreamApp.max_database_bytes allows"
            f" ({megabytes(self._retention.max_database_bytes)}). No more can be deleted: the rest is unread,"
            " unfinished or from the last hour. Open or dismiss old answers, or raise the setting."
        ]

    def _clock_warning(self) -> list[str]:
        if not self._time.ahead:
            return []
        ahead = timedelta(seconds=round(self._time.ahead))
        return [
            f"The clock of this machine was set forward by {ahead} while the server ran. Answers are deleted by the new"
            " time only after a day. If the clock is wrong, correct it."
        ]

    async def _announce(self) -> list[str]:
        now = self._time.time()
        expired_before = self._retention.unread_before(now)
        if expired_before is None:
            return []
        soon = expired_before + NOTICE_DAYS * DAY
        jobs = await self._old(before=soon, unread=True, limit=MAX_ANNOUNCED)
        if not jobs:
            return []
        await self._store.mark_announced([job for job in jobs if job.announced_at is None], at=now)
        # An answer may have expired before it is first announced, if the server was off for long.
        first = min(
            max(job.ended_at + now - expired_before, (job.announced_at or now) + NOTICE_DAYS * DAY) for job in jobs
        )
        count = f"{len(jobs)} or more" if len(jobs) == MAX_ANNOUNCED else str(len(jobs))
        answers = "answer" if len(jobs) == 1 else "answers"
        days = max(self._retention.unread_retention_days, self._retention.retention_days)
        return [
            f"{count} unread {answers} will be deleted from {datetime.fromtimestamp(first, UTC):%Y-%m-%d} on, {days}"
            f" days after the end. An opened answer is kept for {self._retention.retention_days} more days;"
            " BgStreamApp.unread_retention_days = 0 keeps all unread answers."
        ]


async def delete_old(store: Store, clock: Clock, *, owner: str | None, before: float, unread: bool) -> Deleted:
    """Delete jobs of an owner (None: of all) that ended before a time, in Unix seconds, and were read or unread."""
    deleted = Deleted()
    while jobs := await store.expired_jobs(owner=owner, before=before, unread=unread, limit=PAGE):
        step = await delete(store, clock, jobs)
        deleted += step
        if not step.jobs:  # another server deletes them
            break
    return deleted


async def delete(store: Store, clock: Clock, jobs: Sequence[ExpiredJob]) -> Deleted:
    """Delete jobs one by one, as a user would, with pauses; jobs that were deleted meanwhile do not count."""
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
    """Format a number of bytes as megabytes."""
    return f"{size / 1024**2:,.1f} MB"
