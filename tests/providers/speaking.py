"""What tests of providers share: a job, a decoder that was fed, a stream that was read to its end."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Channel, Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.core.job import Job, JobSpec
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.providers.errors import ErrorBuilder
from jupyter_bgstream.providers.formats.chat_completions import ChatDecoder
from jupyter_bgstream.providers.port import Provider, ProviderEvent

PATIENCE = 60  # seconds; less than the default of idle_timeout
ERRORS = ErrorBuilder("puppet", model="one", key_env="PUPPET_KEY")
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def job(
    model: str = "puppet/one", *, prompt: str = "What is a log?", history: Sequence[Message] = (), **fields: Any
) -> Job:
    spec = JobSpec(model=model, messages=(Message(role="user", content=prompt),), **fields)
    return Job(
        id="j" * 8,
        owner="local",
        log="0" * 8,
        spec=spec,
        status="running",
        server="here",
        history=tuple(history),
        created_at=0,
    )


def sse(*payloads: dict[str, Any] | list[Any] | str, done: bool = True) -> bytes:
    """Server-sent events: a string goes out as it is, anything else as JSON."""
    lines = [item.encode() if isinstance(item, str) else msgspec.json.encode(item) for item in payloads]
    return b"".join(b"data: %b\n\n" % line for line in [*lines, *([b"[DONE]"] if done else [])])


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def cut_at_random(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    return cut(data, [chance.randrange(len(data) + 1) for _ in range(len(data) // 20)])


def decoded(pieces: bytes | Iterable[bytes]) -> list[ProviderEvent]:
    """Everything a stream says; raises what its end raises."""
    said, error = heard(pieces)
    if error is not None:
        raise error
    return said


def heard(pieces: bytes | Iterable[bytes]) -> tuple[list[ProviderEvent], ProviderError | None]:
    """Everything a stream says, and how it failed."""
    decoder = ChatDecoder(ERRORS)
    said: list[ProviderEvent] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        said += decoder.feed(piece)
    said += decoder.close()
    return said, decoder.error


def text(said: Iterable[ProviderEvent], channel: Channel = "text") -> str:
    return "".join(event.text for event in said if isinstance(event, Delta) and event.channel == channel)


def of(
    said: Iterable[ProviderEvent], kind: type[Usage] | type[Citation] | type[ToolCall] | type[Completed]
) -> list[Any]:
    return [event for event in said if isinstance(event, kind)]


async def read(
    provider: Provider, what: Job | None = None, *, patience: float = PATIENCE
) -> tuple[list[ProviderEvent], ProviderError | None]:
    """Everything a provider says, and how it failed."""
    said: list[ProviderEvent] = []
    try:
        async with asyncio.timeout(patience):
            async for batch in provider.stream(what or job()):
                said += batch
    except ProviderError as error:
        return said, error
    return said, None


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
