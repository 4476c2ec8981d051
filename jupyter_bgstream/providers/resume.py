"""One answer over as many connections as it takes, where the service goes on while nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from ..core.errors import ProviderError
from .base import ProviderEvent
from .errors import Faults
from .formats import Request, ResumableFormat
from .formats.base import ResumableDecoder, decoded
from .response_reader import closed

DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before a try, by how many have brought nothing
SILENT_TRIES = 2  # more that a stream may say nothing for the whole idle time-out, before the answer is looked at
LOOK_SECONDS = 30.0  # that the answer to a look may take
LOOK_DELAY = 5.0  # seconds between looks

_PASSING = frozenset({"truncated", "idle_timeout", "unreachable"})  # of a service that has the answer

Read = Callable[
    [Request, ResumableDecoder, float], AsyncGenerator[Sequence[ProviderEvent], None]
]  # with seconds that are left
Ask = Callable[[Request, float], Awaitable[bytes]]  # within seconds


class ResumableStream:
    """Reads one answer; goes on where it was when a connection breaks, falls silent, or ends without the answer's end.

    Where the service has no stream of it any more, its end is awaited by looking. An answer that the service does not
    keep breaks off with its connection.
    """

    def __init__(
        self,
        format: ResumableFormat,
        faults: Faults,
        *,
        read: Read,
        ask: Ask,
        sleep: Callable[[float], Awaitable[None]],
        total_timeout: float,  # seconds, of all connections together
    ) -> None:
        self._format = format
        self._faults = faults
        self._read = read
        self._ask = ask
        self._sleep = sleep
        self._total = total_timeout
        self._streams = True  # whether the service still has a stream of it

    async def run(self, begin: Request | None, token: str | None) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield what is said, from a request that begins an answer or from a token; raises ProviderError."""
        clock = asyncio.get_running_loop().time
        end, vain, silent = clock() + self._total, 0, 0
        left = self._total
        self._check_token(token)
        while True:
            decoder, broken = self._format.decoder(self._faults, token), None
            try:
                async with aclosing(self._try(begin, token, decoder, left)) as batches:
                    async for batch in batches:
                        yield batch
            except ProviderError as error:
                broken = error
            if decoder.settled or decoder.error is not None or decoder.token is None:
                if said := await closed(decoder, broken):
                    yield said
                if decoder.error is not None:
                    raise decoder.error
                return
            if broken is not None:
                self._check(broken)
            waited = broken is None and not self._streams  # looked at, and not yet done
            moved = waited or decoder.token != token
            # Whoever ends a stream at once has no more of it: what became of the answer is looked at.
            self._streams = self._streams and (moved or broken is not None)
            vain = 0 if moved else vain + 1
            silent = silent + 1 if broken is not None and broken.code == "idle_timeout" and not moved else 0
            if silent > SILENT_TRIES:  # a model may think for long; whether it does is seen by looking
                self._streams, silent = False, 0
            if vain == len(DELAYS):
                raise self._broken_off(broken)
            begin, token = None, decoder.token
            delay = LOOK_DELAY if waited else max(DELAYS[vain], (broken.retry_after or 0.0) if broken else 0.0)
            if clock() + delay >= end:
                raise self._faults.error("total_timeout", seconds=self._total)
            if delay:
                await self._sleep(delay)
            left = end - clock()

    async def _try(
        self, begin: Request | None, token: str | None, decoder: ResumableDecoder, left: float
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        if token is None or self._streams:
            request = self._format.resume(token) if token is not None else begin
            assert request is not None, "there is neither a beginning nor a token"
            async with aclosing(self._read(request, decoder, left)) as batches:
                async for batch in batches:
                    yield batch
            return
        body = await self._ask(self._format.look(token), min(left, LOOK_SECONDS))
        if said := await asyncio.to_thread(self._state, decoder, body):  # it may have megabytes
            yield said

    def _state(self, decoder: ResumableDecoder, body: bytes) -> list[ProviderEvent]:
        return decoder.state(decoded(body, self._faults))

    def _check_token(self, token: str | None) -> None:
        if token is None:
            return
        try:
            self._format.resume(token)
        except msgspec.MsgspecError:  # of another format, before the settings changed
            raise self._faults.error("answer_gone", "How to go on with it cannot be read.") from None

    def _check(self, broken: ProviderError) -> None:
        # Raises what no other try would change.
        match self._format.refused(broken):
            case "gone":
                raise self._faults.error("answer_gone", self._own_words(broken)) from None
            case "no_stream":
                self._streams = False
                return
        if broken.code == "malformed_stream" and self._streams:  # it may know only the answer as a whole
            self._streams = False
            return
        if broken.code == "total_timeout":
            raise self._faults.error("total_timeout", seconds=self._total) from None
        if not (broken.transient or broken.code in _PASSING):
            raise broken

    def _broken_off(self, broken: ProviderError | None) -> ProviderError:
        words = self._own_words(broken) if broken is not None else "The service ended every stream of it at once."
        return self._faults.error("truncated", words)

    def _own_words(self, error: ProviderError) -> str:
        return error.message.partition(" Details: ")[2]
