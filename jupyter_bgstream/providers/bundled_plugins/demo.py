"""The demo model: scripted texts at a readable pace, without a key or a network."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ...plugin import ProviderError, Reasoning, Usage
from .demo_texts import BAD, ECHO, GOOD, NO_MOOD, QUICK, SLOW, TOUR, TOUR_REASONING

_OTHER_PARTS = {"image_url": "[an image]", "file": "[a PDF file]", "input_audio": "[audio]"}
_PIECE = re.compile(r"\S{1,6}\s*|\s+")  # about the size of a token
_RHYTHM = (1.0, 1.4, 0.7, 1.6, 0.8, 1.1, 0.6, 1.3)  # relative pauses, since a model's pace is not constant

_TEXTS = {"tour": (TOUR, 27.0), "quick": (QUICK, 5.0), "slow": (SLOW, 60.0)}  # text, seconds
MODELS = (*_TEXTS, "echo", "mood")


async def demo(
    messages: list[dict[str, Any]], model: str, params: dict[str, Any]
) -> AsyncIterator[str | Reasoning | Usage]:
    """Yield one of the texts; ``params`` may hold ``speed``: 10 is ten times as fast as the readable pace."""
    if model not in MODELS:
        raise ProviderError(
            f"demo does not have the model {model!r}; it has {', '.join(MODELS)}.", code="model_not_found"
        )
    speed = params.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not speed > 0:
        raise ProviderError(f"params: speed must be a number above 0, not {speed!r:.80}.", code="bad_request")
    contents = [_content(message) for message in messages]
    text, seconds = _TEXTS[model] if model in _TEXTS else _computed(model, contents)
    thoughts = pieces(TOUR_REASONING) if model == "tour" else []
    words = pieces(text)
    for number, (piece, pause) in enumerate(paced([*thoughts, *words], seconds / speed)):
        await asyncio.sleep(pause)
        yield Reasoning(piece) if number < len(thoughts) else piece
    yield Usage(input_tokens=sum(len(pieces(each)) for each in contents), output_tokens=len(thoughts) + len(words))


demo.models = MODELS  # type: ignore[attr-defined]  # read by the loader


def pieces(text: str) -> list[str]:
    """Split a text into pieces of about the size of a token."""
    return _PIECE.findall(text)


def paced(pieces: list[str], seconds: float) -> Iterator[tuple[str, float]]:
    """Return pieces with the seconds before each, which sum up to ``seconds``."""
    stresses = list(itertools.islice(itertools.cycle(_RHYTHM), len(pieces)))
    beat = seconds / sum(stresses) if stresses else 0.0
    return zip(pieces, (beat * stress for stress in stresses), strict=True)


def echo_text(contents: list[str]) -> str:
    """Return the answer of the model echo to a conversation."""
    *before, last = contents
    history = "1 message of history" if len(before) == 1 else f"{len(before)} messages of history"
    return ECHO.format(history=history, message="\n".join(f"> {line}" for line in last.splitlines()))


def mood_text(contents: list[str]) -> str:
    """Return the answer of the model mood to a text, by counting words: JSON, or that there is no mood."""
    terms = re.findall(r"[a-z]+", contents[-1].lower())
    good, bad = [term for term in terms if term in GOOD], [term for term in terms if term in BAD]
    if not good and not bad:
        return NO_MOOD
    mood = "mixed" if good and bad else "good" if good else "bad"
    return json.dumps({"mood": mood, "because": ", ".join([*good, *bad])})


def _computed(model: str, contents: list[str]) -> tuple[str, float]:
    text = echo_text(contents) if model == "echo" else mood_text(contents)
    return text, 0.03 * len(pieces(text))


def _content(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] if part["type"] == "text" else _OTHER_PARTS[part["type"]] for part in content)
