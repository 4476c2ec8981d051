"""What requests for a page of a list have in common."""

from __future__ import annotations

from typing import Any

from ..core.errors import InvalidRequestError

MAX_PAGE = 500  # in one answer


def page_limit(text: str) -> int:
    """Read how much one answer may hold; raises InvalidRequestError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 5) or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidRequestError(f"limit must be a number from 1 to {MAX_PAGE}, not {text!r}.", field="limit")
    return int(text)


def page_of(given: dict[str, Any], *, limit: int = 50) -> tuple[int, str | None]:
    """Return how many are asked for and behind which cursor.

    Raises InvalidRequestError, also for what is left in ``given``.
    """
    after = given.pop("cursor", None)
    asked = page_limit(given.pop("limit", str(limit)))
    if unknown := next(iter(given.keys() - {"token"}), None):
        raise InvalidRequestError(f"There is no filter named {unknown!r}.", field=unknown)
    return asked, after
