"""Keeps a service's words out of what httpx and httpcore log of the head of an answer: they may repeat a key."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("bgstream_request", default=False)
_OF_HTTPCORE = ("connection", "http11", "http2", "proxy", "socks")


@contextmanager
def discreet() -> Iterator[None]:
    """Send a request within this, in one task; the lines about requests of others stay as they are."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


class _Discreet(logging.Filter):
    # Behind the status of an answer stands the reason that it gave.
    def filter(self, record: logging.LogRecord) -> bool:
        if _ours.get() and isinstance(record.args, tuple) and len(record.args) == 5:  # 'HTTP Request: %s %s "%s %d %s"'
            record.args = (*record.args[:4], "")
        return True


class _Silent(logging.Filter):
    # Each step with what came of it, such as all headers; at debug level only.
    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


logging.getLogger("httpx").addFilter(_Discreet())
for _name in _OF_HTTPCORE:
    logging.getLogger(f"httpcore.{_name}").addFilter(_Silent())
