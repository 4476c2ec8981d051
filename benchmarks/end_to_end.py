"""How long a delta takes from the provider's socket to a viewer, beside a viewer that reads the provider directly.

    python -m benchmarks.end_to_end [deltas] [viewers ...]

The provider is a process of its own that writes the time into each delta, one every 5 ms. A viewer is a WebSocket on a
real Jupyter server, with SQLite on disk: what it shows has been committed. The floor is httpx reading the same stream.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness.jupyter import Jupyter, jupyter

PACE = 0.005  # seconds between deltas


def provide(listener: socket.socket, deltas: int) -> None:
    """Serve a stream of the times at which its deltas were written."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.5)  # let the viewers come
        for _ in range(deltas):
            content = json.dumps({"choices": [{"index": 0, "delta": {"content": f"{time.monotonic_ns()} "}}]})
            writer.write(f"data: {content}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(PACE)
        writer.write(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, sock=listener)
        await server.serve_forever()

    asyncio.run(serve())


def delays(text: str) -> list[float]:
    """Milliseconds from each time in the text until now."""
    now = time.monotonic_ns()
    return [(now - int(stamp)) / 1e6 for stamp in text.split()]


async def direct(url: str) -> list[float]:
    found: list[float] = []
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("POST", url, json={}) as response:
        async for line in response.aiter_lines():
            if '"content"' in line:
                found += delays(json.loads(line.removeprefix("data: "))["choices"][0]["delta"]["content"])
    return found


async def watch(server: Jupyter, job: str) -> list[float]:
    url = server.api.replace("http:", "ws:") + "live"
    page = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}"}))
    await page.write_message(json.dumps({"type": "follow", "job": job}))
    found: list[float] = []
    while message := await page.read_message():
        frame: dict[str, Any] = json.loads(message)
        if frame["type"] == "events":
            found += [delay for event in frame["events"] for delay in delays(event.get("text", ""))]
            if frame["closed"]:
                break
    page.close()
    return found


async def measure(server: Jupyter, viewers: int) -> list[float]:
    with server.client() as client:
        job = client.post("jobs", json={"model": "clock/x", "prompt": "x"}).json()["id"]
    return [delay for seen in await asyncio.gather(*(watch(server, job) for _ in range(viewers))) for delay in seen]


def show(name: str, found: Iterable[float], floor: float | None = None) -> float:
    ordered = sorted(found)
    middle = statistics.median(ordered)
    ratio = f"   {middle / floor:5.1f} x the floor" if floor else ""
    print(f"{name:<22} p50 {middle:6.2f} ms   p99 {ordered[int(len(ordered) * 0.99)]:6.2f} ms{ratio}")
    return middle


def main() -> None:
    deltas, *viewers = [int(argument) for argument in sys.argv[1:]] or [400]
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    provider = multiprocessing.Process(target=provide, args=(listener, deltas), daemon=True)
    provider.start()
    config = {"BgStreamApp": {"providers": {"clock": {"base_url": base}}}}
    with tempfile.TemporaryDirectory() as home, jupyter(Path(home), config=config) as server:
        floor = show("httpx, directly", asyncio.run(direct(f"{base}/chat/completions")))
        for number in viewers or (1, 20):
            show(f"{number} viewers, committed", asyncio.run(measure(server, number)), floor)
    provider.terminate()


if __name__ == "__main__":
    main()
