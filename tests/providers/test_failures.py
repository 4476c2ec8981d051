"""Every failure of a request over real HTTP, with its code and message."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from providers.conftest import Connect
from providers.speaking import free_port, job, read, text

from jupyter_bgstream.providers import response_bodies, transport
from jupyter_bgstream.testing import (
    Cut,
    Hold,
    Reset,
    Script,
    ScriptedProvider,
    Send,
    answer,
    chunk,
    event,
    refusal,
)

HELLO = answer("one two three four five")
HTML = {"Content-Type": "text/html; charset=utf-8"}

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
    (refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "7"}), "rate_limited", "slow down"),
    (
        refusal(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        "context_too_long",
        "too long",
    ),
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
    (refusal(200, {"hello": "there"}), "truncated", ""),
    (Script(status=200, headers=HTML, steps=(Send(b"<p>login"), Cut())), "malformed_stream", "login"),
    (Script(status=500, headers=HTML, steps=(Send(b"oops"), Reset())), "provider_error", "oops"),
    (Script(status=503, steps=(Send(b"x" * 200_000), Hold())), "provider_error", "xxx"),
    (Script(steps=(Reset(),)), "provider_error", "without a response"),
    (Script(steps=(Cut(),)), "provider_error", "without a response"),
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
    (answer("one two three ", finish_reason=None), "truncated"),
    (HELLO.first(3, Send(event("{nonsense"))), "malformed_stream"),
    (HELLO.first(3, Send(b"data: \xff\n\n")), "malformed_stream"),
    (HELLO.first(3, Send(event({"error": {"message": "busy", "code": 503}})), Hold()), "provider_error"),
    (HELLO.first(3, Send(b"data: " + b"x" * (17 << 20))), "event_too_large"),
]


class TestFailure:
    @pytest.mark.parametrize(("script", "code", "words"), REFUSALS)
    async def test_failed_request_has_code_and_message(
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
    async def test_broken_stream_keeps_text_before_the_error(
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
    async def test_idle_timeout_fails_job_and_closes_the_socket(
        self, provider: ScriptedProvider, connect: Connect, script: Script, spoken: str
    ) -> None:
        provider.scripts["one"] = script
        said, error = await read(connect(idle_timeout=0.2))
        assert text(said) == spoken
        assert error is not None
        assert (error.code, "0.2 s" in error.message) == ("idle_timeout", True)
        request = await provider.request()
        await request.closed
        assert request.closed_by_client

    async def test_total_timeout_fails_job(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.scripts["one"] = HELLO.first(1, Hold())
        _, error = await read(connect(total_timeout=0.2))
        assert error is not None
        assert error.code == "total_timeout"

    async def test_slow_reader_does_not_trigger_idle_timeout(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider.scripts["one"] = answer("one two three", hold_after=1)
        async with aclosing(connect(idle_timeout=10).stream(job())) as stream:
            await anext(stream)
            provider.release()
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + 60)  # a minute passes
            assert text([event async for batch in stream for event in batch]) == "two three"

    async def test_endless_error_body_fails_with_its_beginning(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(response_bodies, "ERROR_BODY_SECONDS", 0.05)
        provider.scripts["one"] = Script(status=500, steps=(Send(b"oops"), Hold()))
        _, error = await read(connect())
        assert error is not None
        assert (error.code, "oops" in error.message) == ("provider_error", True)

    async def test_closed_port_is_unreachable(self, connect: Connect) -> None:
        _, error = await read(connect(f"http://127.0.0.1:{free_port()}/v1"))
        assert error is not None
        assert error.code == "unreachable"

    async def test_unknown_host_is_unreachable(self, connect: Connect) -> None:
        _, error = await read(connect("http://nobody.invalid/v1"))
        assert error is not None
        assert error.code == "unreachable"

    async def test_https_to_http_server_is_tls_error(self, provider: ScriptedProvider, connect: Connect) -> None:
        _, error = await read(connect(provider.base_url.replace("http", "https")))
        assert error is not None
        assert error.code == "tls_error"

    async def test_self_signed_certificate_is_tls_error(self, connect: Connect, tmp_path: Path) -> None:
        async with ScriptedProvider({"one": HELLO}, tls=self_signed(tmp_path)) as provider:
            _, error = await read(connect(provider.base_url))
            assert error is not None
            assert error.code == "tls_error"
            assert "SSL_CERT_FILE" in error.message
            assert "self" in error.message  # OpenSSL's own word for it
            await provider.quiet()

    @pytest.mark.parametrize(
        ("content", "reason"), [(None, "No such file or directory"), ("not one", "no certificate or crl found")]
    )
    async def test_unloadable_ca_file_is_permanent_tls_error(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, reason: str
    ) -> None:
        path = tmp_path / "authorities.pem"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        transport._contexts.clear()
        service = connect("https://models.invalid/v1")
        _, error = await read(service)
        assert error is not None
        assert (error.code, error.transient) == ("tls_error", False)
        assert f"cannot be loaded from {path} of SSL_CERT_FILE: " in error.message
        assert reason in error.message
        assert "SSL_CERT_FILE" in str((await service.status()).error)

    @pytest.mark.parametrize("key", [None, "", "  "])
    async def test_missing_key_fails_without_request(
        self, provider: ScriptedProvider, connect: Connect, key: str | None
    ) -> None:
        service = connect(key=key or "")
        _, error = await read(service)
        assert error is not None
        assert error.code == "missing_key"
        assert "PUPPET_KEY" in error.message
        assert provider.requests == []

    @pytest.mark.parametrize("key", ["sk-\x00", "sk-clé", "two\nlines"])
    async def test_invalid_key_fails_as_missing_and_is_not_shown(self, connect: Connect, key: str) -> None:
        _, error = await read(connect(key=key))
        assert error is not None
        assert error.code == "missing_key"
        assert key not in error.message


class TestProxies:
    async def test_proxy_is_bypassed_for_localhost(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        provider.scripts["one"] = HELLO
        for host in ("127.0.0.1", "localhost"):
            _, error = await read(connect(provider.base_url.replace("127.0.0.1", host)))
            assert error is None

    async def test_proxy_is_used_for_other_hosts(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{provider.port}")
        _, error = await read(connect("http://models.invalid/v1"))
        assert error is not None
        assert "POST http://models.invalid/v1/chat/completions" in error.message

    async def test_unsupported_proxy_is_named_in_error(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "gopher://me:s3cr3t@old.example")
        _, error = await read(connect("http://models.invalid/v1"))
        assert error is not None
        assert (error.code, "HTTP_PROXY is not a URL" in error.message) == ("unreachable", True)
        assert "s3cr3t" not in error.message


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
