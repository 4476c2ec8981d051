"""Port: the logs of jobs and the images beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ...core.events import Event
from ...core.job import Job
from ..values import NO_FILES, StoredImage


class LogStore(Protocol):
    """The append-only log of each job. A stored event never changes."""

    async def append(
        self,
        job: Job,
        events: Sequence[Event],
        *,
        preview: str | None = None,
        resume: str | None = None,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> int:
        """Append events to the log of a running job.

        Args:
            job: The job as it was claimed.
            events: Events without numbers; the store numbers them.
            preview: The first characters of the answer; None leaves the stored preview.
            resume: The token by which the provider continues this attempt; None leaves the stored one, "" removes it.
            files: The file of each ``Image`` among the events, by its id.

        Returns:
            The tail of the log: the number of its last event.

        Raises:
            FencedError: The job has ended, was deleted or was claimed again.
            IllegalEventError: The job's state does not allow an event, an event is an end (see ``end``), or the images
                and files do not match.
        """
        ...

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        """Return encoded events behind number ``after``: at most ``max_bytes``, but at least one if there is any.

        Raises:
            NotFoundError: There is no such job, or it has another log.
        """
        ...

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        """Return an image of any attempt of a job.

        Raises:
            NotFoundError: There is no such image.
        """
        ...

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        """Return chunk number ``chunk``, from 0, of an image file: IMAGE_CHUNK bytes, the last one fewer.

        Raises:
            NotFoundError: There is no such chunk, or the job has another log.
        """
        ...
