"""Keeps response headers out of the logs of httpx and httpcore, since a provider may echo the key in them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("bgstream_request", default=False)
_HTTPCORE_LOGGERS = ("connection", "http11", "http2", "proxy", "socks")


@contextmanager
def quiet_http_logs() -> Iterator[None]:
    """Filter the log lines about requests that this task sends; those of other code stay as they are."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


class _WithoutReason(logging.Filter):
    # The last argument is the reason phrase of the response.
    def filter(self, record: logging.LogRecord) -> bool:
        if _ours.get() and isinstance(record.args, tuple) and len(record.args) == 5:  # 'HTTP Request: %s %s "%s %d %s"'
            record.args = (*record.args[:4], "")
        return True


class _Silent(logging.Filter):
    # Each step with its result, such as all headers; at debug level only.
    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


logging.getLogger("httpx").addFilter(_WithoutReason())
for _name in _HTTPCORE_LOGGERS:
    logging.getLogger(f"httpcore.{_name}").addFilter(_Silent())
