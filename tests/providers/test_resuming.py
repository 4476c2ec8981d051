"""Background answers that are resumed over several connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from providers.scripted_responses import ScriptedResponses, response
from providers.speaking import ERRORS, PATIENCE, free_port, job, of, text

from jupyter_bgstream.core.errors import InvalidRequestError, ProviderError
from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.providers import resumable_stream
from jupyter_bgstream.providers.formats.openai_responses import Responses
from jupyter_bgstream.providers.http_provider import HTTPProvider
from jupyter_bgstream.providers.port import ProviderEvent, Resume
from jupyter_bgstream.providers.provider_settings import read_provider_settings
from jupyter_bgstream.testing import (
    Hold,
    Request,
    Reset,
    Script,
    ScriptedProvider,
    event,
    refusal,
)

TEXT = "One two three four five."
THOUGHT = "Let me count."


class Sleeps:
    """A fake sleep that returns at once, records its duration, and runs the next callback."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.meanwhile: list[Any] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        await asyncio.sleep(0)


@pytest.fixture
def service() -> ScriptedResponses:
    return ScriptedResponses({"one": response(TEXT, reasoning=THOUGHT), "held": response(TEXT, hold_after=2)})


@pytest.fixture
async def provider(service: ScriptedResponses) -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider(routes=service.routes, key="sk-puppet") as provider:
        yield provider
        await provider.quiet()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


def connected(base_url: str, sleeps: Sleeps, **fields: Any) -> HTTPProvider:
    config = {"base_url": base_url, "format": "responses", "background": True, "api_key_env": "KEY", **fields}
    return HTTPProvider("puppet", read_provider_settings("puppet", config), environ={"KEY": "sk-puppet"}, sleep=sleeps)


@pytest.fixture
def puppet(provider: ScriptedProvider, sleeps: Sleeps) -> HTTPProvider:
    return connected(provider.base_url, sleeps)


async def read(puppet: HTTPProvider, what: Job) -> tuple[list[ProviderEvent], ProviderError | None]:
    said: list[ProviderEvent] = []
    try:
        async with asyncio.timeout(PATIENCE):
            async for batch in puppet.stream(what):
                said += batch
                assert not any(isinstance(it, Resume) for it in batch[:-1])
    except ProviderError as error:
        return said, error
    return said, None


def token_of(said: Sequence[ProviderEvent]) -> str:
    return [it.token for it in said if isinstance(it, Resume)][-1]


def token_of_a_first_event() -> str:
    begun = {"type": "response.created", "response": {"id": "resp_9", "background": True}, "sequence_number": 0}
    return token_of(Responses().decoder(ERRORS).feed(event(begun)))


async def begun(puppet: HTTPProvider, what: Job, pieces: int) -> tuple[str, str]:
    """Read this many pieces of the text, leave, and return the text and the resume token."""
    said: list[ProviderEvent] = []
    stream = puppet.stream(what)
    async for batch in stream:
        said += batch
        if len([it for it in said if getattr(it, "channel", "") == "text"]) >= pieces:
            break
    await stream.aclose()
    return text(said), token_of(said)


def whole(said: Sequence[ProviderEvent]) -> None:
    assert (text(said), text(said, "reasoning")) == (TEXT, THOUGHT)
    assert of(said, Usage) == [Usage(input_tokens=3, output_tokens=4)]
    assert of(said, Completed) == [Completed(at=0.0, finish_reason="stop")]


async def test_uninterrupted_answer_uses_one_connection(
    puppet: HTTPProvider, provider: ScriptedProvider, service: ScriptedResponses
) -> None:
    said, error = await read(puppet, job())
    assert error is None
    whole(said)
    assert len(provider.requests) == 1
    assert (service.answers[0].asked["background"], service.answers[0].asked["store"]) == (True, True)


async def test_interrupted_foreground_answer_is_truncated(
    provider: ScriptedProvider, service: ScriptedResponses, sleeps: Sleeps
) -> None:
    service.cut_after = 5
    said, error = await read(connected(provider.base_url, sleeps, background=False), job())
    assert error is not None
    assert (error.code, len(provider.requests), sleeps.slept) == ("truncated", 1, [])
    assert not of(said, Resume)  # type: ignore[arg-type]
    assert service.answers[0].asked["store"] is False


