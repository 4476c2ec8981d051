"""Sources of answers: a running server, or the configured database."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from ...client.errors import ServerConnectionError
from ...client.follower import Follower
from ...client.rest_client import Api
from ...core.errors import BgStreamError, UnavailableError
from ...core.schemas.batches import BatchInfo
from ...core.state import ENDS, Answer
from ...engine.conversation_history import read_answer, read_image
from ...outputs.batch import BatchOutput
from ...store.port_values import JobFilter
from ...store.ports.store import Store

PAGE = 500  # ids in a request


class Record(NamedTuple):
    """Fields of a job that decide whether its answer is read."""

    id: str
    model: str  # provider/name
    ended: bool
    retried_by: str | None


class Source(Protocol):
    """Source of jobs and batches; the methods raise NotFoundError."""

    async def records(self, ids: Sequence[str]) -> list[Record]: ...  # at most PAGE ids; only jobs that exist
    async def answer(self, job_id: str) -> tuple[str, Answer]: ...  # with its cursor
    async def image(self, job_id: str, image_id: str) -> bytes: ...  # file of an image
    async def batch(self, batch_id: str) -> BatchInfo | BatchOutput: ...


class ServerSource:
    """Running server."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def records(self, ids: Sequence[str]) -> list[Record]:
        """Return the jobs that exist."""
        page = await self._api.jobs(ids=",".join(ids), limit=PAGE)
        return [Record(job.id, job.model, job.ended, job.retried_by) for job in page.jobs]

    async def answer(self, job_id: str) -> tuple[str, Answer]:
        """Return the cursor and the answer of a job."""
        follower = Follower(job_id)
        answer = await follower.catch_up(self._api)
        return follower.cursor, answer

    async def image(self, job_id: str, image_id: str) -> bytes:
        """Return the file of an image."""
        return await self._api.image(job_id, image_id)

    async def batch(self, batch_id: str) -> BatchInfo:
        """Return the state of a batch."""
        return await self._api.batch(batch_id)


class DatabaseSource:
    """Database, which servers may use at the same time."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def records(self, ids: Sequence[str]) -> list[Record]:
        """Return the jobs that exist."""
        jobs, _ = await self._store.jobs(self._owner, JobFilter(ids=tuple(ids), limit=PAGE))
        return [Record(job.id, job.spec.model, job.status in ENDS, job.retried_by) for job in jobs]

    async def answer(self, job_id: str) -> tuple[str, Answer]:
        """Return the cursor and the answer of a job."""
        job = await self._store.job(self._owner, job_id)
        return str(job.cursor), await read_answer(self._store, job)

    async def image(self, job_id: str, image_id: str) -> bytes:
        """Return the file of an image."""
        return await read_image(self._store, await self._store.image(self._owner, job_id, image_id))

    async def batch(self, batch_id: str) -> BatchOutput:
        """Return the state of a batch."""
        info = await self._store.batch(self._owner, batch_id)
        return BatchOutput(
            id=info.id,
            status=info.status,
            title=info.spec.title,
            total=info.total,
            counts=info.counts,
            paused=info.paused,
        )


@asynccontextmanager
async def server_source() -> AsyncIterator[ServerSource | ServerConnectionError]:
    """Connect to a server, or yield the error."""
    api = Api()
    try:
        try:
            await api.connect()
        except ServerConnectionError as problem:
            yield problem
        else:
            yield ServerSource(api)
    finally:
        await api.aclose()


@asynccontextmanager
async def database_source(path: Path | None) -> AsyncIterator[DatabaseSource | BgStreamError]:
    """Open the configured database, or the one at ``path``; or yield the error. Never creates a database."""
    from ...server.identity import server_owner
    from ..settings import has_database, load_settings  # they import all of Jupyter's server

    app = load_settings().app
    if path is not None:
        app.database = str(path)
    elif app.store == "temporary":
        yield UnavailableError("BgStreamApp.store is 'temporary': without a running server there are no jobs.")
        return
    if not has_database(app):
        yield UnavailableError(f"There is no database {app.database_path}.")
        return
    store = app.open_database(f"fill-{secrets.token_hex(4)}")
    try:
        await store.open()
    except BgStreamError as error:
        yield error
        return
    try:
        yield DatabaseSource(store, server_owner())
    finally:
        await store.close()
