"""An httpx client that ignores cookies and redirects, and logs nothing that a provider controls.

httpx keeps cookies, which no request here may send, and parsing them can hold up the event loop for a good part of a
second. It builds the request of a redirect even if it does not follow it, and raises errors of several kinds if that
fails.
"""

import ssl
from http.cookiejar import CookieJar
from typing import Any

import httpx

from .log_redaction import quiet_http_logs

_LOCATION = "location"


class _NoCookies(CookieJar):
    def extract_cookies(self, response: Any, request: Any) -> None:
        """Do nothing: no cookie is parsed or kept."""


def plain_client(*, verify: ssl.SSLContext, timeout: httpx.Timeout, **settings: Any) -> httpx.AsyncClient:
    """Return a client that follows no redirect, keeps no cookie, and uses no setting of the environment."""
    return httpx.AsyncClient(
        verify=verify,
        timeout=timeout,
        trust_env=False,  # httpx cannot parse each value of NO_PROXY, and would use passwords of a .netrc
        follow_redirects=False,  # the key is sent to no other address
        cookies=_NoCookies(),
        event_hooks={"response": [_hide_redirect]},
        **settings,
    )


async def send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request; return the response with its body unread. Raises httpx.HTTPError."""
    with quiet_http_logs():
        response = await client.send(request, stream=True)
    if (location := response.extensions.pop(_LOCATION, None)) is not None:
        response.headers[_LOCATION] = location
    return response


async def _hide_redirect(response: httpx.Response) -> None:
    # httpx calls the hook before it looks for a redirect.
    if (location := response.headers.pop(_LOCATION, None)) is not None:
        response.extensions[_LOCATION] = location
