"""Scripts of the scripted provider: plain values, and functions for common ones."""

from __future__ import annotations

import random
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import msgspec

EVENT_STREAM = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}

_WORDS = re.compile(r"\S+\s*|\s+")


class Send(msgspec.Struct, frozen=True):
    """A piece of the body, sent as it is. Status and headers precede the first one."""

    data: bytes


class Pause(msgspec.Struct, frozen=True):
    """A pause in real time, for demonstrations. A test uses ``Hold``."""

    seconds: float


class Hold(msgspec.Struct, frozen=True):
    """A stop until ``ScriptedProvider.release``. Without a release the provider hangs."""


class Cut(msgspec.Struct, frozen=True):
    """An orderly close of the connection before the end of the body."""


class Reset(msgspec.Struct, frozen=True):
    """A reset of the connection (RST)."""


class Repeat(msgspec.Struct, frozen=True):
    """A repetition of steps, without limit if ``times`` is None."""

    steps: tuple[Step, ...]
    times: int | None = None


class Live(msgspec.Struct, frozen=True):
    """Pieces of an async iterator, sent when they arrive. It is closed with the connection."""

    pieces: AsyncGenerator[bytes, None]


Step = Send | Pause | Hold | Cut | Reset | Repeat | Live


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. After the last step the body ends and the connection closes in an orderly way."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=EVENT_STREAM.copy)

    def first(self, pieces: int, *then: Step) -> Script:
        """Return the script with its first ``pieces``, followed by other steps, such as a failure.

        ``answer("one two three").first(2, Reset())`` is reset after the second piece.
        """
        kept: list[Step] = []
        for step in self.steps:
            if isinstance(step, Send):
                if not pieces:
                    break
                pieces -= 1
            kept.append(step)
        return msgspec.structs.replace(self, steps=(*kept, *then))


def event(data: str | bytes | dict[str, Any], type: str | None = None) -> bytes:
    """Return one server-sent event; a dict is sent as JSON."""
    if isinstance(data, str):
        data = data.encode()
    elif isinstance(data, dict):
        data = msgspec.json.encode(data)
    lines = [b"data: " + line for line in data.split(b"\n")]
    return b"\n".join([*([f"event: {type}".encode()] if type else []), *lines, b"", b""])


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """Return one event of Chat Completions.

    ``delta`` and ``finish_reason`` belong to choice 0; without both there is no choice. Other fields, such as
    ``usage``, are beside ``choices``.
    """
    choices = []
    if delta is not None or "finish_reason" in fields:
        choices = [{"index": 0, "delta": delta or {}, "finish_reason": fields.pop("finish_reason", None)}]
    return event({"id": "scripted", "object": "chat.completion.chunk", "choices": choices, **fields})


DONE = event("[DONE]")


def answer(
    text: str | Sequence[str],
    *,
    reasoning: str | Sequence[str] = "",
    images: Sequence[bytes] = (),
    usage: tuple[int, int] | None = None,
    finish_reason: str | None = "stop",
    done: bool = True,
    pace: float | Sequence[float] = 0.0,
    hold_after: int | None = None,
) -> Script:
    """Return the script of a complete answer: reasoning, text, images, end, usage, ``[DONE]``; one piece per delta.

    A string is split into words, a sequence has the deltas; an image is the bytes of its file. ``usage`` is (input,
    output) tokens. ``pace`` is the pause before each delta in seconds, or several that repeat. After ``hold_after``
    deltas the answer waits for a release. ``finish_reason=None`` is an answer without an end, ``done=False``
    one without ``[DONE]``.
    """
    deltas = [chunk({"reasoning_content": piece}) for piece in pieces_of(reasoning)]
    deltas += [chunk({"content": piece}) for piece in pieces_of(text)]
    deltas += [chunk({"images": [{"type": "image_url", "image_url": {"url": data_url(file)}}]}) for file in images]
    paces = [pace] if isinstance(pace, int | float) else pace
    steps: list[Step] = []
    for number, delta in enumerate(deltas):
        if number == hold_after:
            steps.append(Hold())
        if seconds := paces[number % len(paces)]:
            steps.append(Pause(seconds))
        steps.append(Send(delta))
    if hold_after is not None and hold_after >= len(deltas):
        steps.append(Hold())
    if finish_reason is not None:
        steps.append(Send(chunk(finish_reason=finish_reason)))
    if usage is not None:
        given, answered = usage
        counts = {"prompt_tokens": given, "completion_tokens": answered, "total_tokens": given + answered}
        steps.append(Send(chunk(usage=counts)))
    if done:
        steps.append(Send(DONE))
    return Script(steps=tuple(steps))


def data_url(file: bytes, media_type: str = "image/png") -> str:
    """Return a file as a ``data:`` URL."""
    return f"data:{media_type};base64,{b64encode(file).decode()}"


def refusal(status: int, body: str | bytes | dict[str, Any] = "", headers: dict[str, str] | None = None) -> Script:
    """Return the script of a refusal: an HTTP status, a body (a dict is sent as JSON), and headers."""
    if isinstance(body, dict):
        return Script(status=status, headers=JSON | (headers or {}), steps=(Send(msgspec.json.encode(body)),))
    data = body.encode() if isinstance(body, str) else body
    return Script(status=status, headers={"Content-Type": "text/plain"} | (headers or {}), steps=(Send(data),))


def replay(data: bytes | Iterable[bytes], *, cuts: int | None = None) -> Script:
    """Return a script that sends raw bytes: the given pieces, or one body cut at random with the seed ``cuts``."""
    if not isinstance(data, bytes):
        return Script(steps=tuple(Send(piece) for piece in data))
    if cuts is None:
        return Script(steps=(Send(data),))
    chance = random.Random(cuts)  # noqa: S311 - for tests that can be repeated, not for secrets
    places = sorted(chance.sample(range(1, len(data)), k=min(len(data) - 1, 1 + len(data) // 50))) if data else []
    return Script(steps=tuple(Send(data[a:b]) for a, b in zip([0, *places], [*places, len(data)], strict=True)))


def pieces_of(text: str | Sequence[str]) -> Sequence[str]:
    """Return the deltas of a text: a string is split into words."""
    return _WORDS.findall(text) if isinstance(text, str) else text
