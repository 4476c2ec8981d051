"""Real HTTP, from a job to its events, and every way in which that can fail."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from providers.conftest import Connect
from providers.speaking import STOP, delta, job, read, sse, text

from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.core.job import Message
from jupyter_bgstream.providers import transport
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
    event,
    refusal,
    replay,
)

HELLO = answer("one two three four five")
HTML = {"Content-Type": "text/html; charset=utf-8"}


class TestRequest:
    async def asked(self, provider: ScriptedProvider, connect: Connect, what: Any, **config: Any) -> Request:
        provider.scripts["one"] = HELLO
        _, error = await read(connect(**config), what)
        assert error is None
        return await provider.request()

    async def test_the_history_comes_first(self, provider: ScriptedProvider, connect: Connect) -> None:
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

    async def test_stream_options_can_be_left_out(self, provider: ScriptedProvider, connect: Connect) -> None:
        request = await self.asked(provider, connect, job(params={"stream_options": None, "seed": None}))
        assert "stream_options" not in request.json
        assert request.json["seed"] is None

    async def test_the_key_and_own_headers_are_sent(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.key = "sk-secret"
        request = await self.asked(provider, connect, job(), key=" sk-secret\n", headers={"X-Team": "blue"})
        assert request.headers["authorization"] == "Bearer sk-secret"
        assert request.headers["x-team"] == "blue"
        assert request.headers["accept"] == "text/event-stream"

    async def test_without_a_key_none_is_sent(self, provider: ScriptedProvider, connect: Connect) -> None:
        request = await self.asked(provider, connect, job())
        assert "authorization" not in request.headers

    @pytest.mark.parametrize("name", ["model", "messages", "stream"])
    async def test_params_do_not_change_what_is_asked(
        self, provider: ScriptedProvider, connect: Connect, name: str
    ) -> None:
        _, error = await read(connect(), job(params={name: "other"}))
        assert error is not None
        assert (error.code, name in error.message) == ("bad_request", True)
        assert provider.requests == []

    async def test_a_model_name_may_hold_slashes(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["meta/llama/3"] = HELLO
        _, error = await read(connect(), job("puppet/meta/llama/3"))
        assert error is None


class TestAnswer:
    async def test_it_comes_as_it_is_said(self, provider: ScriptedProvider, connect: Connect) -> None:
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
    async def test_however_the_bytes_are_cut(self, provider: ScriptedProvider, connect: Connect, seed: int) -> None:
        stream = sse(delta(reasoning="hm"), delta(content="Grüße 👩‍👩‍👧‍👦"), delta(content=" \u2028 e\u0301"), STOP)
        provider.scripts["one"] = replay(stream, cuts=seed)
        said, error = await read(connect())
        assert (text(said), error) == ("Grüße 👩‍👩‍👧‍👦 \u2028 e\u0301", None)

    async def test_a_stream_without_a_content_type_is_read(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = Script(steps=HELLO.steps, headers={})
        assert (await read(connect()))[1] is None

    async def test_done_is_the_end_even_if_the_connection_stays(
        self, provider: ScriptedProvider, connect: Connect
    ) -> None:
        provider.scripts["one"] = Script(steps=(*HELLO.steps, Hold()))
        said, error = await read(connect())
        assert isinstance(said[-1], Completed)
        assert error is None
        await (await provider.request()).closed

    @pytest.mark.parametrize("then", [Cut(), Reset()])
    async def test_what_breaks_after_the_finish_reason_takes_nothing(
        self, provider: ScriptedProvider, connect: Connect, then: Cut | Reset
    ) -> None:
        provider.scripts["one"] = answer("a b", done=False).first(3, then)
        said, error = await read(connect())
        assert (text(said), error) == ("a b", None)
        assert isinstance(said[-1], Completed)

    async def test_twenty_at_a_time(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = answer("one two", hold_after=1)
        reading = [asyncio.create_task(read(connect())) for _ in range(20)]
        await provider.held(20)
        provider.release(20)
        assert {text(said) for said, _ in await asyncio.gather(*reading)} == {"one two"}


OPENAI = {"error": {"message": "The model `one` does not exist", "type": "invalid_request_error", "code": None}}
LOGIN = "<html><head><style>p {}</style></head><body><p>Please <b>log in</b></p></body></html>"

REFUSALS: list[tuple[Script, str, str]] = [
    (refusal(401, {"error": {"message": "Incorrect API key"}}), "unauthorized", "Incorrect API key"),
    (refusal(403, "Forbidden"), "unauthorized", "Forbidden"),
    (refusal(404, OPENAI), "model_not_found", "does not exist"),
    (refusal(404, {"error": {"message": "x", "code": "model_not_found"}}), "model_not_found", "'one'"),
    (refusal(404, {"error": "model 'one' not found, try pulling it first"}), "model_not_found", "pulling"),
    (refusal(404, "<h1>Not Found</h1>"), "bad_request", "HTTP 404. Not Found"),
    (refusal(400, {"error": {"message": "no such", "code": "model_not_found"}}), "model_not_found", "no such"),
    (refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "7"}), "rate_limited", "retry after 7"),
    (refusal(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}), "bad_request", "too long"),
    (refusal(422, {"detail": [{"loc": ["body"], "msg": "field required"}]}), "bad_request", "field required"),
    (refusal(402, {"error": {"message": "no credit"}}), "bad_request", "no credit"),
    (refusal(408, ""), "provider_error", "HTTP 408"),
    (refusal(500, {"error": {"message": "oops"}}), "provider_error", "oops"),
    (
        refusal(529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
        "provider_error",
        "busy",
    ),
    (refusal(502, LOGIN, HTML), "provider_error", "Please log in"),
    (
        refusal(302, "", {"Location": "https://elsewhere.example/login?next=1"}),
        "bad_request",
        "elsewhere.example/login",
    ),
    (refusal(200, LOGIN, HTML), "malformed_stream", "Please log in"),
    (refusal(200, {"error": {"message": "slow", "code": 429}}), "rate_limited", "slow"),
    (refusal(200, {"choices": [{"message": {"content": "Hi"}}]}), "malformed_stream", "instead of a stream"),
    (refusal(200, "data: [DONE]\n\n"), "malformed_stream", "text/plain"),
    (Script(status=200, headers=HTML, steps=(Send(b"<p>login"), Cut())), "malformed_stream", "login"),
    (Script(status=500, headers=HTML, steps=(Send(b"oops"), Reset())), "provider_error", "oops"),
    (Script(status=503, steps=(Send(b"x" * 200_000), Hold())), "provider_error", "xxx"),
    (Script(steps=(Reset(),)), "provider_error", "without an answer"),
    (Script(steps=(Cut(),)), "provider_error", "without an answer"),
    (
        Script(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}, steps=(Send(b"no"),)),
        "malformed_stream",
        "",
    ),
]

BREAKS: list[tuple[Script, str]] = [
    (HELLO.first(3), "truncated"),
    (HELLO.first(3, Send(event("[DONE]"))), "truncated"),
    (HELLO.first(3, Cut()), "truncated"),
    (HELLO.first(3, Reset()), "truncated"),
    (HELLO.first(3, Send(chunk({"content": "half"})[:-9]), Reset()), "truncated"),
    (HELLO.first(3, Send(chunk({"content": "half"})[:-1])), "truncated"),
    (answer("one two three ", finish_reason=None), "truncated"),
    (HELLO.first(3, Send(event("{nonsense"))), "malformed_stream"),
    (HELLO.first(3, Send(b"data: \xff\n\n")), "malformed_stream"),
    (HELLO.first(3, Send(event({"error": {"message": "busy", "code": 503}})), Hold()), "provider_error"),
    (HELLO.first(3, Send(b"data: " + b"x" * (17 << 20))), "event_too_large"),
]


class TestFailure:
    @pytest.mark.parametrize(("script", "code", "words"), REFUSALS)
    async def test_a_refusal_says_what_to_do(
        self, provider: ScriptedProvider, connect: Connect, script: Script, code: str, words: str
    ) -> None:
        provider.scripts["one"] = script
        said, error = await read(connect())
        assert said == []
        assert error is not None
        assert error.code == code
        assert words in error.message
        assert "puppet" in error.message
        assert len(error.message) < 900

    @pytest.mark.parametrize(("script", "code"), BREAKS)
    async def test_what_breaks_off_keeps_what_was_said(
        self, provider: ScriptedProvider, connect: Connect, script: Script, code: str
    ) -> None:
        provider.scripts["one"] = script
        said, error = await read(connect())
        assert text(said) == "one two three "
        assert error is not None
        assert error.code == code
        assert "puppet" in error.message

    @pytest.mark.parametrize(
        ("script", "spoken"), [(Script(steps=(Hold(),)), ""), (HELLO.first(2, Hold()), "one two ")]
    )
    async def test_silence(self, provider: ScriptedProvider, connect: Connect, script: Script, spoken: str) -> None:
        provider.scripts["one"] = script
        said, error = await read(connect(idle_timeout=0.2))
        assert text(said) == spoken
        assert error is not None
        assert (error.code, "0.2 s" in error.message) == ("idle_timeout", True)
        request = await provider.request()
        await request.closed
        assert request.closed_by_client

    async def test_the_total(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(1, Hold())
        _, error = await read(connect(total_timeout=0.2))
        assert error is not None
        assert error.code == "total_timeout"

    async def test_a_slow_reader_is_not_silence(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider.scripts["one"] = answer("one two three", hold_after=1)
        async with aclosing(connect(idle_timeout=10).stream(job())) as stream:
            await anext(stream)
            provider.release()
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + 60)  # a minute passes
            assert text([event async for batch in stream for event in batch]) == "two three"

    async def test_a_refusal_that_never_ends(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "REFUSAL_SECONDS", 0.05)
        provider.scripts["one"] = Script(status=500, steps=(Send(b"oops"), Hold()))
        _, error = await read(connect())
        assert error is not None
        assert (error.code, "oops" in error.message) == ("provider_error", True)

    async def test_a_port_where_nobody_listens(self, connect: Connect) -> None:
        _, error = await read(connect(f"http://127.0.0.1:{free_port()}/v1"))
        assert error is not None
        assert error.code == "unreachable"

    async def test_a_name_that_nobody_has(self, connect: Connect) -> None:
        _, error = await read(connect("http://nobody.invalid/v1"))
        assert error is not None
        assert error.code == "unreachable"

    async def test_https_where_http_is_spoken(self, provider: ScriptedProvider, connect: Connect) -> None:
        _, error = await read(connect(provider.base_url.replace("http", "https")))
        assert error is not None
        assert error.code == "tls_error"

    async def test_a_certificate_that_nobody_vouches_for(self, connect: Connect, tmp_path: Path) -> None:
        async with ScriptedProvider({"one": HELLO}, tls=self_signed(tmp_path)) as provider:
            _, error = await read(connect(provider.base_url))
            assert error is not None
            assert error.code == "tls_error"
            assert "SSL_CERT_FILE" in error.message
            assert "self" in error.message  # OpenSSL's own word for it
            await provider.quiet()

    @pytest.mark.parametrize("key", [None, "", "  "])
    async def test_a_key_that_is_not_there(self, provider: ScriptedProvider, connect: Connect, key: str | None) -> None:
        service = connect(key=key or "")
        _, error = await read(service)
        assert error is not None
        assert error.code == "missing_key"
        assert "PUPPET_KEY" in error.message
        assert provider.requests == []

    @pytest.mark.parametrize("key", ["sk-\x00", "sk-clé", "two\nlines"])
    async def test_a_key_that_cannot_be_sent(self, connect: Connect, key: str) -> None:
        _, error = await read(connect(key=key))
        assert error is not None
        assert error.code == "missing_key"
        assert key not in error.message


class TestProxies:
    async def test_they_are_not_asked_for_this_machine(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        provider.scripts["one"] = HELLO
        for host in ("127.0.0.1", "localhost"):
            _, error = await read(connect(provider.base_url.replace("127.0.0.1", host)))
            assert error is None

    async def test_they_are_asked_for_others(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{provider.port}")
        _, error = await read(connect("http://models.invalid/v1"))
        assert error is not None
        assert "POST http://models.invalid/v1/chat/completions" in error.message

    async def test_one_that_cannot_be_used_is_named(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "gopher://old.example")
        _, error = await read(connect("http://models.invalid/v1"))
        assert error is not None
        assert (error.code, "proxy" in error.message) == ("unreachable", True)


class TestCancel:
    async def test_it_reaches_the_socket_within_a_second(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(2, Hold())
        reading = asyncio.create_task(read(connect()))
        await provider.held()
        cancelled = time.monotonic()
        reading.cancel()
        request = await provider.request()
        assert await request.closed - cancelled < 1
        assert request.closed_by_client
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_closing_the_generator_does_too(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(2, Hold())
        stream = connect().stream(job())
        await anext(stream)
        closed = time.monotonic()
        await stream.aclose()
        request = await provider.request()
        assert await request.closed - closed < 1
        assert request.closed_by_client

    async def test_before_the_first_byte(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = Script(steps=(Hold(),))
        reading = asyncio.create_task(read(connect()))
        await provider.held()
        reading.cancel()
        await (await provider.request()).closed

    async def test_in_the_middle_of_the_tls_handshake(self, connect: Connect, mute: Mute) -> None:
        reading = asyncio.create_task(read(connect(f"https://127.0.0.1:{mute.port}/v1")))
        await asyncio.wait_for(mute.greeted.wait(), 10)
        reading.cancel()
        await asyncio.wait_for(mute.left.wait(), 1)
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_two_hundred_leave_nothing_open(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(2, Hold())
        await self.cancelled_after(connect, turns=30)
        await provider.quiet()
        files, tasks = open_files(), asyncio.all_tasks()
        for batch in range(10):
            await asyncio.gather(*(self.cancelled_after(connect, turns=batch * 20 + turns) for turns in range(20)))
        await provider.quiet()
        assert asyncio.all_tasks() == tasks
        assert open_files() == files
        provider.scripts["one"] = HELLO
        assert (await read(connect()))[1] is None  # and it still works

    async def cancelled_after(self, connect: Connect, *, turns: int) -> None:
        reading = asyncio.create_task(read(connect()))
        for _ in range(turns):  # of the loop: each request is at another place when it is hit
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])


async def test_the_tls_context_is_made_once_and_not_on_the_loop(
    provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def make() -> ssl.SSLContext:
        threads.append(threading.current_thread())
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr("httpx.create_ssl_context", make)
    transport._made.cache_clear()
    provider.scripts["one"] = HELLO
    await asyncio.gather(*(read(connect()) for _ in range(5)))
    transport._made.cache_clear()
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


class Mute:
    """A server that takes what comes and never answers."""

    def __init__(self) -> None:
        self.port = 0
        self.greeted = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            self.greeted.set()
        await reader.read()
        self.left.set()
        writer.close()


@pytest.fixture
async def mute() -> AsyncIterator[Mute]:
    mute = Mute()
    server = await asyncio.start_server(mute.serve, "127.0.0.1", 0)
    mute.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mute


CANARY = 'sk-"canary"+/1234567890'


def echoes(request: Request) -> dict[str, str]:
    return {"message": f"No {request.headers['authorization']} and {request.headers['x-token']}"}


LEAKS: dict[str, Any] = {
    "json": lambda request: refusal(401, {"error": echoes(request)}),
    "plain": lambda request: refusal(403, echoes(request)["message"]),
    "html": lambda request: refusal(200, f"<p>{echoes(request)['message']}", HTML),
    "raw json": lambda request: refusal(400, json.dumps({"odd": echoes(request)})),
    "not a stream": lambda request: refusal(200, {"odd": echoes(request)}),
    "in the stream": lambda request: replay(sse({"error": echoes(request)})),
    "no chunk": lambda request: replay(sse(json.dumps(echoes(request)) + "}")),
    "redirect": lambda _: refusal(307, "", {"Location": "https://x.example/sk-%22canary%22%2B%2F1234567890?k=1"}),
    "retry": lambda request: refusal(429, "", {"Retry-After": request.headers["authorization"]}),
    "many": lambda request: refusal(400, echoes(request)["message"] * 5000),
    "long": lambda request: replay(sse({"error": " " * 65_518 + echoes(request)["message"]})),
}


@pytest.mark.parametrize("leak", LEAKS)
async def test_no_message_and_no_log_line_holds_the_key(
    provider: ScriptedProvider, connect: Connect, caplog: pytest.LogCaptureFixture, leak: str
) -> None:
    caplog.set_level(logging.INFO)
    provider.scripts["one"] = LEAKS[leak]
    service = connect(key=CANARY, headers={"X-Token": "team-canary-42"})
    _, error = await read(service)
    assert error is not None
    seen = f"{error.message} {error!r} {error.__cause__!r} {service!r} {caplog.text}"
    for secret in ("canary", "sk-", "team"):
        assert secret not in seen
    assert "What is a log?" not in caplog.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def open_files() -> int | None:
    folder = Path("/proc/self/fd")  # Linux
    return len(list(folder.iterdir())) if folder.exists() else None


def self_signed(folder: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not on this machine")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
