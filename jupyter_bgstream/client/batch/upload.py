"""Hand a batch's rows over to the server: hundreds in a request, and again whatever was lost on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.errors import QueueFullError
from ...core.schemas import BatchInfo
from ..errors import LOST
from ..follower import PATIENCE
from ..serialization import plain
from .identity import job_id

if TYPE_CHECKING:
    from ..api import Api

JOBS = 500  # of one request
BYTES = 8 * 1024 * 1024  # of one request, unless a single row has more; the server takes 32 MiB
_PAUSE = 0.5  # seconds between two looks


def bodies(announced: Mapping[str, Any], common: Mapping[str, Any], requests: Iterable[Any]) -> Iterator[bytes]:
    """Yield the requests that submit a batch's rows: ``announced`` of the group, ``common`` to all its jobs."""
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
    """One batch on its way. ``begun`` is set when the server has taken a first part, or has refused it."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.info: BatchInfo | None = None
        self.stalled = threading.Event()  # the server's queue is full
        self.begun = threading.Event()

    async def run(self, api: Api) -> BatchInfo:
        """Send everything; raises what the server refuses. While its queue is full, wait, but for the first part."""
        try:
            while (body := await asyncio.to_thread(next, self._requests, None)) is not None:
                self.info = await self._sent(api, body)
                self.begun.set()
        finally:
            self.begun.set()
        assert self.info is not None  # there is one request at least
        return self.info

    async def _sent(self, api: Api, body: bytes) -> BatchInfo:
        clock = asyncio.get_running_loop()
        lost = clock.time()
        while True:
            try:
                return await api.submit_group(body)
            except QueueFullError as full:
                if self.info is None:
                    raise
                self.stalled.set()
                await asyncio.sleep(full.retry_after)
                lost = clock.time()
            except LOST:
                # It may be back in a moment, and what it took before it takes as the same.
                if clock.time() - lost > PATIENCE:
                    raise
                await asyncio.sleep(_PAUSE)
