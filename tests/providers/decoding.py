"""What tests of formats share: a decoder that was fed, whole and in pieces; events by their type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from providers.speaking import ERRORS

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.providers.errors import ErrorBuilder
from jupyter_bgstream.providers.formats import StreamDecoder
from jupyter_bgstream.providers.port import ProviderEvent

Maker = Callable[[ErrorBuilder], StreamDecoder]


def named(*payloads: dict[str, Any]) -> list[bytes]:
    """Server-sent events, each with the type that its data has."""
    return [b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event)) for event in payloads]


def bare(*payloads: Any) -> list[bytes]:
    """Server-sent events without a type."""
    return [b"data: %b\n\n" % msgspec.json.encode(event) for event in payloads]


def heard(decoder: Maker, pieces: bytes | Iterable[bytes]) -> tuple[list[ProviderEvent], ProviderError | None]:
    """Everything a stream says, and how it failed."""
    made = decoder(ERRORS)
    said: list[ProviderEvent] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        said += made.feed(piece)
    said += made.close()
    return said, made.error


def decoded(decoder: Maker, pieces: bytes | Iterable[bytes]) -> list[ProviderEvent]:
    """Everything a stream says; raises what its end raises."""
    said, error = heard(decoder, pieces)
    if error is not None:
        raise error
    return said


def one_by_one(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]
