"""httpx's client without what it does of itself with the head of an answer, which a service fills with anything.

httpx keeps cookies, which none of our requests is to carry on, and parsing them can hold up the event loop for a good
part of a second. It builds the request that a redirect asks for even where it does not follow it, and raises errors of
several kinds where that cannot be built.
"""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar
from typing import Any

import httpx

from .log_redaction import discreet

_LOCATION = "location"


class _NoCookies(CookieJar):
    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep none, and read none."""


def plain_client(*, verify: ssl.SSLContext, timeout: httpx.Timeout, **settings: Any) -> httpx.AsyncClient:
    """Return a client that follows no redirect, keeps no cookie, and takes nothing from the environment."""
    return httpx.AsyncClient(
        verify=verify,
        timeout=timeout,
        trust_env=False,  # httpx cannot read each value of NO_PROXY, and would take keys from a .netrc
        follow_redirects=False,  # the key goes to no other address
        cookies=_NoCookies(),
        event_hooks={"response": [_hide_redirect]},
        **settings,
    )


async def send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Return the head of an answer, whose body is a stream; raises httpx.HTTPError."""
    with discreet():
        response = await client.send(request, stream=True)
    if (location := response.extensions.pop(_LOCATION, None)) is not None:
        response.headers[_LOCATION] = location
    return response


async def _hide_redirect(response: httpx.Response) -> None:
    # The hook is called before httpx looks for one.
    if (location := response.headers.pop(_LOCATION, None)) is not None:
        response.extensions[_LOCATION] = location
