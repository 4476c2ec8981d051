"""Demo models over HTTP at any speed: a scripted provider with the texts of the bundled demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_bgstream.cli.demo import demo_config
from jupyter_bgstream.providers.bundled_plugins.demo import echo_text, mood_text, paced, pieces
from jupyter_bgstream.providers.bundled_plugins.demo_texts import QUICK, SLOW, TOUR, TOUR_REASONING
from jupyter_bgstream.testing.http_connection import Request
from jupyter_bgstream.testing.scripted_provider import Reply, ScriptedProvider
from jupyter_bgstream.testing.scripts import Script, answer


def demo(speed: float = 1.0) -> dict[str, Reply]:
    """Return the scripts of the demo's models; ``speed`` 10 is ten times as fast as for people."""
    return {
        "tour": lambda request: _spoken(request, TOUR, seconds=27 / speed, reasoning=TOUR_REASONING),
        "quick": lambda request: _spoken(request, QUICK, seconds=5 / speed),
        "slow": lambda request: _spoken(request, SLOW, seconds=60 / speed),
        "echo": lambda request: _made(request, echo_text(_contents(request)), speed),
        "mood": lambda request: _made(request, mood_text(_contents(request)), speed),
    }


def fast_demo_config(folder: Path, base_url: str) -> dict[str, Any]:
    """Return the config of ``jupyter bgstream demo`` with the models of ``serve_demo`` in place of the bundled ones."""
    config: dict[str, Any] = demo_config(folder)
    config["BgStreamApp"]["providers"] = {"demo": {"base_url": base_url, "api_key_env": None}}
    return config


@contextmanager
def serve_demo(speed: float = 1.0) -> Iterator[str]:
    """Serve the demo's models in a thread of their own while the ``with`` lasts, and give their base URL."""
    with ScriptedProvider(demo(speed)).in_thread() as provider:
        yield provider.base_url


def _spoken(request: Request, text: str, *, seconds: float, reasoning: str = "") -> Script:
    thoughts, words = pieces(reasoning), pieces(text)
    return answer(
        words,
        reasoning=thoughts,
        pace=[pause for _, pause in paced([*thoughts, *words], seconds)],
        usage=(sum(len(pieces(content)) for content in _contents(request)), len(thoughts) + len(words)),
    )


def _made(request: Request, text: str, speed: float) -> Script:
    return _spoken(request, text, seconds=0.03 * len(pieces(text)) / speed)


def _contents(request: Request) -> list[str]:
    return [str(message["content"]) for message in request.json["messages"]]
