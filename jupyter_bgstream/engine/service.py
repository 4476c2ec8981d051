"""The facade: all that a face of this package (REST, socket, test) may ask of the engine."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ..core.batches import Batch, BatchItem, BatchSpec, Progress
from ..core.costs import By, CostRow, Price
from ..core.cursor import new_log, position
from ..core.errors import InvalidRequestError, ProviderError, UnavailableError
from ..core.events import Cancelled, Usage
from ..core.job import Job, JobSpec, title_of
from ..core.limits import check_spec
from ..core.notices import Mute, Notice
from ..core.state import Answer
from ..providers.base import Default, Providers, ProviderStatus
from ..store.base import Capacity, Change, JobFilter, Store, StoredImage
from ..store.usage_ledger import day_of
from .cancellation import UpstreamCanceller
from .clock import Clock, SystemClock
from .delays import Delays
from .history import read_answer
from .hub import EventBatch, Hub
from .recovery import Recovery
from .retention import Retention, RetentionWorker
from .runner import Runner
from .scheduler import Scheduler
from .threads import Threads

CANCELLED_AT_ONCE = 500  # jobs of a group in one transaction
RETRIED_AT_ONCE = 500
ANSWERS_BYTES = 4 * 1024 * 1024  # of texts in one page of a group's answers
STOP_PATIENCE = 2.0  # seconds that each step of a stop but the jobs' own may wait, such as for a locked store


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one server takes on."""

    max_running: int = 20  # jobs at a time
    reserved: int = 5  # of them kept free of batch jobs, for people who wait
    max_running_per_owner: int | None = None  # jobs of one owner at a time, on all servers of this store
    max_queued: int = 100_000  # unfinished jobs of one owner
    max_attempts: int = 5  # tries of one job at its provider
    max_answer_bytes: int = 16 * 1024 * 1024  # of one try: see EVENT_BYTES
    max_image_bytes: int = 64 * 1024 * 1024  # of the pictures of one try together
    stop_grace: float = 2.0  # seconds that running jobs have to end when the server stops

    @property
    def room(self) -> Capacity:
        """What a claim goes by. At least one batch job may run, so that a batch ends some day."""
        return Capacity(
            running=self.max_running,
            batch=max(1, self.max_running - self.reserved),
            owner=self.max_running_per_owner or sys.maxsize,  # counted on all servers: ours must not stop another's
        )


