"""What goes to the server as JSON; and what cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..core.errors import InvalidRequestError


def plain(value: Any) -> Any:
    """Return what JSON has for a kind of text, number, list or dict that it does not know; raises TypeError."""
    for kind in (str, int, float):
        if isinstance(value, kind):  # numpy's too
            return kind(value)
    if callable(item := getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"a {type(value).__name__} is neither a text, a number, a list nor a dict with names")


def no_json(error: Exception, where: str) -> InvalidRequestError:
    """Say why something cannot be sent."""
    if isinstance(error, UnicodeEncodeError):
        why = (
            f"the character {error.object[error.start]!r} is half of one (a lone surrogate): take it out, for example"
            " by text.encode('utf-8', 'replace').decode()"
        )
    else:
        why = str(error).rstrip(".")
    return InvalidRequestError(f"{where} cannot be sent: {why}.")


NOT_JSON = (TypeError, UnicodeEncodeError, OverflowError, RecursionError)  # what encoders raise


def as_json(value: Any, where: str) -> bytes:
    """Encode it; raises InvalidRequestError, which names ``where``."""
    try:
        return msgspec.json.encode(value, enc_hook=plain)
    except NOT_JSON as error:
        raise no_json(error, where) from None
