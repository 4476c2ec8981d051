"""Hostile words for each place beside the text of an answer: very many of them, or one that is very long."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from jupyter_bgstream.client.magics.show import details
from jupyter_bgstream.core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from jupyter_bgstream.core.schemas.jobs import JobDetail

LONG = 1_000_000  # characters

# One text of a length. Each is slow in another way: nowhere to break, everywhere to break, marks that are piled up,
# a font for each letter, directions in each other, and nothing but special characters of Markdown.
SHAPES: dict[str, Callable[[int], str]] = {
    "letters": lambda size: "x" * size,
    "words": lambda size: "a " * (size // 2),
    "lines": lambda size: "a\n" * (size // 2),
    "marks": lambda size: ("Z" + "\u0300\u0316" * 20) * (size // 41),
    "scripts": lambda size: "a\u05d0\u0e01\u5b57\u0915\u0627\U0001f469\u200d\U0001f467" * (size // 10),
    "turns": lambda size: "\u202ea\u2066b " * (size // 5),
    "markup": lambda size: "*_`[<&\\$" * (size // 8),
}
HARMLESS = "Some harmless words of a sentence."

Event = dict[str, Any]
Saved = dict[str, Any]  # an output's data by MIME type


def log(*events: Event, end: Event | None = None) -> list[list[Event]]:
    """Return the whole log of a job that says this, as frames of the live socket have it."""
    at = {"at": 1_700_000_000.0}
    first = [{"type": "queued", **at}, {"type": "attempt", **at, "reason": "first"}]
    last = end or {"type": "completed", **at, "finish_reason": "stop"}
    frames: list[list[Event]] = [[]]
    attempt = size = 0
    for seq, event in enumerate([*first, *events, last], 1):
        attempt += event["type"] == "attempt"
        numbered = {"seq": seq, "attempt": attempt, **event}
        length = len(json.dumps(numbered))
        if size + length > 256_000 and frames[-1]:
            frames.append([])
            size = 0
        frames[-1].append(numbered)
        size += length
    return frames


def failed(message: str, code: str = "provider_error") -> Event:
    return {"type": "failed", "at": 1_700_000_001.0, "code": code, "message": message}


def sources(pages: Sequence[tuple[str, str]]) -> list[Event]:
    return [{"type": "source", "url": url, "title": title} for url, title in pages]


def calls(asked: Sequence[tuple[str, str]]) -> list[Event]:
    return [
        {"type": "tool_call", "id": f"c{number}", "name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate(asked)
    ]


def delta(text: str, channel: str = "text") -> Event:
    return {"type": "delta", "channel": channel, "text": text}


def attempts(count: int, reasoning: str) -> list[Event]:
    again = {"type": "attempt", "at": 1_700_000_000.0, "reason": "retry"}
    return [event for _ in range(count) for event in (delta(reasoning, "reasoning"), delta("a"), again)]


Make = Callable[[Callable[[int], str]], list[list[Event]]]

# What a job's log may hold; each is given a maker of words.
LOGS: dict[str, Make] = {
    "an error": lambda words: log(end=failed(words(LONG))),
    "the code of an error": lambda words: log(end=failed("It failed.", words(LONG))),
    "why it waits": lambda words: log(
        end={"type": "waiting", "at": 1.0, "until": 9e9, "code": "rate_limited", "message": words(LONG)}
    ),
    "a finish reason": lambda words: log(
        delta("a"), end={"type": "completed", "at": 1_700_000_001.0, "finish_reason": words(LONG)}
    ),
    "titles of sources": lambda words: log(*sources([(f"https://a.b/{n}", words(LONG // 10)) for n in range(10)])),
    "addresses of sources": lambda words: log(*sources([(f"https://a.b/{words(LONG // 10)}", "") for _ in range(10)])),
    "names of tools": lambda words: log(*calls([(words(LONG // 10), "{}") for _ in range(10)])),
    "arguments of a tool": lambda words: log(*calls([("a", words(LONG))])),
    "reasoning": lambda words: log(delta(words(LONG), "reasoning"), delta("a")),
    "reasoning of earlier attempts": lambda words: log(*attempts(5, words(LONG // 5)), delta("a")),
}


def batch(words: Callable[[int], str]) -> Saved:
    """Return a batch as a notebook file may have it."""
    counts = {"completed": 1, "failed": 0, "cancelled": 0, "interrupted": 0}
    paused = {"code": words(LONG), "message": words(LONG), "at": 1.0}
    saved = {"id": "costly-batch", "status": "running", "title": words(LONG), "total": 2, "counts": counts}
    return {BATCH_MIME: saved | {"paused": paused}, "text/plain": "a"}


def side_by_side(words: Callable[[int], str]) -> Saved:
    """Return jobs side by side as a notebook file may have them."""
    keys = [{"id": f"costly-{n}", "cursor": "-1", "status": "failed", "model": words(LONG // 20)} for n in range(20)]
    return {JOBS_MIME: {"jobs": keys}, "text/markdown": "a", "text/plain": "a"}


def shown(words: Callable[[int], str]) -> Saved:
    """Return what ``%bg show`` displays of a job that was asked this."""
    message = {"role": "user", "content": words(LONG)}
    form = {"id": "costly-shown", "status": "failed", "model": f"demo/{words(200)}", "title": words(200)}
    form |= {"error": {"code": "provider_error", "message": words(2000)}, "messages": [message, message]}
    return details(msgspec.convert({"cursor": "", "created_at": 1.0, **form}, JobDetail), 1.0)


# What an output in a notebook file may hold.
SAVED: dict[str, Callable[[Callable[[int], str]], Saved]] = {
    "a batch": batch,
    "jobs side by side": side_by_side,
    "what %bg show displays": shown,
    "no job of ours": lambda words: {BUNDLE_MIME: {"id": "no id"}, "text/plain": words(LONG)},
}

# The same in great number.
MANY: dict[str, list[list[Event]]] = {
    "sources": log(*sources([(f"https://a.b/{n}", f"Page {n}") for n in range(10_000)])),
    "sources with long titles": log(*sources([(f"https://a.b/{n}", SHAPES["scripts"](500)) for n in range(1000)])),
    "tool calls": log(*calls([(f"tool_{n}", '{"a": [1, 2]}') for n in range(5_000)])),
    "JSON of a tool": log(*calls([("a", "[" + "{}," * 30_000 + "1]"), ("b", "[" * 40_000 + "]" * 40_000)])),
    "attempts": log(*attempts(300, "I think."), delta("a")),
}
