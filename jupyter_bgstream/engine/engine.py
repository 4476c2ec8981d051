"""The engine's facade for REST handlers, sockets and tests: jobs, batches, threads, inbox and usage."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.schemas.server_info import LimitsInfo
from ..providers.port import Default, Providers, ProviderStatus
from ..store.port_values import Change
from ..store.ports.store import Store
from .batches import Batches
from .cancellation import UpstreamCanceller
from .clock import Clock, SystemClock
from .context import EngineContext, EnginePart
from .costs import CostReports
from .due_times import Delays
from .followers import Followers
from .inbox import Inbox
from .jobs import JobFactory, Jobs
from .recovery import Recovery
from .retention import Retention, RetentionWorker
from .runner import Runner
from .scheduler import Scheduler
from .threads import Threads

STOP_PATIENCE = 2.0  # seconds that each step of a stop may wait, such as for a locked store; running jobs have a grace


class Engine(EnginePart):
    """One server's engine. Every call names an ``owner``; objects of another owner are a NotFoundError.

    The engine's own ``owner`` is the one whose jobs it runs, adopts and deletes by retention. None means every owner:
    correct for a server with the keys of all owners, wrong for one with only the keys of its user.
    """

    def __init__(
        self,
        *,
        store: Store,
        providers: Providers,
        server: str,
        owner: str | None = None,
        limits: LimitsInfo | None = None,
        retention: Retention | None = None,  # None: no maintenance and no deletion
        stop_patience: float = STOP_PATIENCE,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        context = EngineContext(
            store=store,
            providers=providers,
            clock=clock,
            delays=Delays(store, clock),
            server=server,
            owner=owner,
            limits=limits or LimitsInfo(),
        )
        super().__init__(context)
        self.server = server
        self.limits = context.limits
        self._stop_patience = stop_patience
        self._followers = Followers(store, clock)
        self._scheduler = scheduler = Scheduler(context, Runner(context))
        self._canceller = UpstreamCanceller(providers)
        scheduler.listen(self._canceller.cancel)
        self._recovery = Recovery(context, on_adopted=scheduler.wake)
        self._retention = None
        if retention is not None:
            self._retention = RetentionWorker(store=store, clock=clock, owner=owner, retention=retention)
        self._factory = factory = JobFactory(context)
        self.jobs = Jobs(context, followers=self._followers, scheduler=scheduler, factory=factory)
        self.batches = Batches(context, scheduler=scheduler, factory=factory)
        self.threads = Threads(context, scheduler)
        self.inbox = Inbox(context)
        self.costs = CostReports(context)
        self._loops: list[asyncio.Task[None]] = []  # may be cancelled at any time
        self._delivery: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the store and start to run jobs. Raises UnavailableError if the store cannot be opened."""
        await self._store.open()
        self._followers.listen(self._on_change)
        self._delivery = asyncio.create_task(self._followers.run())
        self._scheduler.open()
        self._loops.append(asyncio.create_task(self._recovery.run()))
        self._loops.append(asyncio.create_task(self._stop_if_taken_over()))
        if self._retention is not None:
            self._loops.append(asyncio.create_task(self._retention.run()))

    async def close(self) -> None:
        """Let jobs end for a grace period, hand the rest over, deliver all events to followers, close the store."""
        self._factory.closed = True
        self._store.patience = self._stop_patience
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        try:
            await self._scheduler.close(grace=self.limits.stop_grace, patience=self._stop_patience)
            await self._canceller.close(patience=self._stop_patience)
        finally:
            await self._store.close()
            if self._delivery is not None:  # it ends with the store's changes
                await asyncio.gather(self._delivery, return_exceptions=True)

    async def _stop_if_taken_over(self) -> None:
        await self._store.wait_until_taken_over()
        self._scheduler.drop_all()
        for task in self._loops:  # the store would refuse each of their calls
            if task is not asyncio.current_task():
                task.cancel()

    def _on_change(self, change: Change) -> None:
        # An end, perhaps written by another server, closes the socket of the job here. It may also free capacity, or
        # let the next job of a thread run.
        if change.kind == "deleted" or (change.kind == "job" and change.ended):
            self._scheduler.check(change.owner, change.subject)
            self._scheduler.wake()
        elif change.kind == "batch" or change.status == "waiting":  # a batch may continue; a waiting job frees capacity
            self._scheduler.wake()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``listener`` with every change but deltas, of every owner; return a function that unsubscribes it."""
        return self._followers.listen(listener)

    @property
    def running(self) -> int:
        """Number of jobs that run on this server now."""
        return self._scheduler.running

    @property
    def store_kind(self) -> str:
        """Kind of the store, such as sqlite."""
        return self._store.kind

    @property
    def store_path(self) -> Path | None:
        """Path of the store's file, if it has one."""
        return self._store.path

    @property
    def warnings(self) -> list[str]:
        """Warnings for the server's administrator: sentences, each with what to do."""
        return [*self._store.warnings, *(self._retention.warnings if self._retention else ())]

    async def default(self) -> Default | None:
        """Return the model of jobs without one, and the reason; may query local servers, in bounded time."""
        return await self._providers.default()

    @property
    def aliases(self) -> Mapping[str, str]:
        """Full names of models by alias."""
        return self._providers.aliases

    async def models(self, *, refresh: bool = False) -> list[ProviderStatus]:
        """Return the status of each provider, in bounded time; cached for a while."""
        return await self._providers.status(refresh=refresh)
