"""Decompression bombs in responses: a server uses little memory and its event loop stays responsive."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from abuse.watched import TRIES, caller, follow, memory, probe, submit, watched
from harness.jupyter import Jupyter

from jupyter_bgstream.testing.scripted_provider import ScriptedProvider, ThreadedProvider
from jupyter_bgstream.testing.scripts import JSON, Script, Send, answer

MB = 1_000_000
BOMB = 1_000  # MB, once it is undone
MOST_GROWTH = 100  # MB
LAW = 0.050  # seconds, as in test_loop.py
EVENTS = {"Content-Type": "text/event-stream"}
FILLINGS = {
    "zeros": b"\0",
    "lines": b":\n",
    "event": b"data: " + b"a" * 994,
    "words": b'data: {"choices": [{"delta": {"content": "Hello "}}]}\n\n',
}


def bomb(filling: bytes) -> bytes:
    squeezing = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    block = filling * (MB // len(filling))
    return b"".join([*(squeezing.compress(block) for _ in range(BOMB)), squeezing.flush()])


def sent(data: bytes, layers: int, status: int = 200, headers: dict[str, str] = EVENTS) -> Script:
    for _ in range(layers - 1):
        data = gzip.compress(data)
    coding = {"Content-Encoding": ", ".join(["gzip"] * layers)}
    return Script(status=status, headers=headers | coding, steps=(Send(data),))


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    return {name: bomb(filling) for name, filling in FILLINGS.items()}


@contextmanager
def serving(home: Path, scripted: ScriptedProvider) -> Iterator[tuple[Jupyter, ThreadedProvider]]:
    with scripted.in_thread() as provider, watched(home, provider) as server:
        yield server, provider


class Peak:
    """The most memory of a server's process while the ``with`` lasted: MB more than at its beginning."""

    def __init__(self, server: Jupyter) -> None:
        self._server = server

    def __enter__(self) -> Peak:
        self._before = memory(self._server)
        Path(f"/proc/{self._server.pid}/clear_refs").write_text("5")  # forget the peak before
        return self

    def __exit__(self, *exc: object) -> None:
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        self.growth = int(line.split()[1]) * 1024 / MB - self._before


def longest(server: Jupyter) -> tuple[float, object]:
    # By the loop's own CPU: the bomb's undoing is all its own work, and a busy machine adds nothing to that.
    slow = probe(server)["slow"]
    return max(((each["cpu"], each) for each in slow), key=lambda found: found[0], default=(0.0, None))


async def warm(server: Jupyter) -> None:
    """What is imported and made at the first use."""
    async with caller(server) as client:
        await follow(client, await submit(client, "fine"))
        await client.get("models?refresh=true")


async def error_code(server: Jupyter, where: str) -> str:
    """Meet the bomb at a place; return the error that the user has of it."""
    async with caller(server) as client:
        if where == "models":
            listed = (await client.get("models?refresh=true")).json()
            (found,) = [each for each in listed["providers"] if each["name"] == "demo"]
            return str(found["error"]["code"])
        job = await submit(client, where, retry_policy="never")
        await follow(client, job)
        return str((await client.get(f"jobs/{job}")).json()["error"]["code"])


@pytest.mark.skipif(not psutil.LINUX, reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(("filling", "layers"), [*((filling, 1) for filling in FILLINGS), ("zeros", 2)])
async def test_decompression_bomb_costs_little_memory_and_loop_time(
    tmp_path: Path, bombs: dict[str, bytes], filling: str, layers: int
) -> None:
    data = bombs[filling]
    scripts = {
        "fine": answer("Hello"),
        "stream": sent(data, layers),
        "refusal": sent(data, layers, 400, JSON),
    }
    with serving(tmp_path, ScriptedProvider(scripts)) as (server, provider):
        await warm(server)
        provider._provider.listing = sent(data, layers, headers=JSON)
        for where in ("stream", "refusal", "models"):
            for _ in range(TRIES):
                probe(server, "DELETE")
                with Peak(server) as peak:
                    code = await error_code(server, where)
                held, what = longest(server)
                if held < LAW:
                    break
            print(f"{filling}, {layers} layers, {where}: {code}, {peak.growth:.0f} MB, {held * 1000:.0f} ms")
            assert code in ("malformed_stream", "event_too_large", "answer_too_long", "bad_request")
            assert peak.growth < MOST_GROWTH
            assert held < LAW, what