@pytest.mark.parametrize("length", range(1, 14))
async def test_repeatedly_cut_answer_is_complete(
    puppet: HTTPProvider, provider: ScriptedProvider, service: ScriptedResponses, sleeps: Sleeps, length: int
) -> None:
    service.cut_after = length
    said, error = await read(puppet, job())
    assert error is None
    whole(said)
    assert [request.method for request in provider.requests].count("POST") == 1
    reads = service.answers[0].read_after
    assert reads == sorted(set(reads))  # always further on
    assert sleeps.slept == []  # each connection brought something


async def test_resume_after_restart_continues_at_next_event(
    puppet: HTTPProvider, provider: ScriptedProvider, service: ScriptedResponses
) -> None:
    before, token = await begun(puppet, job("puppet/held"), 2)
    assert before == "One two "
    service.release()
    said, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is None
    assert before + text(said) == TEXT
    assert [request.method for request in provider.requests] == ["POST", "GET"]
    assert len(service.answers[0].read_after) == 1


async def test_unstreamable_answer_is_polled_until_its_end(
    puppet: HTTPProvider, service: ScriptedResponses, sleeps: Sleeps
) -> None:
    before, token = await begun(puppet, job("puppet/held"), 1)
    service.answers[0].streams = False
    sleeps.meanwhile = [lambda: None, lambda: None, service.release]
    said, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is None
    assert before + text(said) == TEXT
    assert service.answers[0].looks >= 3
    assert set(sleeps.slept[1:]) == {resumable_stream.POLL_DELAY}


async def test_service_that_returns_only_snapshots_completes_answer(
    puppet: HTTPProvider, provider: ScriptedProvider, service: ScriptedResponses
) -> None:
    before, token = await begun(puppet, job("puppet/held"), 2)
    service.release()
    known = provider.routes["GET /v1/responses/*"]

    def without_query(request: Request) -> Script:
        request.path = request.path.partition("?")[0]
        assert not isinstance(known, Script)
        return known(request)

    provider.routes["GET /v1/responses/*"] = without_query
    said, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is None
    assert before + text(said) == TEXT


async def test_html_response_to_resume_is_malformed(puppet: HTTPProvider, provider: ScriptedProvider) -> None:
    _, token = await begun(puppet, job("puppet/held"), 2)
    provider.routes["GET /v1/responses/*"] = refusal(200, "<html>Please log in.</html>", {"Content-Type": "text/html"})
    _, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is not None
    assert error.code == "malformed_stream"


@pytest.mark.parametrize(
    "answer", [refusal(404), refusal(410), refusal(400, {"error": {"message": "It has expired."}})]
)
async def test_forgotten_answer_is_answer_gone(
    puppet: HTTPProvider, provider: ScriptedProvider, service: ScriptedResponses, answer: Script
) -> None:
    _, token = await begun(puppet, job("puppet/held"), 1)
    provider.routes["GET /v1/responses/*"] = answer
    said, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is not None
    assert (said, error.code) == ([], "answer_gone")
    assert "HTTP 4" in error.message


async def test_answer_forgotten_while_polled_is_answer_gone(
    puppet: HTTPProvider, service: ScriptedResponses, sleeps: Sleeps
) -> None:
    _, token = await begun(puppet, job("puppet/held"), 1)
    service.answers[0].streams = False
    sleeps.meanwhile = [lambda: None, lambda: service.forgotten.add(service.answers[0].id)]
    _, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is not None
    assert error.code == "answer_gone"


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (422, "bad_request")])
async def test_other_error_on_resume_is_final(
    puppet: HTTPProvider, provider: ScriptedProvider, status: int, code: str
) -> None:
    _, token = await begun(puppet, job("puppet/held"), 1)
    provider.routes["GET /v1/responses/*"] = refusal(status, {"error": {"message": "No."}})
    _, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is not None
    assert error.code == code
    assert len(provider.requests) == 2


@pytest.mark.parametrize("trouble", [Script(steps=(Reset(),)), refusal(503), refusal(429)])
async def test_fruitless_resume_attempts_are_limited(
    puppet: HTTPProvider, provider: ScriptedProvider, sleeps: Sleeps, trouble: Script
) -> None:
    _, token = await begun(puppet, job("puppet/held"), 1)
    provider.routes["GET /v1/responses/*"] = trouble
    said, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is not None
    assert (said, error.code, error.transient) == ([], "truncated", False)
    assert sleeps.slept == [seconds for seconds in resumable_stream.DELAYS[1:] if seconds]
    assert len(provider.requests) == 1 + len(resumable_stream.DELAYS)


