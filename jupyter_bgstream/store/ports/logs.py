"""Port: the logs of jobs and the images beside them."""

from collections.abc import Sequence
from typing import Protocol

from ...core.errors import BgStreamError
from ...core.job import Job
from ..port_values import Append, StoredImage


class LogStore(Protocol):
    """The append-only log of each job. A stored event never changes."""

    async def append(self, appends: Sequence[Append]) -> list[int | BgStreamError]:
        """Append events to the logs of running jobs, in one transaction.

        Each append has its own outcome: a refused one changes nothing and leaves the others alone. Appends to the same
        job are applied in order.

        Returns:
            For each append the new tail of its log, or why it was refused: FencedError if the job has ended, was
            deleted or was claimed again; OutOfOrderError if the log has another tail than the expected one;
            IllegalEventError if the job's state does not allow an event, an event is an end (see ``JobStore.end``) or
            cannot be encoded, or the images and files do not match.
        """

    async def events(self, job: Job, *, after: int, max_bytes: int) -> list[bytes]:
        """Return encoded events behind number ``after``: at most ``max_bytes``, but at least one if there is any.

        Raises:
            NotFoundError: There is no such job, or it has another log.
        """

    async def image(self, owner: str, job_id: str, image_id: str) -> StoredImage:
        """Return an image of any attempt of a job.

        Raises:
            NotFoundError: There is no such image.
        """

    async def image_chunk(self, image: StoredImage, chunk: int) -> bytes:
        """Return chunk number ``chunk``, from 0, of an image file: IMAGE_CHUNK bytes, the last one fewer.

        Raises:
            NotFoundError: There is no such chunk, or the job has another log.
        """


async def append_one(store: LogStore, append: Append) -> int:
    """Append events to the log of one job.

    Returns:
        The new tail of the log.

    Raises:
        FencedError: See ``LogStore.append``, like the other errors.
        OutOfOrderError: The log has another tail.
        IllegalEventError: An event is not allowed.
    """
    (outcome,) = await store.append([append])
    if isinstance(outcome, BgStreamError):
        raise outcome
    return outcome
