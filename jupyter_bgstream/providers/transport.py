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
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from .bodies import UNCOMPRESSED, UnreadableBodyError, beginning, pieces, whole
from .endpoint import CONNECT_SECONDS, authorities
from .errors import ErrorBuilder
from .http_client import plain_client, send
from .proxies import InvalidProxyError, proxy_of
from .sockets import Sockets

STREAM_BYTES = 1024 * 1024 * 1024  # of one stream, heartbeats included: a hundred times the longest answer

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


async def stream(call: Call, errors: ErrorBuilder) -> AsyncGenerator[bytes, None]:
    """Yield the body of the answer as it comes. Closing the generator, or cancelling its task, closes the socket.

    Raises ProviderError with any code of PROTOCOL.md that is about the network, an HTTP status, or silence. The time
    in which the caller does not ask for more counts only towards the total.
    """
    patience = _Patience(call, errors)
    async with Sockets() as sockets, await _client(call.url, call.route, errors) as client:
        request = client.build_request(
            "GET" if call.body is None else "POST",
            call.url,
            content=call.body,
            headers=_headers(call.body, {"Accept": call.media_type} | call.headers),
            extensions={"trace": sockets.trace},
        )
        try:
            response = await patience.wait(send(client, request))
        except httpx.HTTPError as error:
            raise _no_answer(error, call.route, errors) from None  # what httpx raises holds the request, and so the key
        async with aclosing(response):
            await _check(response, errors)
            left = STREAM_BYTES
            async with aclosing(pieces(response)) as found:
                while (piece := await _next(found, patience, errors)) is not None:
                    left -= len(piece)
                    if left < 0:
                        raise errors.error("answer_too_long", f"More than {STREAM_BYTES >> 20} MiB.")
                    yield piece


async def ask(
    url: str,
    *,
    headers: dict[str, str],
    seconds: float,
    most: int,
    errors: ErrorBuilder,
    body: bytes | None = None,
    route: Route = DIRECT,
) -> bytes:
    """Return the answer to a GET, or to a POST if there is a body, of at most so many bytes.

    Raises ProviderError as ``stream`` does.
    """
    method = "GET" if body is None else "POST"
    limit = asyncio.timeout(seconds)
    try:
        async with limit, Sockets() as sockets, await _client(url, route, errors) as client:
            sent, extensions = _headers(body, headers), {"trace": sockets.trace}
            request = client.build_request(method, url, headers=sent, content=body, extensions=extensions)
            response = await send(client, request)
            async with aclosing(response):
                if not response.is_success:
                    raise errors.response_error(response.status_code, response.headers, await beginning(response))
                return await whole(response, most)
    except UnreadableBodyError as error:
        raise errors.error(error.code, str(error)) from None
    except TimeoutError:
        raise errors.error("unreachable", f"No answer within {seconds:g} s.") from None
    except httpx.HTTPError as error:
        raise _no_answer(error, route, errors) from None


def _headers(body: bytes | None, headers: dict[str, str]) -> httpx.Headers:
    content = {} if body is None else {"Content-Type": "application/json"}
    sent = httpx.Headers(content | headers)
    sent.update(UNCOMPRESSED)  # whatever the config says of it
    return sent


class _Patience:
    """How long to wait for the next byte: the idle time-out, or what is left of the total."""

    def __init__(self, call: Call, errors: ErrorBuilder) -> None:
        self._loop = asyncio.get_running_loop()
        self._call = call
        self._errors = errors
        self._end = self._loop.time() + call.total_timeout

    async def wait(self, what: Awaitable[T]) -> T:
        silence = self._loop.time() + self._call.idle_timeout
        limit = asyncio.timeout_at(min(silence, self._end))
        try:
            async with limit:
                return await what
        except TimeoutError:
            if silence < self._end:
                raise self._errors.error("idle_timeout", seconds=self._call.idle_timeout) from None
            raise self._errors.error("total_timeout", seconds=self._call.total_timeout) from None


async def _next(found: AsyncGenerator[bytes, None], patience: _Patience, errors: ErrorBuilder) -> bytes | None:
    try:
        return await patience.wait(anext(found, None))
    except UnreadableBodyError as error:
        raise errors.error(error.code, str(error)) from None
    except httpx.HTTPError as error:
        raise errors.error("truncated", _reason(error)) from None


async def _check(response: httpx.Response, errors: ErrorBuilder) -> None:
    # What the body is, is for the decoder to see: services and proxies give it any type.
    if response.is_success:
        return
    body = await beginning(response)
    raise errors.response_error(response.status_code, response.headers, body)


def _no_answer(error: httpx.HTTPError, route: Route, errors: ErrorBuilder) -> Exception:
    if isinstance(error, httpx.ConnectTimeout):
        return errors.error("unreachable", f"No connection within {route.connect_timeout:g} s.", transient=True)
    reason = _reason(error)
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return errors.error("tls_error", reason)
    match error:
        case httpx.ConnectError():
            return errors.error("unreachable", reason, transient=True)
        case httpx.ProxyError():  # its words begin with the HTTP status
            return errors.error("unreachable", reason, transient=str(error).startswith("5"))
        case httpx.UnsupportedProtocol():
            return errors.error("unreachable", reason)
        case httpx.RemoteProtocolError() if "disconnected" not in str(error):
            return errors.error("malformed_stream", f"That is not HTTP: {reason}")
        case _:
            return errors.error(
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


async def _client(url: str, route: Route, errors: ErrorBuilder) -> httpx.AsyncClient:
    try:
        context = await _tls(route.ca_bundle)
        proxy = route.proxy
        if proxy is None and not is_local(url):
            proxy = proxy_of(url)
        return plain_client(
            verify=context,
            proxy=_proxy(proxy, context) if proxy else None,
            timeout=httpx.Timeout(None, connect=route.connect_timeout),  # silence is _Patience's to measure
        )
    except OSError as error:
        raise errors.error("tls_error", no_authorities(error, route.ca_bundle)) from None
    except ImportError as error:  # a SOCKS proxy without its package
        raise errors.error("unreachable", f"The proxy settings cannot be used: {error}") from None
    except InvalidProxyError as error:
        raise errors.error("unreachable", str(error)) from None


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
