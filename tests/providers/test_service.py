"""The HTTP provider over real HTTP: from job to request, and from response to events."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import aclosing, suppress
from typing import Any

import pytest
from providers.conftest import Connect
from providers.speaking import STOP, delta, job, read, sse, text

from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.providers import http_provider, transport
from jupyter_bgstream.providers.http_provider import HTTPProvider
from jupyter_bgstream.providers.provider_settings import read_provider_settings
from jupyter_bgstream.testing import (
    Cut,
    Hold,
    Request,
    Reset,
    Script,
    ScriptedProvider,
    Send,
    answer,
    chunk,
    refusal,
    replay,
)

HELLO = answer("one two three four five")


class TestRequest:
    async def asked(self, provider: ScriptedProvider, connect: Connect, what: Any, **config: Any) -> Request:
        provider.scripts["one"] = HELLO
        _, error = await read(connect(**config), what)
        assert error is None
        return await provider.request()

    async def test_history_precedes_the_prompt(self, provider: ScriptedProvider, connect: Connect) -> None:
        history = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello."))
        request = await self.asked(provider, connect, job(history=history, params={"temperature": 0.5}))
        assert request.json == {
            "model": "one",
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "What is a log?"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
        }

    async def test_null_params_omit_known_fields(self, provider: ScriptedProvider, connect: Connect) -> None:
        request = await self.asked(provider, connect, job(params={"stream_options": None, "seed": None, "own": None}))
        assert "stream_options" not in request.json
        assert "seed" not in request.json
        assert request.json["own"] is None  # unknown to us: as it is

    async def test_key_and_configured_headers_are_sent(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.key = "sk-secret"
        request = await self.asked(provider, connect, job(), key=" sk-secret\n", headers={"X-Team": "blue"})
        assert request.headers["authorization"] == "Bearer sk-secret"
        assert request.headers["x-team"] == "blue"
        assert request.headers["accept"] == "text/event-stream"

    async def test_request_without_key_has_no_authorization(self, provider: ScriptedProvider, connect: Connect) -> None:
        request = await self.asked(provider, connect, job())
        assert "authorization" not in request.headers

    @pytest.mark.parametrize("name", ["model", "messages", "stream"])
    async def test_reserved_params_are_refused(self, provider: ScriptedProvider, connect: Connect, name: str) -> None:
        _, error = await read(connect(), job(params={name: "other"}))
        assert error is not None
        assert (error.code, name in error.message) == ("bad_request", True)
        assert provider.requests == []

    async def test_model_name_may_contain_slashes(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["meta/llama/3"] = HELLO
        _, error = await read(connect(), job("puppet/meta/llama/3"))
        assert error is None


class TestAnswer:
    async def test_answer_arrives_while_it_is_sent(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("one two three", reasoning="hm", usage=(3, 4), hold_after=2)
        async with aclosing(connect().stream(job())) as stream:
            first = [*await anext(stream)]
            while text(first) != "one ":
                first += await anext(stream)
            await provider.held()  # the rest has not been sent yet
            provider.release()
            rest = [event async for batch in stream for event in batch]
        assert text(first, "reasoning") == "hm"
        assert text(rest) == "two three"
        assert rest[-2:] == [Usage(input_tokens=3, output_tokens=4), Completed(at=0.0, finish_reason="stop")]

    @pytest.mark.parametrize("seed", range(3))
    async def test_stream_in_random_pieces_decodes_the_same(
        self, provider: ScriptedProvider, connect: Connect, seed: int
    ) -> None:
        stream = sse(delta(reasoning="hm"), delta(content="Grüße 👩‍👩‍👧‍👦"), delta(content=" \u2028 e\u0301"), STOP)
        provider.scripts["one"] = replay(stream, cuts=seed)
        said, error = await read(connect())
        assert (text(said), error) == ("Grüße 👩‍👩‍👧‍👦 \u2028 e\u0301", None)

    async def test_stream_without_content_type_is_read(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = Script(steps=HELLO.steps, headers={})
        assert (await read(connect()))[1] is None

    async def test_answer_completes_while_connection_stays_open(
        self, provider: ScriptedProvider, connect: Connect
    ) -> None:
        provider.scripts["one"] = Script(steps=(*HELLO.steps, Hold()))
        said, error = await read(connect())
        assert isinstance(said[-1], Completed)
        assert error is None
        await (await provider.request()).closed

    @pytest.mark.parametrize("then", [Cut(), Reset()])
    async def test_broken_connection_after_finish_reason_keeps_answer(
        self, provider: ScriptedProvider, connect: Connect, then: Cut | Reset
    ) -> None:
        provider.scripts["one"] = answer("a b", done=False).first(3, then)
        said, error = await read(connect())
        assert (text(said), error) == ("a b", None)
        assert isinstance(said[-1], Completed)

    async def test_paused_reader_pauses_the_sender(self, provider: ScriptedProvider, connect: Connect) -> None:
        page = chunk({"content": "x" * 65_536})
        provider.scripts["one"] = Script(steps=(*[Send(page)] * 512, Hold()))  # far more than sockets hold back
        async with aclosing(connect().stream(job())) as stream:
            await anext(stream)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(provider.held(), 0.2)

    async def test_twenty_jobs_run_concurrently(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("one two", hold_after=1)
        reading = [asyncio.create_task(read(connect())) for _ in range(20)]
        await provider.held(20)
        provider.release(20)
        assert {text(said) for said, _ in await asyncio.gather(*reading)} == {"one two"}


async def test_tls_context_is_made_once_in_a_thread(
    provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def make() -> ssl.SSLContext:
        threads.append(threading.current_thread())
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr("httpx.create_ssl_context", make)
    transport._contexts.clear()
    provider.scripts["one"] = HELLO
    await asyncio.gather(*(read(connect()) for _ in range(5)))
    transport._contexts.clear()
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


PAGE = Script(headers={"Content-Type": "text/html"}, steps=(Send(b"\n<!doctype html><title>Welcome</title>"),))
EMPTY = {
    "chat_completions": b'{"data": []}',
    "responses": b'{"data": []}',
    "messages": b'{"data": []}',
    "gemini": b'{"models": []}',
    "ollama": b'{"models": []}',
}


@pytest.mark.parametrize("format", EMPTY)
@pytest.mark.parametrize(
    ("listing", "came"),
    [
        (404, "HTTP 404"),
        (405, "HTTP 405"),
        (501, "HTTP 501"),
        (PAGE, "no JSON"),
        (None, "an empty list"),
    ],
)
async def test_service_without_model_list_is_usable_with_note(
    provider: ScriptedProvider, connect: Connect, format: str, listing: Script | int | None, came: str
) -> None:
    if isinstance(listing, int):
        listing = refusal(listing, {"error": {"message": "Not here."}})
    provider.routes["GET *"] = listing or Script(
        headers={"Content-Type": "application/json"}, steps=(Send(EMPTY[format]),)
    )
    status = await connect(format=format, key="sk-1").status()
    assert (status.models, status.error, status.configured) == ((), None, True)
    assert status.note is not None
    assert "This provider has no list of models. Use a model's full name, such as puppet/NAME." in status.note
    assert f"{provider.base_url}/" in status.note
    assert f"returned {came};" in status.note


@pytest.mark.parametrize("number", [401, 403, 429, 500])
async def test_refused_model_list_is_an_error(provider: ScriptedProvider, connect: Connect, number: int) -> None:
    provider.listing = refusal(number, {"error": {"message": "No."}})
    status = await connect(key="sk-1").status()
    assert (status.error is not None, status.note) == (True, None)


async def test_page_at_unconfigured_port_is_not_a_provider(provider: ScriptedProvider) -> None:
    provider.listing = PAGE
    endpoint = read_provider_settings("vllm", {"base_url": provider.base_url})
    status = await HTTPProvider("vllm", endpoint, environ={}, configured=False).status()
    assert not status.configured
    assert status.error is not None
    assert "Not running" in status.error.message


async def test_endless_model_list_is_not_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_provider, "LISTING_BYTES", 1 << 20)
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(bytes(1 << 16))
                await writer.drain()
                sent += 1 << 16
        writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        status = await HTTPProvider("any", read_provider_settings("any", {"base_url": url}), environ={}).status()
    assert status.error is not None
    assert status.error.code == "malformed_stream"
    assert sent < 16 << 20  # what the sockets hold is not ours
