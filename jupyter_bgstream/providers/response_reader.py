"""From the bytes of one answer to what it says, to its end or as far as its service is to be heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ..core.errors import ProviderError
from .base import ProviderEvent
from .errors import ErrorBuilder
from .formats import Decoder
from .transport import Call, stream

SILENT_BYTES = 256 * 1024 * 1024  # that may come without a word of the answer: a tool call, previews of a picture
LARGE_BYTES = 512 * 1024  # of an event from which on it is read beside the event loop
PIECE_BYTES = 256  # that a smaller piece counts as: it takes as much work
REST_SECONDS = 5.0  # for what may follow a finish_reason, such as usage, where no [DONE] does


async def read(call: Call, decoder: Decoder, errors: ErrorBuilder) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    """Yield what the answer to one request says, in batches as they come; raises ProviderError as ``stream`` does."""
    async with aclosing(stream(call, errors)) as body, aclosing(_until_the_end(body, decoder, errors)) as batches:
        async for batch in batches:
            yield batch


async def _until_the_end(
    body: AsyncGenerator[bytes, None], decoder: Decoder, errors: ErrorBuilder
) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    # Once the answer is whole only so much time is spent on bytes that say nothing more, heartbeats included.
    clock = asyncio.get_running_loop().time
    left = REST_SECONDS
    silent = 0
    while not decoder.ended:
        if not decoder.settled:
            chunk = await anext(body, None)
        else:
            asked = clock()
            try:
                async with asyncio.timeout(left):
                    chunk = await anext(body, None)
            except TimeoutError:
                return
            left -= clock() - asked
        if chunk is None:
            return
        if batch := await _fed(decoder, chunk):
            left, silent = REST_SECONDS, 0  # some services give a finish_reason with every delta
            yield batch
        elif (silent := silent + max(len(chunk), PIECE_BYTES)) > SILENT_BYTES:
            raise errors.error("malformed_stream", f"{SILENT_BYTES >> 20} MiB came without a word of the answer.")


async def _fed(decoder: Decoder, chunk: bytes) -> list[ProviderEvent]:
    if decoder.unfinished > LARGE_BYTES and (b"\n" in chunk or b"\r" in chunk):  # it may end here
        return await asyncio.to_thread(decoder.feed, chunk)
    return decoder.feed(chunk)


async def closed(decoder: Decoder, broken: ProviderError | None) -> list[ProviderEvent]:
    """Return what a decoder says at the end; beside the event loop, if there is much that has not been read."""
    if decoder.unfinished > LARGE_BYTES:
        return await asyncio.to_thread(decoder.close, broken)
    return decoder.close(broken)
