"""Positions of values in a JSON text, so that a value can be replaced and all other bytes stay."""

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple

_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


class Span(NamedTuple):
    """Position of a value in a text."""

    start: int
    end: int


def members(text: str, start: int) -> dict[str, Span]:
    """Return the values of the object at a position of valid JSON; empty if it is not an object."""
    found: dict[str, Span] = {}
    at = _after_blank(text, start)
    if not text.startswith("{", at):
        return found
    at = _after_blank(text, at + 1)
    while text[at] != "}":
        name, at = scanstring(text, at + 1)
        found[name] = span = _value(text, _after_blank(text, at) + 1)
        at = _next(text, span.end)
    return found


def items(text: str, start: int) -> list[Span]:
    """Return the values of the list at a position of valid JSON; empty if it is not a list."""
    found: list[Span] = []
    at = _after_blank(text, start)
    if not text.startswith("[", at):
        return found
    at = _after_blank(text, at + 1)
    while text[at] != "]":
        found.append(span := _value(text, at))
        at = _next(text, span.end)
    return found


def _value(text: str, at: int) -> Span:
    start = _after_blank(text, at)
    return Span(start, _decoder.raw_decode(text, start)[1])


def _next(text: str, at: int) -> int:
    at = _after_blank(text, at)
    return _after_blank(text, at + 1) if text[at] == "," else at


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()
