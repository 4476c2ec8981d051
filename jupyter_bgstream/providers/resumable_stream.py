"""Resumable streams: one response over several connections, if the provider continues it without one."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from ..core.errors import ProviderError
from .errors import ErrorBuilder
from .formats import Request, Responses
from .formats.openai_responses_decoder import ResponsesDecoder
from .formats.stream_decoder import decode_json
from .port import ProviderEvent
from .response_reader import close_decoder

DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before a connection, by failures in a row
SILENT_CONNECTIONS = 2  # further streams that may idle out before the response is polled instead
POLL_SECONDS = 30.0  # time-out of one poll
POLL_DELAY = 5.0  # seconds between polls

_RESUMABLE = frozenset({"truncated", "idle_timeout", "unreachable"})  # codes after which the provider has the response

Read = Callable[
    [Request, ResponsesDecoder, float], AsyncGenerator[Sequence[ProviderEvent], None]
]  # with the seconds that are left
Ask = Callable[[Request, float], Awaitable[bytes]]  # with a time-out in seconds


class ResumableStream:
    """Reads one response; reconnects at its token when a connection breaks, idles out, or ends without the end.

    Where the provider has no stream of the response any more, the response is polled. A response that the provider
    does not store ends with its connection. One object serves one ``run``.
    """

    def __init__(
        self,
        format: Responses,
        errors: ErrorBuilder,
        *,
        read: Read,
        ask: Ask,
        sleep: Callable[[float], Awaitable[None]],
        total_timeout: float,  # seconds, of all connections together
    ) -> None:
        self._format = format
        self._errors = errors
        self._read = read
        self._ask = ask
        self._sleep = sleep
        self._total = total_timeout
        self._streaming = True  # whether the provider still has a stream of the response
        self._failures = 0  # connections in a row without progress
        self._silent = 0  # of these, streams in a row that idled out

    async def run(self, begin: Request | None, token: str | None) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Yield the response's events, from a request that starts it or from a token; raise ProviderError."""
        clock = asyncio.get_running_loop().time
        left, end = self._total, clock() + self._total
        self._check_token(token)
        while True:
            decoder, broken = self._format.decoder(self._errors, token), None
            try:
                async with aclosing(self._connect(begin, token, decoder, left)) as batches:
                    async for batch in batches:
                        yield batch
            except ProviderError as error:
                broken = error
            if decoder.is_complete or decoder.error is not None or decoder.token is None:
                if events := await close_decoder(decoder, broken):
                    yield events
                if decoder.error is not None:
                    raise decoder.error
                return
            delay = self._next_delay(broken, has_new_events=decoder.token != token)
            begin, token = None, decoder.token
            if clock() + delay >= end:
                raise self._errors.error("total_timeout", seconds=self._total)
            if delay:
                await self._sleep(delay)
            left = end - clock()

    async def _connect(
        self, begin: Request | None, token: str | None, decoder: ResponsesDecoder, left: float
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        if token is None or self._streaming:
            request = self._format.resume(token) if token is not None else begin
            assert request is not None, "run() needs a request or a token"
            async with aclosing(self._read(request, decoder, left)) as batches:
                async for batch in batches:
                    yield batch
            return
        body = await self._ask(self._format.retrieve(token), min(left, POLL_SECONDS))
        if events := await asyncio.to_thread(self._decode_snapshot, decoder, body):  # it may have megabytes
            yield events

    def _decode_snapshot(self, decoder: ResponsesDecoder, body: bytes) -> list[ProviderEvent]:
        return decoder.apply_snapshot(decode_json(body, self._errors))

    def _next_delay(self, broken: ProviderError | None, *, has_new_events: bool) -> float:
        """Return the seconds before the next connection; raise ProviderError if another cannot help.

        ``broken`` is how the last connection failed, if it did.
        """
        if broken is not None:
            self._check_resumable(broken)
        polled = broken is None and not self._streaming
        if polled or has_new_events:
            self._failures = self._silent = 0
        else:
            self._failures += 1
            self._silent = self._silent + 1 if broken is not None and broken.code == "idle_timeout" else 0
            # A provider that ends a stream at once has no more of it. A model may think for long; a poll shows it.
            if broken is None or self._silent > SILENT_CONNECTIONS:
                self._streaming, self._silent = False, 0
        if self._failures == len(DELAYS):
            details = "The provider ended each stream of it at once." if broken is None else _details(broken)
            raise self._errors.error("truncated", details)
        if polled:
            return POLL_DELAY
        return max(DELAYS[self._failures], (broken.retry_after or 0.0) if broken is not None else 0.0)

    def _check_token(self, token: str | None) -> None:
        if token is None:
            return
        try:
            self._format.resume(token)
        except msgspec.MsgspecError:  # of another format, before the settings changed
            raise self._errors.error("answer_gone", "The stored resume token cannot be read.") from None

    def _check_resumable(self, broken: ProviderError) -> None:
        # Raises an error that another connection would repeat.
        match self._format.resume_refusal(broken):
            case "gone":
                raise self._errors.error("answer_gone", _details(broken)) from None
            case "no_stream":
                self._streaming = False
                return
        if broken.code == "malformed_stream" and self._streaming:  # the provider may only have the whole response
            self._streaming = False
            return
        if broken.code == "total_timeout":
            raise self._errors.error("total_timeout", seconds=self._total) from None
        if not (broken.transient or broken.code in _RESUMABLE):
            raise broken


def _details(error: ProviderError) -> str:
    return error.message.partition(" Details: ")[2]
