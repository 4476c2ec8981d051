"""Every fault of a provider over real HTTP, and exactly what comes of it: one line each."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any, NamedTuple

import pytest
from providers.conftest import Connect
from providers.speaking import job, of, read, text

from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.providers import service
from jupyter_bgstream.providers.formats.sse import MAX_EVENT_BYTES
from jupyter_bgstream.testing import Hold, ScriptedProvider, answer, faults, in_turn
from jupyter_bgstream.testing.faulty import FIRST, GIGANTIC_BYTES, RETRY_AFTER, TEXT, USAGE

IDLE = {"idle_timeout": 0.3}


class Case(NamedTuple):
    fault: str
    spoken: str
    code: str | None  # None: the answer is whole
    transient: bool
    outcome: str  # how the provider's side of it ended


FAULTS = [
    Case("stall-before-headers", "", "idle_timeout", False, "client left"),
    Case("stall-before-text", "", "idle_timeout", False, "client left"),
    Case("stall-mid-answer", FIRST, "idle_timeout", False, "client left"),
    Case("stall-after-finish", TEXT, None, False, "client left"),
    Case("heartbeats-after-finish", TEXT, None, False, "client left"),
    Case("slow-drip", TEXT, None, False, "whole"),
    Case("reset-before-headers", "", "provider_error", True, "reset"),
    Case("reset-mid-event", FIRST, "truncated", False, "reset"),
    Case("cut-inside-a-character", FIRST, "truncated", False, "cut"),
    Case("half-an-event", FIRST, "truncated", False, "whole"),
    Case("no-end", FIRST, "truncated", False, "whole"),
    Case("usage-then-cut", FIRST, "truncated", False, "cut"),
    Case("garbage", FIRST, "malformed_stream", False, "whole"),
    Case("noise", FIRST, "truncated", False, "whole"),
    Case("login-page", "", "malformed_stream", False, "whole"),
    Case("deep-json", FIRST, "malformed_stream", False, "whole"),
    Case("deep-refusal", "", "bad_request", False, "whole"),
    Case("gigantic-event", FIRST, "event_too_large", False, "client left"),
    Case("event-after-the-end", TEXT, None, False, "whole"),
    Case("doubled-end", TEXT, None, False, "whole"),
    Case("doubled-finish", TEXT, None, False, "whole"),
    Case("rate-limited-once", "", "rate_limited", True, "whole"),
    Case("unavailable-once", "", "provider_error", True, "whole"),
    Case("reset-once", "", "provider_error", True, "reset"),
    Case("overloaded-once", FIRST, "provider_error", True, "client left"),
    Case("cut-once", FIRST, "truncated", False, "cut"),
    Case("unpaid", "", "rate_limited", False, "whole"),
]
SLOW = {"never-ending"}  # what has no end but the total time-out has a test of its own


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REST_SECONDS", 0.3)


@pytest.fixture
def faulty(provider: ScriptedProvider) -> ScriptedProvider:
    provider.scripts = faults()
    return provider


def test_no_fault_is_forgotten() -> None:
    assert {fault for fault, *_ in FAULTS} == faults().keys() - SLOW


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.fault)
async def test_a_fault(faulty: ScriptedProvider, connect: Connect, case: Case) -> None:
    fault, spoken, code, transient, outcome = case
    said, error = await read(connect(**(IDLE if fault.startswith("stall") else {})), job(f"puppet/{fault}"))
    assert text(said) == spoken
    if code is None:
        assert error is None
        assert (said[-1], len(of(said, Completed))) == (Completed(at=0.0, finish_reason="stop"), 1)
    else:
        assert error is not None
        assert (error.code, error.transient) == (code, transient)
        assert of(said, Completed) == []
        assert "puppet" in error.message
    request = await faulty.request()
    await request.closed
    # Who closes first after the last byte is a matter of chance.
    assert request.outcome in ({"whole", "client left"} if outcome == "whole" else {outcome})
    assert request.text.startswith(spoken)


@pytest.mark.parametrize("fault", [name for name in faults() if name.endswith("-once")])
async def test_a_second_try_goes_well(faulty: ScriptedProvider, connect: Connect, fault: str) -> None:
    what = job(f"puppet/{fault}")
    _, error = await read(connect(), what)
    assert error is not None
    assert error.retry_after == (RETRY_AFTER if fault == "rate-limited-once" else None)
    said, error = await read(connect(), what)
    assert (text(said), error) == (TEXT, None)
    assert of(said, Usage) == [Usage(input_tokens=USAGE[0], output_tokens=USAGE[1])]
    assert len(faulty.asked(fault, "What is a log?")) == 2


@pytest.mark.parametrize("fault", ["usage-then-cut", "doubled-finish"])
async def test_what_was_counted_is_told(faulty: ScriptedProvider, connect: Connect, fault: str) -> None:
    said, _ = await read(connect(), job(f"puppet/{fault}"))
    assert of(said, Usage) == [Usage(input_tokens=USAGE[0], output_tokens=USAGE[1])]


async def test_the_total_ends_what_never_ends(faulty: ScriptedProvider, connect: Connect) -> None:
    said, error = await read(connect(total_timeout=0.3), job("puppet/never-ending"))
    assert error is not None
    assert (error.code, error.transient) == ("total_timeout", False)
    request = await faulty.request()
    await request.closed
    assert request.outcome == "client left"
    assert text(said).startswith(FIRST + "and on and on ")
    assert request.text.startswith(text(said))


async def test_a_cancel_ends_what_never_ends(faulty: ScriptedProvider, connect: Connect) -> None:
    stream = connect().stream(job("puppet/never-ending"))
    said = [*await anext(stream)]
    while not text(said).endswith("and on "):
        said += await anext(stream)
    await stream.aclose()
    request = await faulty.request()
    await request.closed
    assert request.outcome == "client left"


async def test_a_gigantic_event_is_not_kept(faulty: ScriptedProvider, connect: Connect) -> None:
    tracemalloc.start()
    try:
        await read(connect(), job("puppet/gigantic-event"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    request = await faulty.request()
    await request.closed
    assert peak < 2 * MAX_EVENT_BYTES
    assert MAX_EVENT_BYTES < request.sent < GIGANTIC_BYTES / 2


@pytest.mark.parametrize(("mine", "its"), [(0.2, 60), (None, 0.2)])
async def test_a_job_has_a_patience_of_its_own(
    faulty: ScriptedProvider, connect: Connect, mine: float | None, its: float
) -> None:
    what = job("puppet/stall-mid-answer", idle_timeout=mine)
    _, error = await read(connect(idle_timeout=its), what)
    assert error is not None
    assert (error.code, "0.2 s" in error.message) == ("idle_timeout", True)


async def test_a_drip_is_no_silence(faulty: ScriptedProvider, connect: Connect) -> None:
    said, error = await read(connect(idle_timeout=0.5), job("puppet/slow-drip"))  # of at least a second
    assert (text(said), error) == (TEXT, None)
    request = await faulty.request()
    assert await request.closed - request.began_at > 0.5


async def test_a_finish_reason_with_every_delta_ends_nothing(provider: ScriptedProvider, connect: Connect) -> None:
    whole = answer("one two three", hold_after=1)
    early = [step if isinstance(step, Hold) else finished(step) for step in whole.steps]
    provider.scripts["one"] = type(whole)(steps=tuple(early))
    provider.release()
    said, error = await read(connect())
    assert (text(said), error) == ("one two three", None)


async def test_what_is_not_http(connect: Connect) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, error = await read(connect(f"http://127.0.0.1:{port}/v1"))
    assert error is not None
    assert (error.code, error.transient) == ("malformed_stream", False)


async def test_each_prompt_has_turns_of_its_own(provider: ScriptedProvider, connect: Connect) -> None:
    provider.scripts["one"] = in_turn(answer("first"), answer("second"), lambda request: answer(request.prompt))
    asked = ["a", "b", "a", "a", "a"]
    said = [text((await read(connect(), job(prompt=prompt)))[0]) for prompt in asked]
    assert said == ["first", "first", "second", "a", "a"]
    assert [request.prompt for request in provider.requests] == asked
    assert [len(provider.asked(prompt=prompt)) for prompt in "abc"] == [4, 1, 0]
    assert len(provider.asked("one")) == 5


def finished(step: Any) -> Any:
    return type(step)(step.data.replace(b'"finish_reason":null', b'"finish_reason":"stop"'))
