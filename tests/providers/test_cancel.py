"""A cancel closes the socket at once at any moment, and leaves nothing open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from providers.conftest import Connect
from providers.speaking import job, read

from jupyter_bgstream.providers.formats import FORMATS
from jupyter_bgstream.testing import (
    Hold,
    Script,
    ScriptedProvider,
    Send,
    answer,
)

HELLO = answer("one two three four five")


class Mute:
    """A server that reads everything and never responds."""

    def __init__(self) -> None:
        self.port = 0
        self.greeted = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            self.greeted.set()
        await reader.read()
        self.left.set()
        writer.close()


@pytest.fixture
async def mute() -> AsyncIterator[Mute]:
    mute = Mute()
    server = await asyncio.start_server(mute.serve, "127.0.0.1", 0)
    mute.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mute


class TestCancel:
    async def test_cancel_closes_the_socket(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(2, Hold())
        reading = asyncio.create_task(read(connect()))
        await provider.held()
        reading.cancel()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_closing_the_generator_closes_the_socket(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(2, Hold())
        stream = connect().stream(job())
        await anext(stream)
        await stream.aclose()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client

    @pytest.mark.parametrize("format", FORMATS)
    async def test_cancel_closes_the_socket_in_every_format(
        self, provider: ScriptedProvider, connect: Connect, format: str
    ) -> None:
        headers = {"Content-Type": FORMATS[format].media_type}
        provider.routes["POST /v1/*"] = Script(headers=headers, steps=(Send(b"\n\n"), Hold()))
        reading = asyncio.create_task(read(connect(format=format)))
        await provider.held()
        reading.cancel()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client

    async def test_cancel_before_first_byte_closes_the_socket(
        self, provider: ScriptedProvider, connect: Connect
    ) -> None:
        provider.scripts["one"] = Script(steps=(Hold(),))
        reading = asyncio.create_task(read(connect()))
        await provider.held()
        reading.cancel()
        await (await provider.request()).closed

    async def test_cancel_during_tls_handshake_closes_the_socket(self, connect: Connect, mute: Mute) -> None:
        reading = asyncio.create_task(read(connect(f"https://127.0.0.1:{mute.port}/v1")))
        await asyncio.wait_for(mute.greeted.wait(), 60)
        reading.cancel()
        await asyncio.wait_for(mute.left.wait(), 60)
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_200_cancels_leak_no_sockets_or_tasks(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(2, Hold())
        await self.cancelled_after(connect, turns=30)
        await provider.quiet()
        files, tasks = open_files(), asyncio.all_tasks()
        for batch in range(10):
            await asyncio.gather(*(self.cancelled_after(connect, turns=batch * 20 + turns) for turns in range(20)))
        await provider.quiet()
        assert asyncio.all_tasks() == tasks
        assert open_files() == files
        provider.scripts["one"] = HELLO
        assert (await read(connect()))[1] is None  # and it still works

    async def cancelled_after(self, connect: Connect, *, turns: int) -> None:
        reading = asyncio.create_task(read(connect()))
        for _ in range(turns):  # of the loop: each request is at another place when it is hit
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])


def open_files() -> int | None:
    folder = Path("/proc/self/fd")  # Linux
    return len(list(folder.iterdir())) if folder.exists() else None
