"""HTTP transport: one request, and the bytes of its response. No other module opens a socket.

One client per stream: a shared pool leaks connections when requests are cancelled under contention (httpcore#1093).
The costly part of a client, the TLS context, is created once and shared.
"""

import asyncio
import ipaddress
import math
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Literal
from urllib.parse import urlsplit

import httpx
import msgspec

from .errors import ErrorBuilder
from .http_client import plain_client, send
from .provider_settings import CONNECT_SECONDS, tls_context
from .proxies import InvalidProxyError, proxy_of
from .response_bodies import UNCOMPRESSED, UnreadableBodyError, iter_body, read_body, read_error_body
from .sockets import Sockets
from .timeouts import Timeouts

STREAM_BYTES = 1024 * 1024 * 1024  # of one stream, heartbeats included: a hundred times the longest answer


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Proxy, certificates and connect time-out of requests to an endpoint."""

    proxy: str | Literal[False] | None = None  # URL; None: of the environment; False: none
    ca_bundle: str | None = None  # path of certificates of authorities; None: the system's
    connect_timeout: float = CONNECT_SECONDS  # seconds

    def __repr__(self) -> str:
        return f"Route(ca_bundle={self.ca_bundle!r})"  # a proxy's URL may hold a password


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    url: str
    headers: dict[str, str]
    body: bytes | None  # JSON, sent by a POST; None: a GET
    total_timeout: float  # seconds
    idle_timeout: float = math.inf  # seconds without a byte of a stream
    route: Route = Route()

    def __repr__(self) -> str:
        return f"Call({self.url!r})"  # without headers: one holds the key


async def stream(call: Call, errors: ErrorBuilder) -> AsyncGenerator[bytes, None]:
    """Yield the response body as it arrives. Closing the generator, or cancelling its task, closes the socket.

    Time in which the caller requests no data counts towards the total time-out only.

    Raises:
        ProviderError: with a code of PROTOCOL.md for the network, an HTTP status, or a time-out.

    """
    timeouts = Timeouts(errors, idle=call.idle_timeout, total=call.total_timeout)
    async with Sockets() as sockets, await _client(call.url, call.route, errors) as client:
        try:
            response = await timeouts.wait(send(client, _request(client, call, sockets)))
        except httpx.HTTPError as error:
            raise _request_error(error, call.route, errors) from None  # httpx's error holds the request with the key
        async with aclosing(response):
            await _check_success(response, errors)
            left = STREAM_BYTES
            async with aclosing(iter_body(response)) as pieces:
                while (piece := await _next(pieces, timeouts, errors)) is not None:
                    left -= len(piece)
                    if left < 0:
                        raise errors.error("answer_too_long", f"The stream has more than {STREAM_BYTES >> 20} MiB.")
                    yield piece


async def response_body(call: Call, errors: ErrorBuilder, *, max_bytes: int) -> bytes:
    """Return the body of a response, of at most ``max_bytes``; raise ProviderError as ``stream`` does."""
    limit = asyncio.timeout(call.total_timeout)
    try:
        async with limit, Sockets() as sockets, await _client(call.url, call.route, errors) as client:
            response = await send(client, _request(client, call, sockets))
            async with aclosing(response):
                await _check_success(response, errors)
                return await read_body(response, max_bytes)
    except UnreadableBodyError as error:
        raise errors.error(error.code, str(error)) from None
    except TimeoutError:
        raise errors.error("unreachable", f"No response within {call.total_timeout:g} s.") from None
    except httpx.HTTPError as error:
        raise _request_error(error, call.route, errors) from None


def _request(client: httpx.AsyncClient, call: Call, sockets: Sockets) -> httpx.Request:
    content = {} if call.body is None else {"Content-Type": "application/json"}
    headers = httpx.Headers(content | call.headers)
    headers.update(UNCOMPRESSED)  # even if the config sets another value
    return client.build_request(
        "GET" if call.body is None else "POST",
        call.url,
        content=call.body,
        headers=headers,
        extensions={"trace": sockets.trace},
    )


async def _check_success(response: httpx.Response, errors: ErrorBuilder) -> None:
    # Errors have any media type: services and proxies set it at will.
    if not response.is_success:
        raise errors.response_error(response.status_code, response.headers, await read_error_body(response))


async def _next(pieces: AsyncGenerator[bytes, None], timeouts: Timeouts, errors: ErrorBuilder) -> bytes | None:
    try:
        return await timeouts.wait(anext(pieces, None))
    except UnreadableBodyError as error:
        raise errors.error(error.code, str(error)) from None
    except httpx.HTTPError as error:
        raise errors.error("truncated", _reason(error)) from None


def _request_error(error: httpx.HTTPError, route: Route, errors: ErrorBuilder) -> Exception:
    if isinstance(error, httpx.ConnectTimeout):
        return errors.error("unreachable", f"No connection within {route.connect_timeout:g} s.", transient=True)
    reason = _reason(error)
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return errors.error("tls_error", reason)
    match error:
        case httpx.ConnectError():
            return errors.error("unreachable", reason, transient=True)
        case httpx.ProxyError():  # its message begins with the HTTP status
            return errors.error("unreachable", reason, transient=str(error).startswith("5"))
        case httpx.UnsupportedProtocol():
            return errors.error("unreachable", reason)
        case httpx.RemoteProtocolError() if "disconnected" not in str(error):
            return errors.error("malformed_stream", f"The response is not HTTP: {reason}")
        case _:
            return errors.error(
                "provider_error", f"It closed the connection without a response. {reason}", transient=True
            )


def _reason(error: BaseException) -> str:
    # The innermost error with a message: httpx's own are often empty or "All connection attempts failed".
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
            timeout=httpx.Timeout(None, connect=route.connect_timeout),  # the other limits are those of a call
        )
    except OSError as error:
        raise errors.error("tls_error", certificates_error(error, route.ca_bundle)) from None
    except ImportError as error:  # a SOCKS proxy without its package
        raise errors.error("unreachable", f"The proxy settings cannot be used: {error}") from None
    except InvalidProxyError as error:
        raise errors.error("unreachable", str(error)) from None


def _proxy(url: str, context: ssl.SSLContext) -> httpx.Proxy:
    return httpx.Proxy(url, ssl_context=context if url.startswith("https") else None)


def certificates_error(error: OSError, ca_bundle: str | None = None) -> str:
    """Return a sentence on certificates that cannot be loaded; it names the setting."""
    if ca_bundle is not None:
        return f"The certificates in ca_bundle {ca_bundle} cannot be loaded: {error.strerror or error}."
    # An invalid SSL_CERT_DIR fails at the handshake instead.
    path = os.environ.get("SSL_CERT_FILE")
    where = f" from {path} of SSL_CERT_FILE" if path else ""
    return f"The certificates of authorities cannot be loaded{where}: {error.strerror or error}."


def is_local(url: str) -> bool:
    """Return whether a URL points to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_contexts_lock = threading.Lock()
_contexts: dict[str | None, ssl.SSLContext] = {}  # by ca_bundle


def _tls_blocking(ca_bundle: str | None) -> ssl.SSLContext:
    with _contexts_lock:  # or two threads would create two
        if ca_bundle not in _contexts:
            _contexts[ca_bundle] = httpx.create_ssl_context() if ca_bundle is None else tls_context(ca_bundle)
        return _contexts[ca_bundle]


async def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    # Loading certificates takes tens of milliseconds, too long for the server's event loop.
    context = _contexts.get(ca_bundle)
    return context if context is not None else await asyncio.to_thread(_tls_blocking, ca_bundle)
