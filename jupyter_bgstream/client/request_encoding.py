"""JSON encoding of request bodies, with actionable errors for unsupported values."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..core.errors import InvalidRequestError


def plain(value: Any) -> Any:
    """Return the JSON value of a subclass or lookalike of str, int, float, list or dict; raises TypeError."""
    for kind in (str, int, float):
        if isinstance(value, kind):  # also those of numpy
            return kind(value)
    if callable(item := getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"a {type(value).__name__} is not a text, a number, a list or a dict with texts as keys")


def encoding_error(error: Exception, where: str) -> InvalidRequestError:
    """Return the error for a value that has no JSON form; ``where`` names the value."""
    if isinstance(error, UnicodeEncodeError):
        why = (
            f"the character {error.object[error.start]!r} is a lone surrogate; remove it, for example"
            " with text.encode('utf-8', 'replace').decode()"
        )
    else:
        why = str(error).rstrip(".")
    return InvalidRequestError(f"{where} cannot be sent: {why}.")


NOT_JSON = (TypeError, UnicodeEncodeError, OverflowError, RecursionError)  # raised by the encoder


def as_json(value: Any, where: str) -> bytes:
    """Encode a value; raises InvalidRequestError that names ``where``."""
    try:
        return msgspec.json.encode(value, enc_hook=plain)
    except NOT_JSON as error:
        raise encoding_error(error, where) from None
