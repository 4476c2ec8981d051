"""Jobs: submit, retry, read, follow, cancel and delete."""

import secrets
from collections.abc import AsyncGenerator

import msgspec

from ..core.cursor import new_log
from ..core.errors import UnavailableError
from ..core.events import Cancelled
from ..core.job import Job, JobSpec, title_of
from ..core.request_checks import check_spec
from ..core.state import Answer
from ..store.port_values import JobFilter, StoredImage
from .context import EngineContext, EnginePart
from .conversation_history import read_answer
from .followers import EventBatch, Followers
from .scheduler import Scheduler


class JobFactory(EnginePart):
    """Makes new jobs from checked requests, until the server shuts down."""

    closed = False

    def check_open(self) -> None:
        """Raise UnavailableError if the server shuts down."""
        if self.closed:
            raise UnavailableError("This server is shutting down; submit the job again later.")

    def make(
        self,
        owner: str,
        spec: JobSpec,
        job_id: str | None = None,
        *,
        submitted_by: str | None = None,
        retry_of: str | None = None,
    ) -> Job:
        """Return a new job with the model's full name and a title.

        Raises:
            InvalidRequestError: the request cannot be sent.
            UnavailableError: the server shuts down.

        """
        self.check_open()
        spec = msgspec.structs.replace(spec, model=self._providers.full_name(spec.model))
        check_spec(spec, aliases=self._providers.aliases)
        self._providers.check(spec)
        return Job(
            id=job_id or secrets.token_urlsafe(12),
            owner=owner,
            log=new_log(),
            spec=msgspec.structs.replace(spec, title=spec.title or title_of(spec.messages)),
            status="new",
            server=self._server,
            created_at=self._clock.time(),
            submitted_by=submitted_by,
            retry_of=retry_of,
        )


class Jobs(EnginePart):
    """The jobs of all owners; a job of another owner is a NotFoundError."""

    def __init__(
        self, context: EngineContext, *, followers: Followers, scheduler: Scheduler, factory: JobFactory
    ) -> None:
        super().__init__(context)
        self._followers = followers
        self._scheduler = scheduler
        self._factory = factory

    async def submit(
        self, owner: str, spec: JobSpec, job_id: str | None = None, *, submitted_by: str | None = None
    ) -> tuple[Job, bool]:
        """Store a job as queued.

        Returns:
            The job, and whether it is new.

        Raises:
            InvalidRequestError: the request cannot be sent.
            ConflictError: another request has this id.
            QueueFullError: the owner has too many unfinished jobs.
            UnavailableError: the server shuts down, or the store cannot be written.

        """
        return await self._submit(self._factory.make(owner, spec, job_id, submitted_by=submitted_by))

    async def retry(self, owner: str, job_id: str, *, submitted_by: str | None = None) -> tuple[Job, bool]:
        """Submit an ended job again; raises as ``submit`` does, and ConflictError if it has not ended.

        Returns:
            The job's one successor, and whether that is new.

        """
        self._factory.check_open()
        ended = await self._store.job(owner, job_id)
        return await self._submit(self._factory.make(owner, ended.spec, submitted_by=submitted_by, retry_of=job_id))

    async def _submit(self, job: Job) -> tuple[Job, bool]:
        stored, new = await self._store.submit(job, max_queued=self._limits.max_queued)
        if new:
            self._scheduler.wake()
        return stored, new

    async def get(self, owner: str, job_id: str) -> Job:
        """Return a job without its answer."""
        return await self._store.job(owner, job_id)

    async def answer(self, owner: str, job_id: str) -> tuple[Job, Answer]:
        """Return a job and the fold of its log, both as of the same event."""
        job = await self._store.job(owner, job_id)
        return job, await read_answer(self._store, job)

    async def page(self, owner: str, which: JobFilter) -> tuple[list[Job], str | None]:
        """Return one page of jobs, newest first, and the cursor of the next."""
        return await self._store.jobs(owner, which)

    async def has_work(self, owner: str) -> bool:
        """Return whether jobs run on this server, or are queued or wait here outside paused batches."""
        return self._scheduler.running > 0 or await self._store.has_work(server=self._server, owner=owner)

    async def counts(self, owner: str) -> dict[str, int]:
        """Return the number of jobs by status."""
        return await self._store.counts(owner)

    async def cancel(self, owner: str, job_id: str) -> Job:
        """End a job as cancelled and close its socket; an ended job stays as it is."""
        job, won = await self._store.end(owner, job_id, Cancelled(at=self._clock.time()))
        if won:
            self._scheduler.stop(job)
        return job

    async def delete(self, owner: str, job_id: str) -> None:
        """Cancel a job if it has not ended, and delete it."""
        await self.cancel(owner, job_id)
        await self._store.delete(owner, job_id)

    def follow(self, job: Job, *, after: int) -> AsyncGenerator[EventBatch, None]:
        """Yield the events after number ``after`` until the log ends; see ``Followers.follow``."""
        return self._followers.follow(job, after=after)

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        """Return stored events after number ``after``, at least one if there is any."""
        return await self._store.events(job, after=after, max_bytes=max_bytes)

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        """Return an image of a job's answer; raise NotFoundError."""
        return await self._store.image(owner, job_id, image_id)

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        """Return a chunk of an image's file, counted from 0; raise NotFoundError if the job was deleted."""
        return await self._store.image_chunk(image, chunk)
