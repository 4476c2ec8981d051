"""An image of 20 MB in a whole server: the event loop stays responsive and memory is bounded."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from abuse.test_bombs import LAW, MB, Peak, warm
from abuse.watched import TRIES, caller, follow, memory, probe, submit, watched
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider
from jupyter_bgstream.testing.scripts import DONE, Script, Send, answer, chunk, data_url

IMAGE = b"\x89PNG\r\n\x1a\n" + random.Random(3).randbytes(20 * MB)
MOST_GROWTH = 200  # MB; the event has 27, and is there as bytes, as text and as JSON before the file is
TIMES = 3


def longest(server: Jupyter) -> tuple[float, object]:
    """How long the loop was held at most, by itself or by another thread that had the interpreter's lock."""
    slow = probe(server)["slow"]
    return max(((each["held"], each) for each in slow), key=lambda found: found[0], default=(0.0, None))


def drawn() -> Script:
    """An image in the middle of an answer."""
    image = chunk({"images": [{"type": "image_url", "image_url": {"url": data_url(IMAGE)}}]})
    steps = (chunk({"content": "Here it is:"}), image, chunk({"content": "Enjoy."}), chunk(finish_reason="stop"), DONE)
    return Script(steps=tuple(map(Send, steps)))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Jupyter]:
    scripts = {"drawn": drawn(), "quick": answer("Fine.")}
    with ScriptedProvider(scripts).in_thread() as provider, watched(tmp_path, provider) as server:
        yield server


async def read(client: httpx.AsyncClient, job: str) -> None:
    """Read the image of a job and compare it."""
    digest = hashlib.sha256()
    async with client.stream("GET", f"jobs/{job}/images/1-1") as reply:
        async for piece in reply.aiter_bytes():
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(IMAGE).digest()


async def test_large_image_blocks_loop_briefly_and_uses_bounded_memory(server: Jupyter) -> None:
    await warm(server)
    before = memory(server)
    async with caller(server) as client:
        for _ in range(TRIES):
            probe(server, "DELETE")
            with Peak(server) as peak:
                job = await submit(client, "drawn")
                await follow(client, job)
            loop = longest(server)
            if loop[0] < LAW:
                break
        for _ in range(TRIES):
            probe(server, "DELETE")
            with Peak(server) as reading:
                for _ in range(TIMES):
                    await read(client, job)
            reads = longest(server)
            if reads[0] < LAW:
                break
        answered = (await client.get(f"jobs/{job}")).json()
        for _ in range(TIMES):
            await follow(client, await submit(client, "drawn"))
    print(f"loop {loop[0] * 1e3:.0f} ms, when read {reads[0] * 1e3:.0f} ms; memory +{peak.growth:.0f} MB at its peak, ")
    print(f"+{reading.growth:.0f} MB when read, +{memory(server) - before:.0f} MB after {TIMES + 1} of them")
    assert answered["text"] == "Here it is:\n\n(Picture 1: PNG, 20.0 MB)\n\nEnjoy."
    assert answered["status"] == "completed"
    assert loop[0] < LAW, loop[1]
    assert reads[0] < LAW, reads[1]
    assert peak.growth < MOST_GROWTH
    assert reading.growth < 50
