"""One attempt: from a claimed job to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

import msgspec

from ..core.codec import decode_event, encode, stamped
from ..core.errors import BgStreamError, FencedError, NotFoundError, ProviderError, UnavailableError
from ..core.events import Completed, End, Failed, Interrupted, Waiting
from ..core.job import Job
from ..providers.base import Provider, ProviderEvent, Providers
from ..providers.plugins.isolation import is_cancelled
from ..store.base import Store
from .backoff import put_off
from .clock import Clock
from .delays import Delays
from .event_writer import EventWriter
from .history import read_answer, said_before, with_pictures
from .images import Pictures

RETRY_END_SECONDS = 2.0  # between tries to write an end while the store is out of order

Ending = Completed | Failed | Interrupted | Waiting  # of an attempt

log = logging.getLogger(__name__)


class Runner:
    """Runs claimed jobs, each to exactly one end. Cancelling the task closes the provider's socket and ends nothing."""

    def __init__(
        self,
        *,
        store: Store,
        providers: Providers,
        clock: Clock,
        max_attempts: int,
        max_answer_bytes: int,
        max_image_bytes: int,
        abandon: Callable[[Job], None],  # what its provider would go on with for nobody
        waits: Delays,
    ) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._max_attempts = max_attempts
        self._max_answer_bytes = max_answer_bytes
        self._max_image_bytes = max_image_bytes
        self._abandon = abandon
        self._waits = waits

    async def run(self, job: Job) -> None:
        """Run one attempt of a job that was just claimed, or go on with it where its provider does."""
        end: Ending
        outbox = EventWriter(self._store, job)
        try:
            before = None if job.resume is None else await read_answer(self._store, job)
            if before is not None:
                outbox = EventWriter(self._store, job, before)
            pictures = Pictures(job.attempt, most_bytes=self._max_image_bytes, before=before)
            end = await self._attempt(job, outbox, pictures)
        except (FencedError, NotFoundError):  # cancelled elsewhere, deleted, or taken over: whoever did it has ended it
            await self._look_back(job)
            return
        except UnavailableError as error:
            end = Failed(at=self._clock.time(), code="not_stored", message=f"The answer could not be stored. {error}")
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            end = self._broken(job)  # nobody has cancelled it: its provider leaked this
        except Exception:
            end = self._broken(job)
        finally:
            if outbox.lost is not None:
                self._abandon(msgspec.structs.replace(job, resume=outbox.lost))
        if await self._end(job, self._storable(job, end)) and not (
            isinstance(end, Completed) or end.code == "answer_gone"
        ):
            self._abandon(msgspec.structs.replace(job, resume=outbox.token))

    def _broken(self, job: Job) -> Failed:
        log.exception("job %s: the attempt broke", job.id)
        message = "jupyter_bgstream itself broke in this job; the Jupyter server's log says where. Please report it."
        return Failed(at=self._clock.time(), code="internal", message=message)

    def _storable(self, job: Job, end: Ending) -> Ending:
        # An end that the store cannot take would be tried for ever; one that cannot be read again would spoil the log
        # and every list that the job is in.
        try:
            decode_event(stamped(encode(end), seq=job.seq, attempt=job.attempt))
        except (msgspec.MsgspecError, UnicodeError, TypeError, OverflowError):
            return self._broken(job)
        return end

    async def _attempt(self, job: Job, outbox: EventWriter, pictures: Pictures) -> Ending:
        if job.thread is not None and not job.history:
            said = await said_before(self._store, job)
            if said.messages:
                job = await self._store.freeze(job, said.messages, said.turns)
        try:
            provider = self._providers.resolve(job.spec.model)
            asked = job
            if job.history and job.resume is None and getattr(provider, "accepts_returned_images", False):
                asked = await with_pictures(self._store, job)
            return await self._stream(asked, provider, outbox, pictures)
        except ProviderError as error:
            return self._failure(job, error, begun=outbox.begun)
        finally:
            await outbox.close()

    def _failure(self, job: Job, error: ProviderError, *, begun: bool) -> Failed | Interrupted | Waiting:
        now = self._clock.time()
        if error.code == "answer_gone":
            if job.spec.on_restart == "retry" and job.attempt < self._max_attempts:
                return Waiting(at=now, until=now, code=error.code, message=error.message)
            return Interrupted(at=now, code=error.code, message=error.message)
        waiting = put_off(job, error, begun=begun, max_attempts=self._max_attempts, at=now)
        if waiting is not None:
            return waiting
        tried = f" This was try number {job.attempt}." if job.attempt > 1 else ""
        return Failed(at=now, code=error.code, message=error.message + tried)

    async def _stream(self, job: Job, provider: Provider, outbox: EventWriter, pictures: Pictures) -> Completed:
        async with aclosing(provider.stream(job)) as stream:
            async for batch in stream:
                said, end = _split(batch)
                await outbox.put(*await pictures.take(said))
                if outbox.taken > self._max_answer_bytes:
                    raise ProviderError(
                        f"The answer is longer than this server takes ({self._max_answer_bytes} bytes). What came so"
                        " far is kept; ask for less, or raise c.BgStreamApp.max_answer_bytes.",
                        code="answer_too_long",
                    )
                if end is not None:
                    await outbox.flush()
                    return msgspec.structs.replace(end, at=self._clock.time())
        raise ProviderError("The provider's stream ended without an end.", code="truncated")

    async def _look_back(self, job: Job) -> None:
        # Who cancelled it may be a server that does not know the provider; who took it over wants the answer.
        with suppress(BgStreamError):
            now = await self._store.job(job.owner, job.id)
            if now.status == "cancelled" and now.log == job.log:
                self._abandon(now)

    async def _end(self, job: Job, end: End | Waiting) -> bool:
        # Returns whether this was the attempt's end. The next one begins from scratch.
        began = self._clock.monotonic()
        while True:
            try:
                if isinstance(end, Waiting):
                    await self._store.append(job, [end], resume="")
                    self._waits.add(job, end, since=began)
                    return True
                _, won = await self._store.end(job.owner, job.id, end, fence=job.fence)
                return won
            except (FencedError, NotFoundError):
                return False
            except UnavailableError as error:
                log.error("job %s: its end cannot be stored, trying again: %s", job.id, error)
                await self._clock.sleep(RETRY_END_SECONDS)


def _split(batch: Sequence[ProviderEvent]) -> tuple[Sequence[ProviderEvent], Completed | None]:
    if batch and isinstance(batch[-1], Completed):
        return batch[:-1], batch[-1]
    return batch, None
