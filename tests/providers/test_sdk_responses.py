"""OpenAI's SDK and our decoder read the same from the same bytes over real HTTP; tests name the errors of the SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from providers.conftest import Connect
from providers.responses_samples import EVERYTHING, PLAIN, THOUGHT, delta, done, end, message, stream
from providers.speaking import of, read, text
from providers.test_recordings_responses import STREAMS as PATHS
from providers.test_recordings_responses import events_of, stream_of

from jupyter_bgstream.core.events import Citation, Completed, Usage
from jupyter_bgstream.testing import ScriptedProvider, replay

OWN = {
    "everything": EVERYTHING,
    "reasoning": stream(*THOUGHT, *PLAIN, end(THOUGHT[-1]["item"], message("Hello, weiß 🦉"))),
    "refusal": stream(delta("refusal", "No."), done("refusal", "No."), end(message(refusal="No."))),
    "incomplete": stream(*PLAIN, end(status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
}
STREAMS = OWN | {name: stream_of(events_of(path)) for name, path in PATHS.items()}


@pytest.fixture
async def client(provider: ScriptedProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-puppet", base_url=provider.base_url, max_retries=0) as client:
        yield client


async def heard(client: openai.AsyncOpenAI) -> list[Any]:
    return [event async for event in await client.responses.create(model="one", input="What is a log?", stream=True)]


@pytest.mark.parametrize("name", STREAMS)
async def test_sdk_and_decoder_agree(
    name: str, provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    provider.routes["POST /v1/responses"] = replay(STREAMS[name])
    said, error = await read(connect(format="responses"))
    assert error is None
    events = await heard(client)
    pieces = [it.delta for it in events if it.type in ("response.output_text.delta", "response.refusal.delta")]
    if name != "phase":  # from that recording deltas were taken out
        assert text(said) == "".join(pieces)
    thoughts: dict[tuple[int, int], str] = {}
    for it in events:
        if it.type == "response.reasoning_summary_text.delta":
            part = it.output_index, it.summary_index
            thoughts[part] = thoughts.get(part, "") + it.delta
    assert text(said, "reasoning") == "\n\n".join(thoughts.values())
    response, (usage,) = events[-1].response, of(said, Usage)
    if response.output_text:
        assert text(said) == response.output_text
    assert (usage.input_tokens, usage.output_tokens) == (response.usage.input_tokens, response.usage.output_tokens)
    assert usage.cached_tokens == response.usage.input_tokens_details.cached_tokens
    assert usage.reasoning_tokens == response.usage.output_tokens_details.reasoning_tokens
    cited = {it.annotation.url for it in events if it.type == "response.output_text.annotation.added"}
    assert cited <= {it.url for it in of(said, Citation)}
    assert len(of(said, Completed)) == 1


@pytest.mark.parametrize("place", [1, 5, len(EVERYTHING) - 1])
async def test_sdk_accepts_truncated_stream(
    place: int, provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    provider.routes["POST /v1/responses"] = replay(EVERYTHING[:place])
    _, error = await read(connect(format="responses"))
    assert error is not None
    assert error.code == "truncated"
    events = await heard(client)  # ends without an error, and so without a word
    assert events[-1].type != "response.completed"


async def test_sdk_ends_failed_answer_without_error(
    provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    failed = stream(end(status="failed", error={"code": "server_error", "message": "Oops."}))
    provider.routes["POST /v1/responses"] = replay(failed)
    _, error = await read(connect(format="responses"))
    assert error is not None
    assert error.code == "provider_error"
    assert (await heard(client))[-1].type == "response.failed"


async def test_sdk_passes_flat_error_as_event(
    provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    provider.routes["POST /v1/responses"] = replay(
        stream({"type": "error", "code": "server_error", "message": "Oops."})
    )
    _, error = await read(connect(format="responses"))
    assert error is not None
    assert error.code == "provider_error"
    assert (await heard(client))[-1].type == "error"


async def test_sdk_repeats_a_duplicate_event(
    provider: ScriptedProvider, connect: Connect, client: openai.AsyncOpenAI
) -> None:
    once = stream(*PLAIN, end(message("Hello, weiß 🦉")), background=True)
    provider.routes["POST /v1/responses"] = replay([*once[:2], once[1], *once[2:]])
    said, error = await read(connect(format="responses", background=True))
    assert error is None
    assert text(said) == "Hello, weiß 🦉"
    deltas = [it.delta for it in await heard(client) if it.type == "response.output_text.delta"]
    assert deltas == ["Hello, ", "Hello, ", "weiß 🦉"]
