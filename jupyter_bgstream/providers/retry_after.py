"""Retry hints in a provider's response: whether to retry, and when.

``Retry-After`` is RFC 9110, section 10.2.3; ``retry-after-ms`` and ``x-should-retry`` are OpenAI's and Anthropic's;
``RetryInfo`` is Google's: https://cloud.google.com/apis/design/errors.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return the value of ``x-should-retry``, None if missing. ``headers`` are looked up in lower case."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_after(headers: Mapping[str, str], payload: Any = None, *, now: float | None = None) -> float | None:
    """Return the seconds, 0 or more, to wait before a retry; None if there is no valid hint.

    Args:
        headers: of the response, looked up in lower case.
        payload: the decoded body.
        now: Unix seconds; default: the machine's time.

    """
    wait = _number(headers.get("retry-after-ms", ""), unit=0.001)
    if wait is None:
        wait = _number(headers.get("retry-after", ""))
    if wait is None:
        wait = _until(headers.get("retry-after", ""), time.time() if now is None else now)
    if wait is None:
        wait = _retry_info(payload)
    return None if wait is None else max(0.0, wait)


def _number(text: str, *, unit: float = 1.0) -> float | None:
    return float(text) * unit if _NUMBER.fullmatch(text := text.strip()) else None


def _until(text: str, now: float) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _retry_info(payload: Any) -> float | None:
    match payload:
        case [{"error": {"details": list() as details}}, *_] | {"error": {"details": list() as details}}:
            delays = [detail.get("retryDelay") for detail in details if isinstance(detail, dict)]
            waits = [_number(delay.removesuffix("s")) for delay in delays if isinstance(delay, str)]
            return next((wait for wait in waits if wait is not None), None)
    return None
