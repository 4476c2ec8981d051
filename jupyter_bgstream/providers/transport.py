"""The only socket: one HTTP request, and the bytes that come back.

One client per stream: a shared pool leaks connections when requests are cancelled under contention (httpcore#1093).
What is dear in a client, the TLS context, is made once and shared.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing
from typing import Any, Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx
import msgspec
from httpcore import AsyncNetworkStream

from .endpoint import CONNECT_SECONDS, authorities
from .faults import Faults
from .proxies import BadProxy, proxy_of

REFUSAL_SECONDS = 10.0  # for the body of a refusal
REFUSAL_BYTES = 64 * 1024
ANSWER_BYTES = 64 * 1024 * 1024  # of what is asked for as a whole: a list of models, a long answer with its searches

_NO_PROXY = (
    "The proxy settings of the environment cannot be used: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is not a URL such as"
    " http://proxy.example.org:3128, or what is special in its password is not written as %2F and the like."
)

T = TypeVar("T")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The way to a service."""

    proxy: str | Literal[False] | None = None  # URL; None: as the environment says; False: none
    ca_bundle: str | None = None  # path of the authorities' certificates; None: those of the system
    connect_timeout: float = CONNECT_SECONDS  # seconds

    def __repr__(self) -> str:
        return f"Route(ca_bundle={self.ca_bundle!r})"  # a proxy's URL may hold a password


