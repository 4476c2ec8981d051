"""Every fault of a provider over real HTTP and its exact outcome, one line each."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any, NamedTuple

import msgspec
import pytest
from providers.conftest import Connect
from providers.faults import FIRST, GIGANTIC_BYTES, RETRY_AFTER, TEXT, USAGE, faults
from providers.speaking import ERRORS as BUILDER
from providers.speaking import job, of, read, text

from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.providers import response_reader
from jupyter_bgstream.providers.errors import ErrorBuilder
from jupyter_bgstream.providers.formats.framing import MAX_EVENT_BYTES
from jupyter_bgstream.testing import Hold, ScriptedProvider, answer, in_turn

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
    monkeypatch.setattr(response_reader, "REST_SECONDS", 0.3)


@pytest.fixture
def faulty(provider: ScriptedProvider) -> ScriptedProvider:
    provider.scripts = faults()
    return provider


def test_every_fault_has_a_case() -> None:
    assert {fault for fault, *_ in FAULTS} == faults().keys() - SLOW


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.fault)
async def test_fault_has_its_expected_outcome(faulty: ScriptedProvider, connect: Connect, case: Case) -> None:
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
async def test_second_attempt_succeeds(faulty: ScriptedProvider, connect: Connect, fault: str) -> None:
    what = job(f"puppet/{fault}")
    _, error = await read(connect(), what)
    assert error is not None
    assert error.retry_after == (RETRY_AFTER if fault == "rate-limited-once" else None)
    said, error = await read(connect(), what)
    assert (text(said), error) == (TEXT, None)
    assert of(said, Usage) == [Usage(input_tokens=USAGE[0], output_tokens=USAGE[1])]
    assert len(faulty.asked(fault, "What is a log?")) == 2


@pytest.mark.parametrize("fault", ["usage-then-cut", "doubled-finish"])
async def test_usage_is_reported_once_despite_fault(faulty: ScriptedProvider, connect: Connect, fault: str) -> None:
    said, _ = await read(connect(), job(f"puppet/{fault}"))
    assert of(said, Usage) == [Usage(input_tokens=USAGE[0], output_tokens=USAGE[1])]


async def test_total_timeout_ends_endless_answer(faulty: ScriptedProvider, connect: Connect) -> None:
    said, error = await read(connect(total_timeout=0.3), job("puppet/never-ending"))
    assert error is not None
    assert (error.code, error.transient) == ("total_timeout", False)
    request = await faulty.request()
    await request.closed
    assert request.outcome == "client left"
    assert text(said).startswith(FIRST + "and on and on ")
    assert request.text.startswith(text(said))


async def test_closing_the_stream_ends_endless_answer(faulty: ScriptedProvider, connect: Connect) -> None:
    stream = connect().stream(job("puppet/never-ending"))
    said = [*await anext(stream)]
    while not text(said).endswith("and on "):
        said += await anext(stream)
    await stream.aclose()
    request = await faulty.request()
    await request.closed
    assert request.outcome == "client left"


async def test_gigantic_event_is_not_buffered(faulty: ScriptedProvider, connect: Connect) -> None:
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
async def test_idle_timeout_of_job_overrides_provider(
    faulty: ScriptedProvider, connect: Connect, mine: float | None, its: float
) -> None:
    what = job("puppet/stall-mid-answer", idle_timeout=mine)
    _, error = await read(connect(idle_timeout=its), what)
    assert error is not None
    assert (error.code, "0.2 s" in error.message) == ("idle_timeout", True)


async def test_slow_drip_does_not_trigger_idle_timeout(faulty: ScriptedProvider, connect: Connect) -> None:
    said, error = await read(connect(idle_timeout=0.5), job("puppet/slow-drip"))  # of at least a second
    assert (text(said), error) == (TEXT, None)
    request = await faulty.request()
    assert await request.closed - request.began_at > 0.5


async def test_early_finish_reason_does_not_end_answer(provider: ScriptedProvider, connect: Connect) -> None:
    whole = answer("one two three", hold_after=1)
    early = [step if isinstance(step, Hold) else finished(step) for step in whole.steps]
    provider.scripts["one"] = type(whole)(steps=tuple(early))
    provider.release()
    said, error = await read(connect())
    assert (text(said), error) == ("one two three", None)


async def test_non_http_response_is_malformed(connect: Connect) -> None:
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


async def test_scripted_provider_takes_turns_per_prompt(provider: ScriptedProvider, connect: Connect) -> None:
    provider.scripts["one"] = in_turn(answer("first"), answer("second"), lambda request: answer(request.prompt))
    asked = ["a", "b", "a", "a", "a"]
    said = [text((await read(connect(), job(prompt=prompt)))[0]) for prompt in asked]
    assert said == ["first", "first", "second", "a", "a"]
    assert [request.prompt for request in provider.requests] == asked
    assert [len(provider.asked(prompt=prompt)) for prompt in "abc"] == [4, 1, 0]
    assert len(provider.asked("one")) == 5


def finished(step: Any) -> Any:
    return type(step)(step.data.replace(b'"finish_reason":null', b'"finish_reason":"stop"'))


def google(code: int, status: str, message: str, reason: str = "") -> dict[str, Any]:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


def anthropic(type: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}


# By HTTP status, body, code, and whether it passes; what the documentation of each service lists.
REPORTED = [
    (400, anthropic("invalid_request_error", "max_tokens: 1 > 0"), "bad_request", False),
    (400, anthropic("invalid_request_error", "Your credit balance is too low"), "bad_request", False),
    (401, anthropic("authentication_error", "invalid x-api-key"), "unauthorized", False),
    (402, anthropic("billing_error", "Check your billing"), "bad_request", False),
    (403, anthropic("permission_error", "Not yours"), "unauthorized", False),
    (404, anthropic("not_found_error", "model: claude-none"), "model_not_found", False),
    (404, anthropic("not_found_error", "file_1 was not found"), "bad_request", False),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), "bad_request", False),
    (429, anthropic("rate_limit_error", "Too many tokens"), "rate_limited", True),
    (500, anthropic("api_error", "Something of ours"), "provider_error", True),
    (504, anthropic("timeout_error", "It took too long"), "provider_error", True),
    (529, anthropic("overloaded_error", "Overloaded"), "provider_error", True),
    (400, google(400, "INVALID_ARGUMENT", 'Unknown name "top"', "badRequest"), "bad_request", False),
    (400, google(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"), "unauthorized", False),
    (400, google(400, "FAILED_PRECONDITION", "User location is not supported"), "bad_request", False),
    (401, google(401, "UNAUTHENTICATED", "Expected OAuth 2"), "unauthorized", False),
    (403, google(403, "PERMISSION_DENIED", "The caller does not have permission"), "unauthorized", False),
    (404, google(404, "NOT_FOUND", "models/x is not found for API version v1beta"), "model_not_found", False),
    (404, google(404, "NOT_FOUND", "The file f is not found"), "bad_request", False),
    (429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"), "rate_limited", True),
    (500, google(500, "INTERNAL", "An internal error has occurred"), "provider_error", True),
    (503, google(503, "UNAVAILABLE", "The model is overloaded"), "provider_error", True),
    (504, google(504, "DEADLINE_EXCEEDED", "The service could not finish in time"), "provider_error", True),
]
named = pytest.mark.parametrize(
    ("status", "body", "code", "transient"), REPORTED, ids=[f"{row[0]}-{row[2]}" for row in REPORTED]
)


@named
def test_error_has_same_code_in_response_and_stream(
    status: int, body: dict[str, Any], code: str, transient: bool
) -> None:
    without = {"error": {name: value for name, value in body["error"].items() if name != "code"}}  # only its names
    for error in (
        BUILDER.response_error(status, {}, msgspec.json.encode(body)),
        BUILDER.response_error(status, {}, msgspec.json.encode([body])),  # Google, where it was not asked for events
        BUILDER.payload_error(body),
        BUILDER.payload_error([body]),
        BUILDER.payload_error(without),
    ):
        assert (error.code, error.transient) == (code, transient)
        assert body["error"]["message"] in error.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, anthropic("request_too_large", "Request exceeds the maximum size")),
        (413, "<html>413 Request Entity Too Large</html>"),
        (400, google(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.")),
    ],
)
def test_too_large_request_error_advises_to_shorten(status: int, body: Any) -> None:
    raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    error = BUILDER.response_error(status, {}, raw)
    assert (error.code, error.transient) == ("bad_request", False)
    assert "Shorten the prompt" in error.message


def test_other_errors_do_not_advise_to_shorten() -> None:
    for body in (anthropic("invalid_request_error", "max_tokens: 128000 > 64000"), google(503, "UNAVAILABLE", "busy")):
        assert "Shorten" not in BUILDER.payload_error(body).message


@pytest.mark.parametrize(
    "body",
    [
        google(400, "INVALID_ARGUMENT", "API key not valid: AIza-a-secret-key", "API_KEY_INVALID"),
        anthropic("authentication_error", "invalid x-api-key: AIza-a-secret-key"),
    ],
)
def test_echoed_key_is_redacted_from_error(body: dict[str, Any]) -> None:
    faults = ErrorBuilder("puppet", key_env="PUPPET_KEY", secrets=("AIza-a-secret-key",))
    for error in (faults.payload_error(body), faults.response_error(400, {}, msgspec.json.encode(body))):
        assert "a-secret" not in error.message
        assert "[key]" in error.message


def test_google_retry_delay_becomes_retry_after() -> None:
    body = google(429, "RESOURCE_EXHAUSTED", "Check your plan and billing details.")
    body["error"]["details"] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "21.5s"},
    ]
    error = BUILDER.payload_error([body])
    assert (error.code, error.transient, error.retry_after) == ("rate_limited", True, 21.5)
