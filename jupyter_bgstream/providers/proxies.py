"""Proxies from the environment.

Names and rules are curl's: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case.
``NO_PROXY`` lists hosts, which include their subdomains, addresses, and ranges of addresses of IPv4 and IPv6.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

SCHEMES = ("http", "https", "socks5", "socks5h")

_PORT = re.compile(r"(?<=[^:]):(\d+)$")


class InvalidProxyError(ValueError):
    """An environment variable with an invalid proxy; its value is not shown, since it may hold a password."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"The proxy settings of the environment cannot be used: {variable} is not a URL such as"
            " http://proxy.example.org:3128, or special characters in its password are not escaped, such as %2F."
        )


def proxy_of(url: str) -> str | None:
    """Return the URL of the proxy for a URL, or None; raise InvalidProxyError."""
    target = urlsplit(url)
    proxies = getproxies()  # else those of the system's settings, if it has some
    if is_exempt(target.hostname or "", target.port, proxies.get("no", "")):
        return None
    for kind in (target.scheme, "all"):
        if proxy := proxies.get(kind, "").strip():
            return _checked(proxy, kind)
    return None


def is_exempt(host: str, port: int | None, exceptions: str) -> bool:
    """Return whether a value of ``NO_PROXY`` includes a host; invalid entries include none."""
    host = host.lower().rstrip(".")
    return any(_includes(entry, host, port) for entry in re.split(r"[\s,]+", exceptions.lower()) if entry)


def _includes(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    entry = entry.partition("://")[2] or entry
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    if (found := _PORT.search(entry)) is not None:  # not a part of an IPv6 address, which was parsed above
        if port is None or int(found[1]) != port:
            return False
        entry = entry[: found.start()]
    entry = entry.strip("[]").removeprefix("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def _checked(proxy: str, kind: str) -> str:
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parsed = httpx.URL(url)
        usable = parsed.scheme in SCHEMES and bool(parsed.host) and parsed.path in ("", "/") and not parsed.query
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise InvalidProxyError(_variable(kind, os.environ))
    return url


def _variable(kind: str, environ: Mapping[str, str]) -> str:
    names = (f"{kind}_proxy", f"{kind.upper()}_PROXY")
    return next((name for name in names if name in environ), f"the proxy for {kind} in the system's settings")
