"""Ids by content: the same question for the same rows is the same batch, and is paid for once."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from ...core.errors import TooLargeError
from ...core.request_checks import MAX_BODY
from ..request_encoding import NOT_JSON, encoding_error, plain

LONGEST = MAX_BODY - 64 * 1024  # bytes of the request of a row; the rest is for the description of the batch
_DIGITS = 32  # hexadecimal digits of the hash


def content_id(model: str, params: Any, requests: Iterable[Any]) -> str:
    """Return the id of a batch by its model, its parameters and all its requests, in order.

    Raises:
        InvalidRequestError: a value has no JSON form.
        TooLargeError: a row is too large.

    """
    encode = msgspec.json.Encoder(order="deterministic", enc_hook=plain).encode
    try:
        content = hashlib.sha256(encode([model, params]))
    except NOT_JSON as error:
        raise encoding_error(error, "A value in params or in the schema") from None
    for row, request in enumerate(requests):
        try:
            body = encode(request)
        except NOT_JSON as error:
            raise encoding_error(error, f"Row {row:,}, counted from 0,") from None
        if len(body) > LONGEST:
            raise TooLargeError(
                f"Row {row:,}, counted from 0, has {len(body) / 2**20:.1f} MiB; the limit is"
                f" {MAX_BODY / 2**20:g} MiB. Send less text, or smaller images."
            )
        content.update(b"%d:" % len(body))
        content.update(body)
    return f"map-{content.hexdigest()[:_DIGITS]}"


def numbered_id(batch_id: str, number: int) -> str:
    """Return the id of a batch of the same content; 0 is the first, and each ``fresh=True`` adds one."""
    return f"{batch_id}-{number + 1}" if number else batch_id


def job_id(batch_id: str, row: int) -> str:
    """Return the id of the job of a row."""
    return f"{batch_id}-r{row}"


def row_of(batch_id: str, root: str) -> int | None:
    """Return the row of a job by the id of the first job in its retries; None if ``map`` did not submit it."""
    start = f"{batch_id}-r"
    digits = root.removeprefix(start)
    return int(digits) if root.startswith(start) and digits.isascii() and digits.isdecimal() else None