class Service:
    """One server's engine. ``owner`` is the tenant in every call: what belongs to another is NotFoundError.

    The ``owner`` of the engine is the one whose jobs it runs, adopts and, by its retention, deletes. None means every
    owner: right for a worker that has everybody's keys, wrong for a server that has only its user's.
    """

    def __init__(
        self,
        *,
        store: Store,
        providers: Providers,
        server: str,
        owner: str | None = None,
        limits: Limits | None = None,
        retention: Retention | None = None,  # None: nothing is ever tidied or deleted
        stop_patience: float = STOP_PATIENCE,
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.server = server
        self._stop_patience = stop_patience
        self._store = store
        self._providers = providers
        self._clock = clock or SystemClock()
        self._hub = Hub(store, self._clock)
        self._abandoning = UpstreamCanceller(providers)
        waits = Delays(store, self._clock)
        runner = Runner(
            store=store,
            providers=providers,
            clock=self._clock,
            max_attempts=self.limits.max_attempts,
            max_answer_bytes=self.limits.max_answer_bytes,
            max_image_bytes=self.limits.max_image_bytes,
            abandon=self._abandoning.abandon,
            waits=waits,
        )
        self._scheduler = Scheduler(
            store=store,
            runner=runner,
            clock=self._clock,
            server=server,
            owner=owner,
            room=self.limits.room,
            max_attempts=self.limits.max_attempts,
            abandon=self._abandoning.abandon,
            waits=waits,
        )
        self._recovery = Recovery(
            store=store,
            providers=providers,
            clock=self._clock,
            server=server,
            owner=owner,
            max_attempts=self.limits.max_attempts,
            waits=waits,
            adopted=self._scheduler.wake,
        )
        self.threads = Threads(store=store, clock=self._clock, stop=self._stop)
        self._housekeeping = None
        if retention is not None:
            self._housekeeping = RetentionWorker(store=store, clock=self._clock, owner=owner, retention=retention)
        self._aside: list[asyncio.Task[None]] = []  # loops that may be stopped at any time
        self._carrying: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Open the store and begin to run jobs. Raises UnavailableError if the store cannot be had."""
        await self._store.open()
        self._hub.listen(self._follow_ends)
        self._carrying = asyncio.create_task(self._hub.run())
        self._scheduler.open()
        self._aside.append(asyncio.create_task(self._recovery.run()))
        self._aside.append(asyncio.create_task(self._stop_if_taken_over()))
        if self._housekeeping is not None:
            self._aside.append(asyncio.create_task(self._housekeeping.run()))

    async def close(self) -> None:
        """Give what runs a moment, leave the rest as each job says, let followers have it, then close the store."""
        self._closing = True
        self._store.patience = self._stop_patience
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._aside, return_exceptions=True)
        try:
            await self._scheduler.close(grace=self.limits.stop_grace, patience=self._stop_patience)
            await self._abandoning.close(patience=self._stop_patience)
        finally:
            await self._store.close()
            if self._carrying is not None:  # it ends with the store's changes
                await asyncio.gather(self._carrying, return_exceptions=True)

    async def _stop_if_taken_over(self) -> None:
        await self._store.taken_over()
        self._scheduler.drop_all()
        for task in self._aside:  # they would only be refused, again and again
            if task is not asyncio.current_task():
                task.cancel()

    def _follow_ends(self, change: Change) -> None:
        # Whoever ended a job that runs here, perhaps another server, wants its socket closed. Any end may make room,
        # or be what the next job of a thread waits for.
        if change.kind == "deleted" or (change.kind == "job" and change.ended):
            self._scheduler.check(change.owner, change.job)
            self._scheduler.wake()
        elif change.kind == "group" or change.status == "waiting":  # it may go on; that makes room as well
            self._scheduler.wake()

    @property
    def running(self) -> int:
        """How many jobs run on this server now."""
        return self._scheduler.running

    @property
    def store_kind(self) -> str:
        """Where jobs are kept, such as sqlite."""
        return self._store.kind

    @property
    def store_path(self) -> Path | None:
        """The file in which jobs are kept, if they are kept in one."""
        return self._store.path

    @property
    def warnings(self) -> list[str]:
        """What whoever looks after this server should know: sentences, each with what to do."""
        return [*self._store.warnings, *(self._housekeeping.warnings if self._housekeeping else ())]

    async def default(self) -> Default | None:
        """Return the model of a job that names none, and why it is that; may ask local servers, in bounded time."""
        return await self._providers.default()

    @property
    def aliases(self) -> Mapping[str, str]:
        """Names that stand for a model's full name."""
        return self._providers.aliases

    async def submit(
        self, owner: str, spec: JobSpec, job_id: str | None = None, *, submitted_by: str | None = None
    ) -> tuple[Job, bool]:
        """Store a job as queued; returns (job, whether it is new).

        Raises InvalidRequestError, ConflictError, QueueFullError, UnavailableError.
        """
        self._refuse_if_closing()
        return await self._submit(self._job(owner, spec, job_id, submitted_by=submitted_by))

    async def retry(self, owner: str, job_id: str, *, submitted_by: str | None = None) -> tuple[Job, bool]:
        """Ask an ended job again; returns its one successor, and whether that is new.

        Raises NotFoundError, ConflictError (it has not ended), QueueFullError, UnavailableError.
        """
        self._refuse_if_closing()
        asked = await self._store.job(owner, job_id)
        again = msgspec.structs.replace(self._job(owner, asked.spec, None, submitted_by=submitted_by), retry_of=job_id)
        return await self._submit(again)

    async def submit_group(
        self, owner: str, spec: BatchSpec, jobs: Sequence[tuple[str, JobSpec]], *, submitted_by: str | None = None
    ) -> Batch:
        """Announce a group and store some of its jobs, all or none; may be repeated. Raises as ``submit`` does."""
        self._refuse_if_closing()
        group = Batch(spec=spec, owner=owner, total=spec.total, created_at=self._clock.time())
        members = [
            self._job(owner, msgspec.structs.replace(job, group=spec.id), job_id, submitted_by=submitted_by)
            for job_id, job in jobs
        ]
        stored = await self._store.submit_group(group, members, max_queued=self.limits.max_queued)
        self._scheduler.wake()
        return stored

    async def group(self, owner: str, group_id: str) -> Batch:
        """Return a group."""
        return await self._store.group(owner, group_id)

    async def progress(self, owner: str, group_id: str) -> Progress:
        """Return how far a group is."""
        return await self._store.progress(owner, group_id)

    async def answers(
        self, owner: str, group_id: str, *, after: str | None, limit: int
    ) -> tuple[list[BatchItem], str, bool]:
        """Return the places of a group that have changed since, where to go on, and whether there is more now."""
        return await self._store.answers(owner, group_id, after=after, limit=limit, max_bytes=ANSWERS_BYTES)

    async def retry_group(self, owner: str, group_id: str, *, submitted_by: str | None = None) -> None:
        """Ask again what has ended of a group without a whole answer.

        Raises NotFoundError, QueueFullError, UnavailableError.
        """
        self._refuse_if_closing()
        span = None
        at = self._clock.time()
        while True:
            # What fails again meanwhile is behind the span: it waits for the next who asks.
            span = await self._store.retry_group(
                owner,
                group_id,
                server=self.server,
                at=at,
                limit=RETRIED_AT_ONCE,
                max_queued=self.limits.max_queued,
                span=span,
                submitted_by=submitted_by,
            )
            self._scheduler.wake()
            if span is None:
                return

    async def resume_group(self, owner: str, group_id: str) -> None:
        """Let a paused group go on with what is left; one that is not paused stays as it is. Raises NotFoundError."""
        self._refuse_if_closing()
        await self._store.resume_group(owner, group_id)
        self._scheduler.wake()

    async def cancel_group(self, owner: str, group_id: str) -> Batch:
        """Cancel what has not ended of a group and take no more jobs for it."""
        while True:
            event = Cancelled(at=self._clock.time())
            group, jobs = await self._store.cancel_group(owner, group_id, event, limit=CANCELLED_AT_ONCE)
            for job in jobs:
                self._stop(job)
            if len(jobs) < CANCELLED_AT_ONCE:
                return group

    async def _submit(self, job: Job) -> tuple[Job, bool]:
        stored, new = await self._store.submit(job, max_queued=self.limits.max_queued)
        if new:
            self._scheduler.wake()
        return stored, new

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise UnavailableError("This server is shutting down; submit the job again in a moment.")

    def _job(self, owner: str, spec: JobSpec, job_id: str | None, *, submitted_by: str | None) -> Job:
        spec = msgspec.structs.replace(spec, model=self._providers.full_name(spec.model))
        check_spec(spec, aliases=self.aliases)
        self._providers.check(spec)
        return Job(
            id=job_id or secrets.token_urlsafe(12),
            owner=owner,
            log=new_log(),
            spec=msgspec.structs.replace(spec, title=spec.title or title_of(spec.messages)),
            status="new",
            server=self.server,
            created_at=self._clock.time(),
            submitted_by=submitted_by,
        )

    async def job(self, owner: str, job_id: str) -> Job:
        """Return a job without its text."""
        return await self._store.job(owner, job_id)

    async def answer(self, owner: str, job_id: str) -> tuple[Job, Answer]:
        """Return a job and the fold of its log, both as of the same event."""
        job = await self._store.job(owner, job_id)
        return job, await read_answer(self._store, job)

    async def jobs(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        """Return one page of jobs, newest first, and where the next begins."""
        return await self._store.jobs(owner, which)

    async def has_work(self, owner: str) -> bool:
        """Return whether jobs run on this server, or are queued or wait here and are not of a paused group."""
        return self.running > 0 or await self._store.has_work(server=self.server, owner=owner)

    async def counts(self, owner: str) -> dict[str, int]:
        """Return how many jobs there are in each state."""
        return await self._store.counts(owner)

    async def costs(self, owner: str, by: By, *, since: float | None, until: float | None) -> list[CostRow]:
        """Return what an owner's jobs took that were submitted in that time, in Unix seconds."""
        return await self._store.costs(owner, by, since=since, until=until)

    async def price(self, model: str, *, input_tokens: int, output_tokens: int) -> Price:
        """Return what a request of so many tokens costs by list prices.

        Raises InvalidRequestError for a model of no provider here.

        Without tokens only the model's full name is told.
        """
        model = self._providers.full_name(model)
        asked = Usage(input_tokens=input_tokens, output_tokens=0)
        try:
            self._providers.resolve(model)
            asked = await self._providers.price(model, asked) if input_tokens else asked
            whole = msgspec.structs.replace(asked, output_tokens=output_tokens, cost=None)
            whole = await self._providers.price(model, whole) if output_tokens else whole
        except ProviderError as error:
            raise InvalidRequestError(error.message, field="model", code=error.code) from None
        output = None if whole.cost is None else max(0.0, whole.cost - (asked.cost or 0.0))
        return Price(model=model, input_usd=asked.cost, output_usd=output)

    @property
    def today(self) -> str:
        """The day of now, as the costs of days have it."""
        return day_of(self._clock.time())

    async def cancel(self, owner: str, job_id: str) -> Job:
        """End a job as cancelled and close its socket; one that has ended stays as it is."""
        job, won = await self._store.end(owner, job_id, Cancelled(at=self._clock.time()))
        if won:
            self._stop(job)
        return job

    def _stop(self, cancelled: Job) -> None:
        self._scheduler.stop(cancelled)
        self._abandoning.abandon(cancelled)

    async def delete(self, owner: str, job_id: str) -> None:
        """Cancel a job if need be and forget it."""
        await self.cancel(owner, job_id)
        await self._store.delete(owner, job_id)

    def follow(self, job: Job, *, after: int) -> AsyncGenerator[EventBatch, None]:
        """Yield what comes after event ``after`` until the log has ended.

        Raises NotFoundError if the job is deleted.
        """
        return self._hub.follow(job, after=after)

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        """Return stored events after ``after``, at least one if there is any."""
        return await self._store.events(job, after=after, max_bytes=max_bytes)

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        """Return a picture of a job's answer; raises NotFoundError."""
        return await self._store.image(owner, job_id, image_id)

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        """Return a piece of a picture's file, from 0; raises NotFoundError if the job is gone."""
        return await self._store.image_chunk(image, chunk)

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``listener`` with every change but deltas, of every owner; returns what ends that."""
        return self._hub.listen(listener)

    async def notices(self, owner: str, viewer: str) -> list[Notice]:
        """Return a viewer's inbox, newest first."""
        return await self._store.notices(owner, viewer)

    async def read(self, owner: str, viewer: str, ids: Sequence[str] | None) -> None:
        """Mark notices read; None means all."""
        await self._store.read(owner, viewer, ids=ids, at=self._clock.time())

    async def seen(self, owner: str, viewer: str, job_id: str, cursor: str) -> None:
        """Note that a visible view has drawn this far; at the end of the log this reads the job's notice."""
        job = await self._store.job(owner, job_id)
        await self._store.seen(owner, viewer, job_id, seq=position(cursor, job.cursor), at=self._clock.time())

    async def dismiss(self, owner: str, viewer: str, notice_id: str) -> None:
        """Take a notice out of a viewer's inbox."""
        await self._store.dismiss(owner, viewer, notice_id, at=self._clock.time())

    async def mutes(self, owner: str, viewer: str) -> list[Mute]:
        """Return what a viewer does not want to be called for."""
        return await self._store.mutes(owner, viewer)

    async def mute(self, owner: str, viewer: str, mute: Mute, *, on: bool) -> None:
        """Change what a viewer wants to be called for."""
        await self._store.mute(owner, viewer, mute, on=on)

    async def due_calls(self, owner: str, *, since: float, at: float, again: float, limit: int) -> list[Notice]:
        """Return notices to call for that nobody has read, dismissed or muted; they are due again at ``again``."""
        return await self._store.due_calls(owner, since=since, at=at, again=again, limit=limit)

    async def called(self, owner: str, notice_id: str, *, again: float | None = None) -> None:
        """Note that a notice was called for: it is never due again, or then."""
        await self._store.called(owner, notice_id, again=again)

    async def models(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return what can be asked of each provider right now, in bounded time; remembered for a while."""
        return await self._providers.status(refresh=refresh)
