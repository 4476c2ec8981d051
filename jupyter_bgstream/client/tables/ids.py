"""Ids from content: whoever asks the same of the same rows asks for the same batch, and so pays once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

_DIGITS = 32  # hexadecimal, of the hash


def content_id(model: str, params: Any, requests: Iterable[Any]) -> str:
    """Return the id of a batch: of its model, parameters and every request, in order."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    content = hashlib.sha256(encode([model, params]))
    for request in requests:
        body = encode(request)
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
