"""What a batch would take, before anything is asked."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

import msgspec

from ...core.messages import PDF
from ..costs import usd
from ..text_table import grid

# Characters of a token, about: of Latin letters and spaces, of digits and signs, of other alphabets; Chinese, Japanese
# and Korean have tokens of a character or less. No tokenizer is at hand: each model has its own, to be downloaded.
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_ABOVE_LATIN = re.compile("[\u0250-\u2e7f\ua000-\uabff\U00010000-\U0001ffff]")
_SIGNS = re.compile(r"[0-9!-/:-@\[-`{-~]")
MESSAGE_TOKENS = 4  # that a message takes beside its words
IMAGE_TOKENS = 1000  # of a picture; PDF files and recordings count as one too, for want of better


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch would take, about. Output cannot be foretold: ``max_tokens`` is its limit, where one is set.

    >>> bg.map(["Mars"], "Why is {row} red?", model="demo/echo", params={"max_tokens": 50}, dry_run=True)
    estimate
    model        demo/echo
    rows to ask  1
    tokens in    ≈ ...
    cost in      not known
    tokens out   at most 50
    cost out     not known
    """

    model: str  # provider/name
    rows: int
    answered: int  # of them: these are not asked again
    input_tokens: int  # of the rows that would be asked
    input_usd: float | None  # by list prices; None: not known
    output_tokens: int | None = None  # at most; None: no limit is set
    output_usd: float | None = None

    @property
    def usd(self) -> float | None:
        """At most so much, in USD; None where that is not known."""
        return None if self.input_usd is None or self.output_usd is None else self.input_usd + self.output_usd

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        asked = self.rows - self.answered
        rows = [
            ("model", self.model),
            (
                "rows to ask",
                f"{asked:,}" + (f" of {self.rows:,}, {self.answered:,} are answered" if self.answered else ""),
            ),
            ("tokens in", f"≈ {self.input_tokens:,}"),
            ("cost in", _price(self.input_usd)),
            ("tokens out", "not limited" if self.output_tokens is None else f"at most {self.output_tokens:,}"),
            (
                "cost out",
                "not known: set max_tokens in params for a limit"
                if self.output_tokens is None
                else _price(self.output_usd, "at most "),
            ),
        ]
        return grid(("estimate", ""), rows, numbers=9)

    def __repr__(self) -> str:
        return self.bundle()["text/plain"]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.bundle()


def tokens_of(requests: Iterable[dict[str, Any]]) -> int:
    """Return about how many tokens requests have."""
    tokens = 0.0
    for request in requests:
        messages = request.get("messages") or [{"content": request["prompt"]}]
        for message in messages:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            tokens += MESSAGE_TOKENS + sum(
                IMAGE_TOKENS if (text := _text_of(part)) is None else tokens_in(text) for part in parts
            )
    return round(tokens)


def _text_of(part: dict[str, Any]) -> str | None:
    if part.get("type") == "file" and part.get("media_type") != PDF:
        return b64decode(part["data"]).decode(errors="replace")
    return part["text"] if part.get("type") == "text" else None


def tokens_in(text: str) -> float:
    """Return about how many tokens a text has."""
    if text.isascii():
        wide = other = 0
    else:
        wide, other = len(_WIDE.findall(text)), len(_ABOVE_LATIN.findall(text))
    signs = len(_SIGNS.findall(text))
    return wide * 0.9 + other / 2.2 + signs / 2 + (len(text) - wide - other - signs) / 4.3


def _price(amount: float | None, before: str = "") -> str:
    return "not known" if amount is None else f"{before}{usd(amount, estimated=True)}"
