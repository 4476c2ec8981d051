"""The demo model: a scripted provider with something to say, at a pace to watch. No key, no network."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager

from .connection import Request
from .demo_texts import ECHO, QUICK, SLOW, TOUR, TOUR_REASONING
from .scripted import Reply, ScriptedProvider
from .scripts import Script, answer

_PIECE = re.compile(r"\S{1,6}\s*|\s+")  # about the size of a token
_RHYTHM = (1.0, 1.4, 0.7, 1.6, 0.8, 1.1, 0.6, 1.3)  # no voice is a metronome


def demo(speed: float = 1.0) -> dict[str, Reply]:
    """Return the scripts of the demo's models; ``speed`` 10 is ten times as fast as for people."""
    return {
        "tour": lambda request: _spoken(request, TOUR, seconds=27 / speed, reasoning=TOUR_REASONING),
        "quick": lambda request: _spoken(request, QUICK, seconds=5 / speed),
        "slow": lambda request: _spoken(request, SLOW, seconds=60 / speed),
        "echo": lambda request: _echo(request, speed),
    }


@contextmanager
def serve_demo(speed: float = 1.0) -> Iterator[str]:
    """Serve the demo's models in a thread of their own while the ``with`` lasts, and give their base URL."""
    with ScriptedProvider(demo(speed)).in_thread() as provider:
        yield provider.base_url


def _spoken(request: Request, text: str, *, seconds: float, reasoning: str = "") -> Script:
    thoughts, words = _PIECE.findall(reasoning), _PIECE.findall(text)
    stresses = list(itertools.islice(itertools.cycle(_RHYTHM), len(thoughts) + len(words)))
    beat = seconds / sum(stresses)
    return answer(
        words,
        reasoning=thoughts,
        pace=[beat * stress for stress in stresses],
        usage=(sum(len(_PIECE.findall(content)) for content in _contents(request)), len(stresses)),
    )


def _echo(request: Request, speed: float) -> Script:
    *before, last = _contents(request)
    history = "1 message of history" if len(before) == 1 else f"{len(before)} messages of history"
    said = "\n".join(f"> {line}" for line in last.splitlines())
    text = ECHO.format(history=history, said=said)
    return _spoken(request, text, seconds=0.03 * len(_PIECE.findall(text)) / speed)


def _contents(request: Request) -> list[str]:
    return [str(message["content"]) for message in request.json["messages"]]
