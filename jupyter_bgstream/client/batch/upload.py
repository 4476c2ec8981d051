"""Upload the rows of a batch: hundreds per request, repeated after lost connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.errors import QueueFullError
from ...core.schemas.batches import BatchInfo
from ..errors import LOST
from ..follower import PATIENCE
from ..request_encoding import plain
from .content_ids import job_id

if TYPE_CHECKING:
    from ..rest_client import Api

JOBS = 500  # of one request
BYTES = 8 * 1024 * 1024  # of one request, unless a single row has more; the limit of the server is 32 MiB
_PAUSE = 0.5  # seconds between two attempts


def bodies(announced: Mapping[str, Any], common: Mapping[str, Any], requests: Iterable[Any]) -> Iterator[bytes]:
    """Yield the request bodies that submit the rows of a batch.

    Args:
        announced: fields of the batch.
        common: fields that all jobs share.
        requests: prompt or messages of each row.

    """
    encode = msgspec.json.Encoder(enc_hook=plain).encode
    head = encode(announced)[:-1] + b',"jobs":['
    shared = b"," + encode(common)[1:] if common else b"}"
    jobs: list[bytes] = []
    size = 0
    for row, request in enumerate(requests):
        job = encode({"id": job_id(str(announced["id"]), row), **request})[:-1] + shared
        if jobs and (len(jobs) == JOBS or size + len(job) > BYTES):
            yield head + b",".join(jobs) + b"]}"
            jobs, size = [], 0
        jobs.append(job)
        size += len(job)
    yield head + b",".join(jobs) + b"]}"


class Upload:
    """Upload of one batch; ``begun`` is set when the server has accepted or refused the first part."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.info: BatchInfo | None = None
        self.stalled = threading.Event()  # the server's queue is full
        self.begun = threading.Event()

    async def run(self, api: Api) -> BatchInfo:
        """Send all parts; wait while the server's queue is full, except for the first part.

        Raises:
            RequestError: the server refused a part.
            ServerConnectionError: the server did not answer for PATIENCE seconds.

        """
        try:
            while (body := await asyncio.to_thread(next, self._requests, None)) is not None:
                self.info = await self._send(api, body)
                self.begun.set()
        finally:
            self.begun.set()
        assert self.info is not None  # there is at least one request
        return self.info

    async def _send(self, api: Api, body: bytes) -> BatchInfo:
        clock = asyncio.get_running_loop()
        lost = clock.time()
        while True:
            try:
                return await api.submit_batch(body)
            except QueueFullError as full:
                if self.info is None:
                    raise
                self.stalled.set()
                await asyncio.sleep(full.retry_after)
                lost = clock.time()
            except LOST:
                # The server may be back in a moment; a repeated request changes nothing.
                if clock.time() - lost > PATIENCE:
                    raise
                await asyncio.sleep(_PAUSE)
