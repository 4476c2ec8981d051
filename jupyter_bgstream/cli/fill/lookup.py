"""Look up the jobs and batches of notebooks: in the server first, then in the database."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from ...client.errors import ServerConnectionError
from ...core.errors import BgStreamError, NotFoundError, UnavailableError
from ...core.state import ENDS, Answer
from ...outputs.images import embeddable
from ...outputs.mimebundle import OutputSnapshot
from .answer_sources import PAGE, Record, ServerSource, Source, database_source, server_source
from .outputs import Data, Known, batch_of, is_complete, jobs_of

MAX_RETRIES = 1000  # length of a chain of retries that is followed

_ID = re.compile("[A-Za-z0-9_-]{8,64}")
_PAUSE = 1.0  # seconds between two looks at unfinished jobs
_PATIENCE = 30.0  # seconds for which a lost server is tried again


class Lookup:
    """Looks in one source after the other, until nothing is missing."""

    def __init__(self, server: Source | None, database: Callable[[], Awaitable[Source | None]]) -> None:
        self._server = server
        self._database = database

    @property
    def has_server(self) -> bool:
        """True if a server answers."""
        return self._server is not None

    async def _sources(self) -> AsyncIterator[Source]:
        if self._server is not None:
            yield self._server
        if (database := await self._database()) is not None:
            yield database

    async def look(self, outputs: Iterable[Data]) -> Known:
        """Return what is known of the jobs and batches of these outputs."""
        wanted: dict[str, bool] = {}  # by job id, whether the answer is needed: it is not complete in the file
        batches: set[str] = set()
        for data in outputs:
            if batch := batch_of(data):
                batches.add(batch["id"])
                continue
            keys = jobs_of(data)
            # Jobs side by side can only be written together.
            unfinished = not is_complete(data)
            wanted |= {key["id"]: unfinished or wanted.get(key["id"], False) for key in keys}
        known, missing = Known(), set(wanted)
        async for source in self._sources():
            missing = await _look_up_jobs(source, wanted, missing, known)
            batches = await _look_up_batches(source, batches, known)
            if not (missing or batches):
                break
        # An answer that is complete in the file is not missing if its job was deleted.
        known.unknown = {job_id for job_id in missing if wanted[job_id]} | batches
        return known

    async def wait(self, outputs: Sequence[Data], seconds: float) -> None:
        """Wait until all jobs and batches of these outputs have ended, at most so long."""
        now = time.monotonic()
        until, lost = now + seconds, now
        while True:
            try:
                if not await self._has_unfinished(outputs):
                    return
                lost = time.monotonic()
            except (ServerConnectionError, UnavailableError):  # the server may be back in a moment
                if time.monotonic() - lost > _PATIENCE:
                    raise
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(_PAUSE, left))

    async def _has_unfinished(self, outputs: Sequence[Data]) -> bool:
        missing = {key["id"] for data in outputs for key in jobs_of(data) if not batch_of(data)}
        batches = {batch["id"] for data in outputs if (batch := batch_of(data))}
        async for source in self._sources():
            newest = await _newest(source, missing)
            known = Known()
            batches = await _look_up_batches(source, batches, known)
            if known.unfinished or any(not record.ended for record in newest.values()):
                return True
            missing -= newest.keys()
            if not (missing or batches):
                break
        return False


async def _look_up_jobs(source: Source, wanted: dict[str, bool], missing: set[str], known: Known) -> set[str]:
    """Add the jobs of this source to ``known``; return the others."""
    newest = await _newest(source, missing)
    read: dict[str, OutputSnapshot] = {}
    found = set()
    for job_id, record in newest.items():
        if wanted[job_id] or record.id != job_id:
            try:
                if record.id not in read:
                    cursor, answer = await source.answer(record.id)
                    files = await _files(source, record.id, answer)
                    read[record.id] = OutputSnapshot(record.id, record.model, cursor, answer, files)
            except NotFoundError:  # deleted just now
                continue
            known.jobs[job_id] = read[record.id]
        if not record.ended:
            known.unfinished.add(job_id)
        found.add(job_id)
    return missing - found


async def _files(source: Source, job_id: str, answer: Answer) -> dict[str, bytes]:
    """Return the image files of an answer that a notebook file can hold."""
    files: dict[str, bytes] = {}
    for image in embeddable(answer.images):
        with suppress(NotFoundError):  # deleted just now
            files[image.id] = await source.image(job_id, image.id)
    return files


async def _look_up_batches(source: Source, missing: set[str], known: Known) -> set[str]:
    found = set()
    for batch_id in sorted(missing):
        try:
            batch = await source.batch(batch_id)
        except NotFoundError:
            continue
        known.batches[batch_id] = batch
        found.add(batch_id)
        if batch.status not in ENDS and batch.paused is None:  # a paused batch does not continue by itself
            known.unfinished.add(batch_id)
    return missing - found


@asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[Lookup]:
    """Open the server and the database, or only the database at ``path``.

    Raises:
        BgStreamError: neither is available.

    """
    async with AsyncExitStack() as stack:
        server = None if path is not None else await stack.enter_async_context(server_source())
        here = server if isinstance(server, ServerSource) else None
        opened: list[Source | BgStreamError] = []

        async def database() -> Source | None:
            if not opened:  # it takes a second to import
                opened.append(await stack.enter_async_context(database_source(path)))
            return None if isinstance(opened[0], BgStreamError) else opened[0]

        if here is None and await database() is None:
            assert isinstance(opened[0], BgStreamError)
            raise BgStreamError(" ".join(why.message for why in (opened[0], server) if isinstance(why, BgStreamError)))
        yield Lookup(here, database)


async def _newest(source: Source, ids: Iterable[str]) -> dict[str, Record]:
    """Return the newest retry of each job that exists."""
    records: dict[str, Record] = {}
    wanted = sorted(filter(_ID.fullmatch, ids))  # a file may contain anything
    for _ in range(MAX_RETRIES):
        if not wanted:
            break
        for page in range(math.ceil(len(wanted) / PAGE)):
            found = await source.records(wanted[page * PAGE : (page + 1) * PAGE])
            records |= {record.id: record for record in found}
        requested = set(wanted)
        wanted = sorted(
            {record.retried_by for record in records.values() if record.retried_by} - records.keys() - requested
        )
    return {job_id: _last(job_id, records) for job_id in ids if job_id in records}


def _last(job_id: str, records: dict[str, Record]) -> Record:
    record, passed = records[job_id], {job_id}
    while (after := record.retried_by) is not None and after in records and after not in passed:
        passed.add(after)
        record = records[after]
    return record
