"""Connection settings of a provider: proxy, CA bundle, connect timeout, query and end signal."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from providers.conftest import Connect
from providers.speaking import job, read, text

from jupyter_bgstream.providers import transport
from jupyter_bgstream.providers.provider_settings import read_provider_settings
from jupyter_bgstream.providers.proxies import is_exempt
from jupyter_bgstream.testing import ScriptedProvider, answer


class Proxy:
    """A proxy that records its requests and forwards all of them to one port."""

    def __init__(self) -> None:
        self.port = 0
        self.to = 0
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        self.asked.append(head.split("\r\n")[0])
        if self.refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        method, target, _ = self.asked[-1].split(" ")
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            path = "/" + target.partition("://")[2].partition("/")[2]
            back.write(head.replace(target, path, 1).encode())
        await asyncio.gather(pump(reader, back), pump(there, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def proxy(provider: ScriptedProvider) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port, proxy.to = server.sockets[0].getsockname()[1], provider.port
    async with server:
        yield proxy


async def test_configured_proxy_is_used_and_password_hidden(
    provider: ScriptedProvider, connect: Connect, proxy: Proxy
) -> None:
    provider.scripts["one"] = answer("through the proxy")
    far = "http://models.invalid/v1"
    service = connect(far, proxy=f"http://me:pa55w0rd@127.0.0.1:{proxy.port}")
    said, error = await read(service, job())
    assert error is None
    assert text(said) == "through the proxy"
    assert proxy.asked == ["POST http://models.invalid/v1/chat/completions HTTP/1.1"]
    assert "Proxy-Authorization: Basic" in proxy.heads[0]
    assert (await service.status()).models == ("puppet/one",)
    assert "pa55w0rd" not in repr(vars(service))


async def test_proxy_setting_overrides_localhost_and_environment(
    provider: ScriptedProvider, connect: Connect, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.scripts["one"] = answer("yes")
    assert (await read(connect(proxy=f"http://127.0.0.1:{proxy.port}")))[1] is None
    assert len(proxy.asked) == 1
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    _, error = await read(connect("http://models.invalid/v1", proxy=False, connect_timeout=2))
    assert error is not None
    assert error.code == "unreachable"
    assert len(proxy.asked) == 1


async def test_refusing_proxy_is_unreachable_and_password_hidden(
    provider: ScriptedProvider, connect: Connect, proxy: Proxy
) -> None:
    proxy.refuses = True
    service = connect("https://models.invalid/v1", proxy=f"http://me:pa55w0rd@127.0.0.1:{proxy.port}")
    _, error = await read(service)
    assert error is not None
    assert (error.code, error.transient) == ("unreachable", False)
    assert "407" in error.message
    assert "pa55w0rd" not in error.message


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a self-signed certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("authority")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=puppet"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "pem")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return folder


async def test_configured_ca_bundle_is_trusted_and_loaded_once(
    authority: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "pem", authority / "key")
    made: list[str] = []

    def counted(path: str) -> ssl.SSLContext:
        made.append(path)
        return ssl.create_default_context(cafile=path)

    monkeypatch.setattr(transport, "tls_context", counted)
    async with ScriptedProvider({"one": answer("in private")}, tls=context) as provider:
        _, error = await read(connect(provider.base_url))
        assert error is not None
        assert error.code == "tls_error"
        trusting = connect(provider.base_url, ca_bundle=str(authority / "pem"))
        for _ in range(2):
            assert text((await read(trusting))[0]) == "in private"
        await provider.quiet()
    assert made == [str(authority / "pem")]  # once


async def test_deleted_ca_bundle_is_tls_error(authority: Path, connect: Connect, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes((authority / "pem").read_bytes())
    service = connect("https://models.invalid/v1", ca_bundle=str(bundle))
    bundle.unlink()
    _, error = await read(service)
    assert error is not None
    assert error.code == "tls_error"
    assert str(bundle) in error.message


async def test_unroutable_address_with_connect_timeout_is_unreachable(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(*args: object, **kwargs: object) -> None:  # some networks refuse such an address at once
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", wait)
    _, error = await read(connect("http://192.0.2.1/v1", connect_timeout=0.05))
    assert error is not None
    assert (error.code, error.transient) == ("unreachable", True)
    assert "No connection within 0.05 s." in error.message


@pytest.mark.parametrize("password", ["s3cr3t/word", "s3cr3t#word", "s3cr3t?word"])
async def test_password_in_invalid_proxy_url_is_hidden(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{password}@proxy.example:3128")
    _, error = await read(connect("https://models.invalid/v1"))
    assert error is not None
    assert "HTTPS_PROXY" in error.message
    assert "HTTP_PROXY" not in error.message  # the one at fault is named
    assert "s3cr3t" not in error.message


EXCEPTIONS = [
    ("localhost,fe80::/10", "api.example", False),
    ("localhost,fe80::/10", "fe80::1", True),
    ("10.0.0.0/8,fd00::/8,.corp.example", "10.1.2.3", True),
    ("10.0.0.0/8,fd00::/8,.corp.example", "11.1.2.3", False),
    ("10.0.0.0/8,fd00::/8,.corp.example", "llm.corp.example", True),
    ("10.0.0.0/8,fd00::/8,.corp.example", "corp.example", True),
    ("corp.example", "notcorp.example", False),
    ("*.corp.example", "LLM.Corp.Example.", True),
    ("127.0.0.1,::1,[::1]", "::1", True),
    ("[::1]:11434", "::1", True),
    ("https://corp.example other.example", "other.example", True),
    ("https://corp.example other.example", "corp.example", True),
    ("corp.example:11434", "corp.example", True),
    ("corp.example:80", "corp.example", False),
    ("*", "anything.example", True),
    ("::::,999.1.1.1/8,[,]:x,a:b:c,/,.", "api.example", False),
    ("", "api.example", False),
]


@pytest.mark.parametrize(("exceptions", "host", "exempt"), EXCEPTIONS)
def test_no_proxy_exempts_matching_hosts(exceptions: str, host: str, exempt: bool) -> None:
    assert is_exempt(host, 11434, exceptions) == exempt


@pytest.mark.parametrize("exceptions", [exceptions for exceptions, host, _ in EXCEPTIONS if host == "api.example"])
async def test_proxy_of_environment_is_used_for_hosts_not_exempt(
    provider: ScriptedProvider, connect: Connect, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    provider.scripts["one"] = answer("through the proxy")
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", exceptions)
    said, error = await read(connect("http://api.example/v1"))
    assert (text(said), error) == ("through the proxy", None)


async def test_query_of_base_url_is_sent_with_every_request(provider: ScriptedProvider, connect: Connect) -> None:
    provider.scripts["one"] = answer("yes")
    service = connect(f"http://127.0.0.1:{provider.port}/v1/?api-version=2024-10-21")
    assert (await read(service))[1] is None
    await service.status()
    assert [request.path for request in provider.requests] == ["/v1/chat/completions?api-version=2024-10-21"]
    assert provider.listings == 1
    endpoint = read_provider_settings("x", {"base_url": "https://host/v1?a=1"})
    assert endpoint.url("/models?pageSize=1") == "https://host/v1/models?pageSize=1&a=1"


async def test_done_ends_stream_only_if_configured(provider: ScriptedProvider, connect: Connect) -> None:
    provider.scripts["one"] = answer("yes", finish_reason=None)
    for done_is_end in (False, True):
        said, error = await read(connect(done_is_end=done_is_end))
        assert (text(said), error is None) == ("yes", done_is_end)


async def test_unsupported_proxy_names_its_variable(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "gopher://proxy.example")
    _, error = await read(connect("https://models.invalid/v1"))
    assert error is not None
    assert (error.code, "all_proxy is not a URL" in error.message) == ("unreachable", True)
