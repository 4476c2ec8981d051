"""Reads a response: feeds its bytes to a decoder until the answer is complete, with limits on silent data."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ..core.errors import ProviderError
from .errors import ErrorBuilder
from .formats import StreamDecoder
from .port import ProviderEvent
from .response_bodies import SMALL_PIECE_BYTES
from .transport import Call, stream

SILENT_BYTES = 256 * 1024 * 1024  # that may arrive without an event: a tool call, previews of an image
LARGE_BYTES = 512 * 1024  # an unfinished event of this size is decoded off the event loop
REST_SECONDS = 5.0  # for data after a finish_reason, such as usage, if no [DONE] arrives


async def read(
    call: Call, decoder: StreamDecoder, errors: ErrorBuilder
) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    """Yield the events of one response in batches as they arrive; raise ProviderError as ``stream`` does."""
    async with aclosing(stream(call, errors)) as body, aclosing(_until_the_end(body, decoder, errors)) as batches:
        async for batch in batches:
            yield batch


async def _until_the_end(
    body: AsyncGenerator[bytes, None], decoder: StreamDecoder, errors: ErrorBuilder
) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    # After the answer is complete, only REST_SECONDS are spent on bytes without events, heartbeats included.
    clock = asyncio.get_running_loop().time
    left = REST_SECONDS
    silent = 0
    while not decoder.ended:
        if not decoder.is_complete:
            chunk = await anext(body, None)
        else:
            waiting_since = clock()
            try:
                async with asyncio.timeout(left):
                    chunk = await anext(body, None)
            except TimeoutError:
                return
            left -= clock() - waiting_since
        if chunk is None:
            return
        if batch := await _feed(decoder, chunk):
            left, silent = REST_SECONDS, 0  # some services send a finish_reason with every delta
            yield batch
        elif (silent := silent + max(len(chunk), SMALL_PIECE_BYTES)) > SILENT_BYTES:
            raise errors.error("malformed_stream", f"It sent {SILENT_BYTES >> 20} MiB without an event of the answer.")


async def _feed(decoder: StreamDecoder, chunk: bytes) -> list[ProviderEvent]:
    if decoder.unfinished > LARGE_BYTES and (b"\n" in chunk or b"\r" in chunk):  # the event may end here
        return await asyncio.to_thread(decoder.feed, chunk)
    return decoder.feed(chunk)


async def close_decoder(decoder: StreamDecoder, broken: ProviderError | None) -> list[ProviderEvent]:
    """Close a decoder and return its last events; off the event loop if it has a large unfinished event."""
    if decoder.unfinished > LARGE_BYTES:
        return await asyncio.to_thread(decoder.close, broken)
    return decoder.close(broken)
