"""What each format costs: CPU per delta of our provider over HTTP, beside a bare drain and beside the official SDKs.

    .venv/bin/python benchmarks/formats.py [--deltas 5000] [--rounds 3]

All read the same bytes from the same server, which is another process, one event a write. The floor is `httpx`, which
reads the body and looks at nothing. The SDKs are asked for their own stream and nothing is done with its events. Times
are this process's CPU time, the least of several rounds. The SDKs come with the extra `test`.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any

import anthropic
import httpx
import msgspec
import openai

from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import Script, ScriptedProvider, Send
from jupyter_bgstream.testing.scripts import JSON

Payload = dict[str, Any]
Work = Callable[[], Coroutine[Any, Any, int]]


def chat_completions(deltas: int) -> list[Payload]:
    frame: Payload = {
        "id": "chatcmpl-D8Z5oo6uDh67AD85p73ksdT1KxhE0",
        "object": "chat.completion.chunk",
        "created": 1770933892,
    }
    frame |= {"model": "gpt-4.1-nano-2025-04-14", "system_fingerprint": "fp_de604bd877", "usage": None}

    def chunk(delta: Payload, reason: str | None = None) -> Payload:
        return frame | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}

    return [*(chunk({"content": f" word{n}"}) for n in range(deltas)), chunk({}, "stop")]


def responses(deltas: int) -> list[Payload]:
    item: Payload = {"item_id": "msg_68c9d30fbc9081a0", "output_index": 0, "content_index": 0}
    frame: Payload = {
        "id": "resp_68c9d30e4b04",
        "object": "response",
        "created_at": 1757998862,
        "model": "gpt-5",
        "tools": [],
    }
    frame |= {"parallel_tool_calls": True, "tool_choice": "auto", "error": None, "incomplete_details": None}
    text: Payload = {"type": "response.output_text.delta", "logprobs": [], "obfuscation": "Qup1BsQ3"} | item
    usage: Payload = {"input_tokens": 9, "output_tokens": deltas, "total_tokens": deltas + 9}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    begin = {"type": "response.created", "response": frame | {"status": "in_progress", "output": [], "usage": None}}
    part = {"type": "output_text", "annotations": [], "text": "".join(f" word{n}" for n in range(deltas))}
    message: Payload = {"id": "msg_68c9d30fbc9081a0", "type": "message", "status": "completed", "role": "assistant"}
    fresh = message | {"status": "in_progress", "content": []}
    whole = frame | {"status": "completed", "output": [message | {"content": [part]}], "usage": usage}
    events: list[Payload] = [
        begin,
        {"type": "response.output_item.added", "output_index": 0, "item": fresh},
        {"type": "response.content_part.added", "part": part | {"text": ""}} | item,
        *(text | {"delta": f" word{n}"} for n in range(deltas)),
        {"type": "response.completed", "response": whole},
    ]
    return [event | {"sequence_number": n} for n, event in enumerate(events)]


def messages(deltas: int) -> list[Payload]:
    usage: Payload = {"input_tokens": 9, "output_tokens": 1}
    message: Payload = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
    }
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    piece: Payload = {"type": "content_block_delta", "index": 0}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(piece | {"delta": {"type": "text_delta", "text": f" word{n}"}} for n in range(deltas)),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": deltas}},
        {"type": "message_stop"},
    ]


def gemini(deltas: int) -> list[Payload]:
    def chunk(n: int, **candidate: Any) -> Payload:
        content = {"parts": [{"text": f" word{n}"}], "role": "model"}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": n, "totalTokenCount": n + 9}
        return {
            "candidates": [{"content": content, "index": 0} | candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "cH9maN7lIJrcxN8P3Y_S6AQ",
        }

    return [*map(chunk, range(deltas - 1)), chunk(deltas - 1, finishReason="STOP")]


def ollama(deltas: int) -> list[Payload]:
    frame: Payload = {"model": "llama3.2", "created_at": "2026-01-04T18:33:10.170389Z"}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": deltas}
    said = [{"role": "assistant", "content": f" word{n}"} for n in range(deltas)]
    return [
        *(frame | {"message": message, "done": False} for message in said),
        frame | {"message": {"role": "assistant", "content": ""}} | end,
    ]


FORMATS = {stream.__name__: stream for stream in (chat_completions, responses, messages, gemini, ollama)}
NAMED = {"responses", "messages"}  # whose events carry their type in an `event:` line as well
PATHS = {
    "chat_completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "gemini": "/v1/models/x:streamGenerateContent",
    "ollama": "/v1/api/chat",
}


def script(name: str, deltas: int) -> Script:
    payloads = [msgspec.json.encode(payload) for payload in FORMATS[name](deltas)]
    if name == "ollama":
        return Script(
            headers=JSON | {"Content-Type": "application/x-ndjson"}, steps=tuple(Send(p + b"\n") for p in payloads)
        )
    kinds = [b"event: %b\n" % msgspec.json.decode(p)["type"].encode() if name in NAMED else b"" for p in payloads]
    framed = [b"%bdata: %b\n\n" % (kind, payload) for kind, payload in zip(kinds, payloads, strict=True)]
    if name == "chat_completions":
        framed.append(b"data: [DONE]\n\n")
    return Script(steps=tuple(map(Send, framed)))


def serve(deltas: int, to_parent: Connection) -> None:
    async def run() -> None:
        routes = {f"POST {path}": script(name, deltas) for name, path in PATHS.items()}
        async with ScriptedProvider(routes=routes) as provider:
            to_parent.send(provider.base_url)
            await asyncio.Event().wait()

    asyncio.run(run())


async def counted(stream: AsyncIterator[object]) -> int:
    number = 0
    async for _ in stream:
        number += 1
    return number


def draining(base_url: str, name: str) -> Work:
    url = base_url.removesuffix("/v1") + PATHS[name]

    async def work() -> int:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream("POST", url, json={"model": "x"}) as response,
        ):
            return await counted(response.aiter_raw())

    return work


def reading(base_url: str, name: str) -> Work:
    service = Registry({"bench": {"base_url": base_url, "format": name}}, environ={}).resolve("bench/x")
    spec = JobSpec(model="bench/x", messages=(Message(role="user", content="Go."),))
    job = Job(id="bench-job", owner="local", log="0" * 8, spec=spec, status="running", server="here", created_at=0)

    async def work() -> int:
        return await counted(service.stream(job))

    return work


def sdk(base_url: str, name: str) -> tuple[str, Work] | None:
    """The official way to read this format, if there is one."""
    asked: Any = [{"role": "user", "content": "Go."}]

    async def chat() -> int:
        async with openai.AsyncOpenAI(api_key="x", base_url=base_url) as client:
            stream: Any = await client.chat.completions.create(model="x", messages=asked, stream=True)
            return await counted(stream)

    async def respond() -> int:
        async with openai.AsyncOpenAI(api_key="x", base_url=base_url) as client:
            stream: Any = await client.responses.create(model="x", input="Go.", stream=True)
            return await counted(stream)

    async def message() -> int:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=base_url.removesuffix("/v1")) as client:
            stream: Any = await client.messages.create(model="x", max_tokens=9, messages=asked, stream=True)
            return await counted(stream)

    known = {"chat_completions": ("openai", chat), "responses": ("openai", respond), "messages": ("anthropic", message)}
    return known.get(name)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--deltas", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    deltas: int = chosen.deltas
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(deltas, theirs), daemon=True)
    server.start()
    base_url = ours.recv()
    with asyncio.Runner() as runner:

        def least(work: Work) -> float:
            found = []
            for _ in range(chosen.rounds + 1):  # the first warms up: imports, certificates
                begun = time.process_time()
                runner.run(work())
                found.append(time.process_time() - begun)
            return min(found[1:])

        def show(what: str, seconds: float, floor: float) -> None:
            print(f"  {what:<42} {seconds / deltas * 1e6:8.2f} µs a delta   {seconds / floor:6.2f} x the floor")

        for name in FORMATS:
            print(name)
            floor = least(draining(base_url, name))
            show("floor: httpx, drained and not looked at", floor, floor)
            show("provider: request to events", least(reading(base_url, name)), floor)
            if (official := sdk(base_url, name)) is not None:
                package, work = official
                show(f"the {package} SDK", least(work), floor)
    server.terminate()


if __name__ == "__main__":
    main()