async def test_temporary_error_on_resume_is_retried_after_its_delay(
    puppet: HTTPProvider, provider: ScriptedProvider, service: ScriptedResponses, sleeps: Sleeps
) -> None:
    before, token = await begun(puppet, job("puppet/held"), 1)
    works = provider.routes["GET /v1/responses/*"]
    provider.routes["GET /v1/responses/*"] = refusal(429, headers={"Retry-After": "9"})

    def mended() -> None:
        provider.routes["GET /v1/responses/*"] = works
        service.release()

    sleeps.meanwhile = [lambda: None, mended]
    said, error = await read(puppet, msgspec.structs.replace(job("puppet/held"), resume=token))
    assert error is None
    assert before + text(said) == TEXT
    assert sleeps.slept == [9, 9]


async def test_unreachable_service_is_retried_on_resume(sleeps: Sleeps) -> None:
    token = token_of_a_first_event()
    nobody = connected(f"http://127.0.0.1:{free_port()}/v1", sleeps)
    _, error = await read(nobody, msgspec.structs.replace(job(), resume=token))
    assert error is not None
    assert error.code == "truncated"
    assert len(sleeps.slept) == len(resumable_stream.DELAYS) - 1


async def test_silent_answer_is_polled(provider: ScriptedProvider, service: ScriptedResponses, sleeps: Sleeps) -> None:
    # A model may think for longer than its stream has anything to say: that is no reason to give its answer up.
    impatient = connected(provider.base_url, sleeps, idle_timeout=0.05)
    looked = resumable_stream.POLL_DELAY

    def until_looked() -> None:
        if sleeps.slept.count(looked) < 2:
            sleeps.meanwhile.append(until_looked)
        else:
            service.release()

    sleeps.meanwhile = [until_looked]
    said, error = await read(impatient, job("puppet/held"))
    assert error is None
    assert text(said) == TEXT
    streams = [request for request in provider.requests if request.method == "POST" or "stream=true" in request.path]
    assert len(streams) == 2 + resumable_stream.SILENT_CONNECTIONS
    assert service.answers[0].looks >= 3


async def test_total_timeout_spans_all_connections(
    provider: ScriptedProvider, service: ScriptedResponses, sleeps: Sleeps
) -> None:
    impatient = connected(provider.base_url, sleeps, idle_timeout=0.1, total_timeout=0.15)
    _, error = await read(impatient, job("puppet/held"))
    assert error is not None
    assert error.code == "total_timeout"
    assert "within 0.15 s" in error.message


async def test_invalid_token_is_answer_gone(puppet: HTTPProvider, provider: ScriptedProvider, sleeps: Sleeps) -> None:
    for other in (puppet, connected(provider.base_url, sleeps, format="chat_completions", background=False)):
        said, error = await read(other, msgspec.structs.replace(job(), resume="not one of ours"))
        assert error is not None
        assert (said, error.code) == ([], "answer_gone")
    await puppet.cancel_response(msgspec.structs.replace(job(), resume="not one of ours"))
    assert provider.requests == []


async def test_cancel_response_cancels_at_the_provider(puppet: HTTPProvider, service: ScriptedResponses) -> None:
    _, token = await begun(puppet, job("puppet/held"), 1)
    kept = msgspec.structs.replace(job("puppet/held"), resume=token)
    await puppet.cancel_response(job("puppet/held"))
    assert service.answers[0].cancels == 0
    await puppet.cancel_response(kept)
    await puppet.cancel_response(kept)
    assert (service.answers[0].cancels, service.answers[0].response["status"]) == (2, "cancelled")
    # A stream that ends at once is no end: what has become of the answer is looked at.
    _, error = await read(puppet, kept)
    assert error is not None
    assert (error.code, service.answers[0].looks) == ("provider_error", 1)
    assert "cancelled at the provider" in error.message


async def test_cancel_response_does_not_wait_for_hanging_service(
    puppet: HTTPProvider, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_bgstream.providers.http_provider.CANCEL_SECONDS", 1.0)
    provider.routes["POST /v1/responses/*"] = Script(steps=(Hold(),))
    async with asyncio.timeout(PATIENCE):
        await puppet.cancel_response(msgspec.structs.replace(job(), resume=token_of_a_first_event()))
    assert provider.requests[0].path == "/v1/responses/resp_9/cancel"


def test_background_requires_the_responses_format() -> None:
    with pytest.raises(InvalidRequestError, match="only the format responses"):
        read_provider_settings("x", {"base_url": "http://x.example/v1", "background": True})
