"""Runs one attempt of a claimed job, from the provider's request to the stored end."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from ..core.codec import decode_event, encode, stamped
from ..core.errors import FencedError, NotFoundError, ProviderError, UnavailableError
from ..core.events import Completed, End, Failed, Interrupted, Waiting
from ..core.job import Job
from ..providers.plugins.foreign_code import is_cancelled
from ..providers.port import Provider, ProviderEvent
from ..store.port_values import Append
from ..store.ports.logs import append_one
from .context import EnginePart
from .conversation_history import history_before, read_answer, with_images
from .event_writer import EventWriter
from .image_collector import ImageCollector
from .retry_rule import next_attempt

RETRY_END_SECONDS = 2.0  # between attempts to write an end while the store cannot be written

AttemptEnd = Completed | Failed | Interrupted | Waiting

log = logging.getLogger(__name__)


@dataclass
class OpenResponse:
    """The provider's response to an attempt; ``Runner.run`` fills it, also if it is cancelled.

    ``token`` is set if the provider would continue the response without a connection.
    """

    token: str | None = None


class Runner(EnginePart):
    """Runs claimed jobs, each to exactly one end. Cancelling a task closes the provider's socket, not the job."""

    async def run(self, job: Job, response: OpenResponse) -> bool:
        """Run one attempt of a job that was just claimed, or resume the response of its last attempt.

        Returns:
            Whether this wrote the attempt's end; False if the job was cancelled elsewhere, deleted or taken over.

        """
        end: AttemptEnd
        writer = EventWriter(self._store, job)
        try:
            resumed_answer = None if job.resume is None else await read_answer(self._store, job)
            if resumed_answer is not None:
                writer = EventWriter(self._store, job, resumed_answer)
            images = ImageCollector(job.attempt, max_bytes=self._limits.max_image_bytes, before=resumed_answer)
            end = await self._attempt(job, writer, images)
        except (FencedError, NotFoundError):
            return False
        except UnavailableError as error:
            end = Failed(at=self._clock.time(), code="not_stored", message=f"The answer could not be stored. {error}")
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            end = self._report_internal_error(job)  # this task was not cancelled: the provider leaked the exception
        except Exception:
            end = self._report_internal_error(job)
        finally:
            response.token = writer.lost_token  # the store does not have it, and a cancellation needs it
        end_written = await self._write_end(job, self._checked_end(job, end))
        if end_written and not (isinstance(end, Completed) or end.code == "answer_gone"):
            response.token = writer.token
        return end_written

    def _report_internal_error(self, job: Job) -> Failed:
        log.exception("job %s: internal error in the attempt", job.id)
        message = "Internal error in jupyter_bgstream; see the Jupyter server's log. Please report it."
        return Failed(at=self._clock.time(), code="internal", message=message)

    def _checked_end(self, job: Job, end: AttemptEnd) -> AttemptEnd:
        # An end that the store refuses would be retried forever; one that cannot be decoded would make the log and each
        # list with the job unreadable.
        try:
            decode_event(stamped(encode(end), seq=job.seq, attempt=job.attempt))
        except (msgspec.MsgspecError, UnicodeError, TypeError, OverflowError):
            return self._report_internal_error(job)
        return end

    async def _attempt(self, job: Job, writer: EventWriter, images: ImageCollector) -> AttemptEnd:
        if job.thread is not None and not job.history:
            history = await history_before(self._store, job)
            if history.messages:
                job = await self._store.set_history(job, history.messages, history.turns)
        try:
            provider = self._providers.resolve(job.spec.model)
            sent_job = job
            if job.history and job.resume is None and getattr(provider, "accepts_returned_images", False):
                sent_job = await with_images(self._store, job)
            return await self._stream(sent_job, provider, writer, images)
        except ProviderError as error:
            return self._failure(job, error, begun=writer.begun)
        finally:
            await writer.close()

    def _failure(self, job: Job, error: ProviderError, *, begun: bool) -> Failed | Interrupted | Waiting:
        now = self._clock.time()
        if error.code == "answer_gone":
            if job.spec.on_restart == "retry" and job.attempt < self._limits.max_attempts:
                return Waiting(at=now, until=now, code=error.code, message=error.message)
            return Interrupted(at=now, code=error.code, message=error.message)
        waiting = next_attempt(job, error, begun=begun, max_attempts=self._limits.max_attempts, at=now)
        if waiting is not None:
            return waiting
        attempts = f" This was attempt {job.attempt}." if job.attempt > 1 else ""
        return Failed(at=now, code=error.code, message=error.message + attempts)

    async def _stream(self, job: Job, provider: Provider, writer: EventWriter, images: ImageCollector) -> Completed:
        async with aclosing(provider.stream(job)) as stream:
            async for batch in stream:
                events, end = _split_off_completed(batch)
                await writer.put(*await images.extract(events))
                if writer.written_bytes > self._limits.max_answer_bytes:
                    raise ProviderError(
                        f"The answer is longer than this server accepts ({self._limits.max_answer_bytes} bytes). The"
                        " text so far is saved; request a shorter answer, or raise c.BgStreamApp.max_answer_bytes.",
                        code="answer_too_long",
                    )
                if end is not None:
                    await writer.flush()
                    return msgspec.structs.replace(end, at=self._clock.time())
        raise ProviderError("The provider's stream ended without a Completed event.", code="truncated")

    async def _write_end(self, job: Job, end: End | Waiting) -> bool:
        # Returns whether this wrote the attempt's end.
        started = self._clock.monotonic()
        while True:
            try:
                if isinstance(end, Waiting):
                    # Without a token: the next attempt starts from the beginning.
                    await append_one(self._store, Append(job=job, events=[end], resume=""))
                    self._delays.add(job, end, since=started)
                    return True
                _, won = await self._store.end(job.owner, job.id, end, fence=job.fence)
                return won
            except (FencedError, NotFoundError):
                return False
            except UnavailableError as error:
                log.error("job %s: its end cannot be stored, retrying: %s", job.id, error)
                await self._clock.sleep(RETRY_END_SECONDS)


def _split_off_completed(batch: Sequence[ProviderEvent]) -> tuple[Sequence[ProviderEvent], Completed | None]:
    if batch and isinstance(batch[-1], Completed):
        return batch[:-1], batch[-1]
    return batch, None
