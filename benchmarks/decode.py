"""What decoding costs: CPU per delta of our decoder, and of a whole stream over HTTP beside a bare drain of it.

    .venv/bin/python benchmarks/decode.py [--deltas 20000] [--rounds 5]

The floors stand beside the figures, measured in the same run: `msgspec` decodes the same payloads into a bare dict;
`httpx` reads the same body from the same server, which is another process, and looks at nothing. Times are this
process's CPU time, the least of several rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import httpx
import msgspec

from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.providers.errors import ErrorBuilder
from jupyter_bgstream.providers.formats.chat_completions import ChatDecoder
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import Script, ScriptedProvider, Send, event

NETWORK_READ = 64 * 1024  # bytes; what httpx reads at most at once


def payload(number: int, **choice: object) -> dict[str, object]:
    # As OpenAI's look: some 300 bytes for a word.
    return {
        "id": "chatcmpl-D8Z5oo6uDh67AD85p73ksdT1KxhE0",
        "object": "chat.completion.chunk",
        "created": 1770933892,
        "model": "gpt-4.1-nano-2025-04-14",
        "service_tier": "default",
        "system_fingerprint": "fp_de604bd877",
        "choices": [
            {"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None} | choice
        ],
        "usage": None,
        "obfuscation": "Qup1BsQ3",
    }


def pieces(deltas: int, **choice: object) -> list[bytes]:
    end = [event(payload(0, delta={}, finish_reason="stop")), event("[DONE]")]
    return [event(payload(number, **choice)) for number in range(deltas)] + end


def serve(deltas: int, to_parent: Connection) -> None:
    async def run() -> None:
        steps = tuple(Send(piece) for piece in pieces(deltas))
        packed = tuple(Send(b"".join(step.data for step in steps[at : at + 50])) for at in range(0, len(steps), 50))
        async with ScriptedProvider({"one by one": Script(steps=steps), "packed": Script(steps=packed)}) as provider:
            to_parent.send(provider.base_url)
            await asyncio.Event().wait()

    asyncio.run(run())


def least(rounds: int, work: Callable[[], object]) -> float:
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def decoding(cuts: list[bytes]) -> Callable[[], None]:
    def work() -> None:
        decoder = ChatDecoder(ErrorBuilder("bench"))
        for cut in cuts:
            decoder.feed(cut)
        decoder.close()

    return work


def bare(events: list[bytes]) -> Callable[[], None]:
    lines = [piece[6:-2] for piece in events[:-1]]
    return lambda: [msgspec.json.decode(line) for line in lines] and None


def draining(base_url: str, model: str) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream("POST", f"{base_url}/chat/completions", json={"model": model}) as response,
        ):
            async for _ in response.aiter_raw():
                pass

    return work


def reading(base_url: str, model: str) -> Callable[[], Awaitable[None]]:
    service = Registry({"bench": {"base_url": base_url}}, environ={}).resolve("bench/x")
    spec = JobSpec(model=f"bench/{model}", messages=(Message(role="user", content="Go."),))
    job = Job(id="bench-job", owner="local", log="0" * 8, spec=spec, status="running", server="here", created_at=0)

    async def work() -> None:
        async for _ in service.stream(job):
            pass

    return work


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--deltas", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    deltas: int = chosen.deltas

    def show(what: str, seconds: float, floor: float) -> None:
        print(f"{what:<44} {seconds / deltas * 1e6:8.2f} µs a delta   {seconds / floor:5.2f} x the floor")

    events = pieces(deltas)
    body = b"".join(events)
    floor = least(chosen.rounds, bare(events))
    print(f"{deltas} deltas, {len(body) / deltas:.0f} bytes each\n\nDecoding, no socket")
    show("floor: msgspec into dicts, events cut for it", floor, floor)
    show("decoder, one event at a time", least(chosen.rounds, decoding(events)), floor)
    reads = [body[at : at + NETWORK_READ] for at in range(0, len(body), NETWORK_READ)]
    show(f"decoder, {NETWORK_READ // 1024} KiB at a time", least(chosen.rounds, decoding(reads)), floor)
    odd = pieces(deltas, index="0")  # of the wrong type, so each is read again without types
    show("decoder, one odd event at a time", least(chosen.rounds, decoding(odd)), floor)

    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(deltas, theirs), daemon=True)
    server.start()
    base_url = ours.recv()
    with asyncio.Runner() as runner:
        for model, title in (("one by one", "one event a write"), ("packed", "50 events a write")):
            print(f"\nOver HTTP, {title}")
            drain = draining(base_url, model)
            stream = reading(base_url, model)
            floor = least(chosen.rounds, lambda work=drain: runner.run(work()))
            show("floor: httpx, drained and not looked at", floor, floor)
            show("provider: request to events", least(chosen.rounds, lambda work=stream: runner.run(work())), floor)
    server.terminate()


if __name__ == "__main__":
    main()