DIRECT = Route()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request whose answer is a stream."""

    url: str
    headers: dict[str, str]
    body: bytes | None  # JSON, sent by a POST; None: a GET
    media_type: str  # of the stream
    idle_timeout: float  # seconds without a byte
    total_timeout: float  # seconds
    route: Route = DIRECT

    def __repr__(self) -> str:
        return f"Call({self.url!r})"  # without headers: one holds the key


async def stream(call: Call, faults: Faults) -> AsyncGenerator[bytes, None]:
    """Yield the body of the answer as it comes. Closing the generator, or cancelling its task, closes the socket.

    Raises ProviderError with any code of PROTOCOL.md that is about the network, an HTTP status, or silence. The time
    in which the caller does not ask for more counts only towards the total.
    """
    patience = _Patience(call, faults)
    async with _Sockets() as sockets, await _client(call.url, call.route, faults) as client:
        request = client.build_request(
            "GET" if call.body is None else "POST",
            call.url,
            content=call.body,
            headers={
                **({} if call.body is None else {"Content-Type": "application/json"}),
                "Accept": call.media_type,
                "Accept-Encoding": "identity",  # proxies hold a compressed stream back until a block is full
                **call.headers,
            },
            extensions={"trace": sockets.trace},
        )
        try:
            response = await patience.wait(client.send(request, stream=True))
        except httpx.HTTPError as error:
            raise _no_answer(error, call.route, faults) from None  # what httpx raises holds the request, and so the key
        async with aclosing(response):
            await _check(response, faults)
            # Declared as an iterator, in fact a generator, which must be closed.
            chunks = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
            async with aclosing(chunks):
                while (chunk := await _next(chunks, patience, faults)) is not None:
                    yield chunk


async def ask(
    url: str,
    *,
    headers: dict[str, str],
    seconds: float,
    faults: Faults,
    body: bytes | None = None,
    route: Route = DIRECT,
) -> bytes:
    """Return the answer to a GET, or to a POST if there is a body; raises ProviderError as ``stream`` does."""
    if body is not None:
        headers = {"Content-Type": "application/json"} | headers
    method = "GET" if body is None else "POST"
    limit = asyncio.timeout(seconds)
    try:
        async with limit, _Sockets() as sockets, await _client(url, route, faults) as client:
            extensions = {"trace": sockets.trace}
            async with client.stream(method, url, headers=headers, content=body, extensions=extensions) as response:
                content = await _whole(response, faults)
    except TimeoutError:
        raise faults.error("unreachable", f"No answer within {seconds:g} s.") from None
    except httpx.HTTPError as error:
        raise _no_answer(error, route, faults) from None
    if not response.is_success:
        raise faults.refusal(response.status_code, response.headers, content[:REFUSAL_BYTES])
    return content


async def _whole(response: httpx.Response, faults: Faults) -> bytes:
    # At a port that was only guessed anything may answer, and never end.
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > ANSWER_BYTES:
            raise faults.error("malformed_stream", f"An answer of more than {ANSWER_BYTES >> 20} MiB.")
    return bytes(body)


class _Sockets:
    """Closes what a cancelled connect leaves open.

    httpcore loses sight of the socket when it is cancelled in the middle of the TLS handshake. Its trace extension
    shows us the socket in time.
    """

    def __init__(self) -> None:
        self._opened: list[AsyncNetworkStream] = []

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self._opened.append(info["return_value"])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for stream in self._opened:
            await stream.aclose()  # a second time does nothing


class _Patience:
    """How long to wait for the next byte: the idle time-out, or what is left of the total."""

    def __init__(self, call: Call, faults: Faults) -> None:
        self._loop = asyncio.get_running_loop()
        self._call = call
        self._faults = faults
        self._end = self._loop.time() + call.total_timeout

    async def wait(self, what: Awaitable[T]) -> T:
        silence = self._loop.time() + self._call.idle_timeout
        limit = asyncio.timeout_at(min(silence, self._end))
        try:
            async with limit:
                return await what
        except TimeoutError:
            if silence < self._end:
                raise self._faults.error("idle_timeout", seconds=self._call.idle_timeout) from None
            raise self._faults.error("total_timeout", seconds=self._call.total_timeout) from None


async def _next(chunks: AsyncGenerator[bytes, None], patience: _Patience, faults: Faults) -> bytes | None:
    try:
        return await patience.wait(anext(chunks, None))
    except httpx.DecodingError as error:
        raise faults.error("malformed_stream", str(error)) from None
    except httpx.HTTPError as error:
        raise faults.error("truncated", _reason(error)) from None


async def _check(response: httpx.Response, faults: Faults) -> None:
    # What the body is, is for the decoder to see: services and proxies give it any type.
    if response.is_success:
        return
    body = await _beginning(response)
    raise faults.refusal(response.status_code, response.headers, body)


async def _beginning(response: httpx.Response) -> bytes:
    # As much of a refusal as comes in good time: its status says enough if its body breaks off or never ends.
    body = bytearray()
    try:
        async with asyncio.timeout(REFUSAL_SECONDS):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > REFUSAL_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass
    return bytes(body[:REFUSAL_BYTES])


def _no_answer(error: httpx.HTTPError, route: Route, faults: Faults) -> Exception:
    if isinstance(error, httpx.ConnectTimeout):
        return faults.error("unreachable", f"No connection within {route.connect_timeout:g} s.", transient=True)
    reason = _reason(error)
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return faults.error("tls_error", reason)
    match error:
        case httpx.ConnectError():
            return faults.error("unreachable", reason, transient=True)
        case httpx.ProxyError():  # its words begin with the HTTP status
            return faults.error("unreachable", reason, transient=str(error).startswith("5"))
        case httpx.UnsupportedProtocol():
            return faults.error("unreachable", reason)
        case httpx.RemoteProtocolError() if "disconnected" not in str(error):
            return faults.error("malformed_stream", f"That is not HTTP: {reason}")
        case _:
            return faults.error(
                "provider_error", f"It closed the connection without an answer. {reason}", transient=True
            )


def _reason(error: BaseException) -> str:
    # The innermost error with words: httpx's own are often empty or "All connection attempts failed".
    reasons = [str(cause) for cause in _causes(error) if str(cause)]
    return reasons[-1] if reasons else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__


async def _client(url: str, route: Route, faults: Faults) -> httpx.AsyncClient:
    try:
        context = await _tls(route.ca_bundle)
        proxy = route.proxy
        if proxy is None and not is_local(url):
            proxy = proxy_of(url)
        return httpx.AsyncClient(
            verify=context,
            proxy=_proxy(proxy, context) if proxy else None,
            trust_env=False,
            follow_redirects=False,  # the key goes to no other address
            timeout=httpx.Timeout(None, connect=route.connect_timeout),  # silence is _Patience's to measure
        )
    except OSError as error:
        raise faults.error("tls_error", no_authorities(error, route.ca_bundle)) from None
    except ImportError as error:  # a SOCKS proxy without its package
        raise faults.error("unreachable", f"The proxy settings cannot be used: {error}") from None
    except BadProxy as error:
        raise faults.error("unreachable", str(error)) from None


def _proxy(url: str, context: ssl.SSLContext) -> httpx.Proxy:
    return httpx.Proxy(url, ssl_context=context if url.startswith("https") else None)


def no_authorities(error: OSError, ca_bundle: str | None = None) -> str:
    """Return why the certificates of the authorities cannot be loaded, as a sentence that names what to change."""
    if ca_bundle is not None:
        return f"The certificates in ca_bundle {ca_bundle} cannot be loaded: {error.strerror or error}."
    # A wrong SSL_CERT_DIR is no error here: it fails at the handshake.
    path = os.environ.get("SSL_CERT_FILE")
    where = f" from {path}, which SSL_CERT_FILE names" if path else ""
    return f"The authorities' certificates cannot be loaded{where}: {error.strerror or error}."


def is_local(url: str) -> bool:
    """Return whether a URL is of this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_making = threading.Lock()
_contexts: dict[str | None, ssl.SSLContext] = {}  # by ca_bundle


def _tls_blocking(ca_bundle: str | None) -> ssl.SSLContext:
    with _making:  # or two threads would make two
        if ca_bundle not in _contexts:
            _contexts[ca_bundle] = httpx.create_ssl_context() if ca_bundle is None else authorities(ca_bundle)
        return _contexts[ca_bundle]


async def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    # Loading the authorities takes tens of milliseconds, too long for the loop that the kernels live on.
    context = _contexts.get(ca_bundle)
    return context if context is not None else await asyncio.to_thread(_tls_blocking, ca_bundle)
