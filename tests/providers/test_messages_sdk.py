"""Anthropic's SDK and our decoder read the same from the same bytes over real HTTP.

The exceptions are errors of the SDK: it accepts a truncated stream as complete, and fails on events without a type.
"""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import pytest
from providers.conftest import Connect
from providers.decoding import named
from providers.messages_samples import FULL, START, STOP, begun, block, ended, finish, piece
from providers.official import anthropics, our_reason, ours
from providers.speaking import of, read

from jupyter_bgstream.core.events import Completed
from jupyter_bgstream.testing import Reset, Script, ScriptedProvider, Send, refusal, replay

STREAMS: dict[str, list[dict[str, Any]]] = {
    "text": [START, *block(0, "Hel|lo"), finish(output_tokens=3), STOP],
    "two starts": [START, START, *block(0, "Hel|lo"), finish(output_tokens=3), STOP],
    "two blocks": [START, *block(0, "one "), *block(1, "two"), finish("max_tokens", output_tokens=3), STOP],
    "counted at the end": [
        START,
        *block(0, "x"),
        finish(input_tokens=99, cache_read_input_tokens=1, output_tokens=3),
        STOP,
    ],
    "a call without arguments": [
        START,
        begun(0, type="tool_use", id="toolu_1", name="look", input={}),
        piece(0, type="input_json_delta", partial_json=""),
        ended(0),
        finish("tool_use", output_tokens=3),
        STOP,
    ],
    "a refusal": [START, finish("refusal", output_tokens=3), STOP],
    "a pause": [START, *block(0, "x"), finish("pause_turn", output_tokens=3), STOP],
}
THEIR_WORDS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


async def both(provider: ScriptedProvider, connect: Connect, script: Script) -> None:
    provider.routes["POST /v1/messages"] = script
    said, error = await read(connect(format="messages"))
    assert error is None
    theirs, reason = await anthropics(provider.base_url)
    assert ours(said) == theirs
    assert our_reason(said) == THEIR_WORDS.get(str(reason), reason)


@pytest.mark.parametrize("name", STREAMS)
async def test_sdk_and_decoder_agree(provider: ScriptedProvider, connect: Connect, name: str) -> None:
    await both(provider, connect, replay(b"".join(named(*STREAMS[name]))))


@pytest.mark.parametrize("seed", range(3))
async def test_sdk_and_decoder_agree_on_all_events_in_pieces(
    provider: ScriptedProvider, connect: Connect, seed: int
) -> None:
    await both(provider, connect, replay(b"".join(FULL), cuts=seed))


async def test_error_fails_both_sdk_and_decoder(provider: ScriptedProvider, connect: Connect) -> None:
    problem = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for script in (replay(b"".join(named(START, *block(0, "x"), problem))), refusal(529, problem)):
        provider.routes["POST /v1/messages"] = script
        _, error = await read(connect(format="messages"))
        assert error is not None
        with pytest.raises(anthropic.APIStatusError):
            await anthropics(provider.base_url)


async def test_reset_fails_both_sdk_and_decoder(provider: ScriptedProvider, connect: Connect) -> None:
    provider.routes["POST /v1/messages"] = Script(steps=(*map(Send, FULL[:17]), Reset()))
    _, error = await read(connect(format="messages"))
    assert error is not None
    with pytest.raises(httpx2.TransportError):
        await anthropics(provider.base_url)


@pytest.mark.parametrize("place", [1, 5, 17, len(FULL) - 2, len(FULL) - 1])
async def test_sdk_accepts_truncated_stream(provider: ScriptedProvider, connect: Connect, place: int) -> None:
    provider.routes["POST /v1/messages"] = replay(b"".join(FULL[:place]))
    said, error = await read(connect(format="messages"))
    assert of(said, Completed) == []
    assert error is not None
    theirs, _ = await anthropics(provider.base_url)  # raises nothing
    assert (theirs.text, theirs.reasoning) == (ours(said).text, ours(said).reasoning)


async def test_sdk_fails_on_events_without_type(provider: ScriptedProvider, connect: Connect) -> None:
    # The type stands in the data too, and some services that speak Messages send only that.
    provider.routes["POST /v1/messages"] = replay(b"".join(event.partition(b"\n")[2] for event in FULL))
    _, error = await read(connect(format="messages"))
    assert error is None
    with pytest.raises(AssertionError):
        await anthropics(provider.base_url)
