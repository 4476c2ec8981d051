"""Ids from content: whoever asks the same of the same rows asks for the same batch, and so pays once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from ...core.errors import TooLargeError
from ...core.limits import MAX_BODY
from ..serialization import NOT_JSON, no_json, plain

LONGEST = MAX_BODY - 64 * 1024  # bytes of what a row asks; the rest is for what is said of the batch
_DIGITS = 32  # hexadecimal, of the hash


def content_id(model: str, params: Any, requests: Iterable[Any]) -> str:
    """Return the id of a batch: of its model, parameters and every request, in order; raises InvalidRequestError."""
    encode = msgspec.json.Encoder(order="deterministic", enc_hook=plain).encode
    try:
        content = hashlib.sha256(encode([model, params]))
    except NOT_JSON as error:
        raise no_json(error, "What is in params, or the schema,") from None
    for row, request in enumerate(requests):
        try:
            body = encode(request)
        except NOT_JSON as error:
            raise no_json(error, f"Row {row:,}, counted from 0,") from None
        if len(body) > LONGEST:
            raise TooLargeError(
                f"Row {row:,}, counted from 0, has {len(body) / 2**20:.1f} MiB; the server takes"
                f" {MAX_BODY / 2**20:g} MiB at a time: send less of it, or smaller images."
            )
        content.update(b"%d:" % len(body))
        content.update(body)
    return f"map-{content.hexdigest()[:_DIGITS]}"


def asked_again(batch_id: str, times: int) -> str:
    """Return the id of a batch whose content was asked for afresh so many times."""
    return f"{batch_id}-{times + 1}" if times else batch_id


def job_id(batch_id: str, row: int) -> str:
    """Return the id of a row's job."""
    return f"{batch_id}-r{row}"


def row_of(batch_id: str, root: str) -> int | None:
    """Return which row a job was asked for; None for a job that somebody else put into the group."""
    start = f"{batch_id}-r"
    digits = root.removeprefix(start)
    return int(digits) if root.startswith(start) and digits.isascii() and digits.isdecimal() else None
