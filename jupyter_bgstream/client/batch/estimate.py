"""Estimate the tokens and the cost of a batch before it is sent."""

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

import msgspec

from ...core.messages import PDF
from ..costs import usd
from ..text_table import Table, grid

# Approximate characters per token differ for Latin letters and spaces, for digits and signs, and for other alphabets;
# Chinese, Japanese and Korean have about one token per character. Exact counts would need the tokenizer of each model.
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_ABOVE_LATIN = re.compile("[\u0250-\u2e7f\ua000-\uabff\U00010000-\U0001ffff]")
_SIGNS = re.compile(r"[0-9!-/:-@\[-`{-~]")
MESSAGE_TOKENS = 4  # of a message beside its text
IMAGE_TOKENS = 1000  # of an image; also used for PDF and audio files


class Estimate(Table, msgspec.Struct, frozen=True, kw_only=True):
    """Estimated tokens and cost of a batch; the output is only limited by ``max_tokens``, if that is set.

    >>> bg.map(["Mars"], "Why is {row} red?", model="demo/echo", params={"max_tokens": 50}, dry_run=True)
    estimate
    model        demo/echo
    rows to send 1
    tokens in    ≈ ...
    cost in      unknown
    tokens out   at most 50
    cost out     unknown
    """

    model: str  # provider/name
    rows: int
    answered: int  # of these rows: they are not sent again
    input_tokens: int  # of the rows that would be sent
    input_usd: float | None  # by list prices; None: unknown
    output_tokens: int | None = None  # at most; None: not limited
    output_usd: float | None = None

    @property
    def usd(self) -> float | None:
        """Maximum cost in USD; None if it is unknown."""
        return None if self.input_usd is None or self.output_usd is None else self.input_usd + self.output_usd

    def bundle(self) -> dict[str, str]:
        """Return the display bundle."""
        unanswered = self.rows - self.answered
        rows = [
            ("model", self.model),
            (
                "rows to send",
                f"{unanswered:,}" + (f" of {self.rows:,}, {self.answered:,} are answered" if self.answered else ""),
            ),
            ("tokens in", f"≈ {self.input_tokens:,}"),
            ("cost in", _price(self.input_usd)),
            ("tokens out", "not limited" if self.output_tokens is None else f"at most {self.output_tokens:,}"),
            (
                "cost out",
                "unknown: set max_tokens in params"
                if self.output_tokens is None
                else _price(self.output_usd, "at most "),
            ),
        ]
        return grid(("estimate", ""), rows)


def tokens_of(requests: Iterable[dict[str, Any]]) -> int:
    """Return the approximate number of tokens of requests."""
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
    """Return the approximate number of tokens of a text."""
    if text.isascii():
        wide = other = 0
    else:
        wide, other = len(_WIDE.findall(text)), len(_ABOVE_LATIN.findall(text))
    signs = len(_SIGNS.findall(text))
    return wide * 0.9 + other / 2.2 + signs / 2 + (len(text) - wide - other - signs) / 4.3


def _price(amount: float | None, before: str = "") -> str:
    return "unknown" if amount is None else f"{before}{usd(amount, estimated=True)}"
