"""Cookies, redirects and reason phrases of a response head have no effect on httpx or the log."""

from __future__ import annotations

import logging

import pytest
from providers.conftest import Connect
from providers.raw import Strain, raw
from providers.speaking import read, sse, text
from providers.test_bodies import MOST_BLOCK

KEY = "sk-C4nary_0123456789-abcdefgh"
SAID = sse({"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]})

# Each takes Python's cookie jar some tenths of a second.
COOKIES = {"values": b"a=b;" * 22_000, "lists": b"a=b," * 22_000}


@pytest.mark.parametrize("cookies", COOKIES)
async def test_cookies_do_not_block_the_event_loop(connect: Connect, cookies: str) -> None:
    named = b"Set-Cookie: a=b\r\nSet-Cookie2: %b" % COOKIES[cookies]
    head = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n" % (named, len(SAID))
    with raw(lambda: [head, SAID]) as url:
        await read(connect(url))  # the first request of a process imports and loads much
        async with Strain() as strain:
            said, error = await read(connect(url))
    assert (text(said), error) == ("Hello", None)
    assert strain.longest < MOST_BLOCK


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "words"),
    [
        (b"javascript:alert(1)", "javascript:alert(1)"),
        (b"mailto:somebody@x.example", "mailto:somebody@x.example"),
        (b"https:x", "https:"),  # Python 3.13 writes it in another form than 3.11
        (b"http://[::1", "an address that cannot be read"),
        ("http://a\u2100b/".encode(), "HTTP"),
        (b"http://x.example:99999999/", "http://x.example:99999999/"),
        (b"file:///etc/passwd", "file:///etc/passwd"),
        (b"http://169.254.169.254/latest", "http://169.254.169.254/latest"),
        (b"/" * 90_000, "//"),
        (b"http://x.example/\x1b]0;title\x07", "http://x.example/"),
        (b"https://x.example/" + KEY.encode(), "https://x.example/[key]"),
        (b"", "without an address"),
    ],
)
async def test_redirect_to_any_location_is_refused(connect: Connect, status: int, location: bytes, words: str) -> None:
    head = b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location)
    with raw(lambda: [head]) as url:
        service = connect(url, key=KEY)
        said, error = await read(service)
        found = await service.status()
    assert said == []
    assert error is not None
    assert error.code == "bad_request"
    assert f"HTTP {status}" in error.message
    assert words in error.message
    assert KEY not in error.message
    assert found.error is not None
    assert found.error == type(found.error)(code=error.code, message=error.message)


async def test_redirect_without_location_is_refused(connect: Connect) -> None:
    with raw(lambda: [b"HTTP/1.1 304 Not Modified\r\n\r\n"]) as url:
        _, error = await read(connect(url))
    assert error is not None
    assert "without an address" in error.message


async def test_key_in_response_head_is_not_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    head = f"HTTP/1.1 401 No {KEY}\r\nX-Key: {KEY}\r\nLocation: {KEY}\r\nContent-Length: 0\r\n\r\n".encode()
    with raw(lambda: [head]) as url:
        service = connect(url, key=KEY)
        _, error = await read(service)
        status = await service.status()
    assert "401" in caplog.text
    assert KEY not in f"{caplog.text} {error} {status}"
