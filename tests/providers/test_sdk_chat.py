"""OpenAI's SDK and our decoder read the same from the same bytes over real HTTP; tests name the errors of the SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from providers.conftest import Connect
from providers.speaking import STOP, delta, of, read, sse, text
from providers.test_recordings import STREAMS as PATHS
from providers.test_recordings import lines_of, stream_of

from jupyter_bgstream.core.events import Completed, Delta, ToolCall, Usage
from jupyter_bgstream.testing import ScriptedProvider, replay

CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"of":'}}
COUNTED = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}
OWN = {
    "text": sse(delta(role="assistant", content=""), delta(content="Grüezi "), delta(content="🦉"), STOP, COUNTED),
    "reasoning": sse(
        delta(reasoning_content="Hm. "), delta(reasoning_content="So."), delta(content="Yes."), STOP, COUNTED
    ),
    "tools": sse(
        delta(tool_calls=[CALL]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '"sky"}'}}]),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        COUNTED,
    ),
}
STREAMS = OWN | {name: stream_of(lines_of(path)) for name, path in PATHS.items()}
PARTS = {"own-typed-parts", "mistral-reasoning"} & STREAMS.keys()  # whose content comes in typed parts
APART = {"own-counted-apart", "xai-text"} & STREAMS.keys()  # which count the reasoning beside the output


@pytest.fixture
async def client(provider: ScriptedProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-puppet", base_url=provider.base_url, max_retries=0) as client:
        yield client


async def heard(client: openai.AsyncOpenAI) -> list[ChatCompletionChunk]:
    asked: Any = [{"role": "user", "content": "What is a log?"}]
    stream: Any = await client.chat.completions.create(model="one", messages=asked, stream=True)
    return [chunk async for chunk in stream]


def deltas(chunks: list[ChatCompletionChunk]) -> list[Any]:
    return [choice.delta for chunk in chunks for choice in chunk.choices]


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - PARTS))
async def test_sdk_and_decoder_agree(
    name: str, provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    provider.scripts["one"] = replay(STREAMS[name])
    said, error = await read(connect())
    assert error is None
    chunks = await heard(client)
    assert text(said) == "".join(each.content or "" for each in deltas(chunks))
    thoughts = [each.model_extra or {} for each in deltas(chunks)]
    assert text(said, "reasoning") == "".join(
        it.get("reasoning_content") or it.get("reasoning") or "" for it in thoughts
    )
    (end,) = of(said, Completed)
    assert [end.finish_reason] == [it.finish_reason for chunk in chunks for it in chunk.choices if it.finish_reason][
        -1:
    ]
    arguments: dict[int, str] = {}
    for each in deltas(chunks):
        for call in each.tool_calls or ():
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert [call.arguments for call in of(said, ToolCall)] == list(arguments.values())
    usage = [chunk.usage for chunk in chunks if chunk.usage is not None]
    (counted,) = of(said, Usage)
    assert counted.input_tokens == usage[-1].prompt_tokens
    if name not in APART:
        assert counted.output_tokens == usage[-1].completion_tokens


@pytest.mark.parametrize("name", sorted(PARTS))
async def test_sdk_passes_typed_parts_through(
    name: str, provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    # Its type says that content is a string; whoever joins the pieces breaks.
    provider.scripts["one"] = replay(STREAMS[name])
    said, error = await read(connect())
    assert error is None
    assert {it.channel for it in of(said, Delta)} == {"reasoning", "text"}
    assert any(isinstance(each.content, list) for each in deltas(await heard(client)))


@pytest.mark.parametrize("name", sorted(APART))
async def test_sdk_omits_separately_counted_reasoning(
    name: str, provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    provider.scripts["one"] = replay(STREAMS[name])
    said, _ = await read(connect())
    (usage,) = of(said, Usage)
    last = [chunk.usage for chunk in await heard(client) if chunk.usage is not None][-1]
    assert usage.output_tokens == last.completion_tokens + last.completion_tokens_details.reasoning_tokens
    assert last.total_tokens == (usage.input_tokens or 0) + (usage.output_tokens or 0)


@pytest.mark.parametrize("ending", [b"", b"data: [DONE]\n\n"])
async def test_sdk_accepts_truncated_stream(
    ending: bytes, provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    provider.scripts["one"] = replay(sse(delta(content="Half of "), done=False) + ending)
    _, error = await read(connect())
    assert error is not None
    assert error.code == "truncated"
    chunks = await heard(client)  # ends without an error, and so without a word
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None]
