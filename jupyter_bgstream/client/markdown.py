"""Markdown as it goes into a notebook file: raw HTML outside code is escaped, since nbconvert keeps it raw.

Parsers differ in where code ends, so code is left alone only where every reading of the text agrees that it is code.
Elsewhere ``<`` is escaped: at worst ``&lt;`` is seen in a code block of the saved file. Golden cases, shared with
``labextension/src/escape.ts``: ``tests/golden/escape.json``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_FENCE = re.compile(r"( *)(`{3,}|~{3,})[^`|\r\n]*")
_PERHAPS_FENCE = re.compile(r"[\s>*+.)0-9-]*(?:```|~~~)")
_CLOSING = re.compile(r"(?:`+|~+) *")
_TAG = re.compile(r"(?<!\\)(\\*)<(?=[a-z/!?])(?!https?://[^\s<>`]*>)", re.IGNORECASE)
_BACKTICKS = re.compile(r"`+")
_MATHS = re.compile(r"\$|\\[(\[]|\\begin")  # some parsers begin maths here, and then see no code in it
_DEFINITION = re.compile(r" {0,3}\[[^\]]+\]:")  # may take a fence that follows for its own text

Spans = list[tuple[int, int]]


def escape_html(markdown: str) -> str:
    """Escape raw HTML outside code."""
    lines: list[str] = _LINE.findall(markdown)
    out: list[str] = []
    paragraph: list[str] = []
    maths_open = False  # perhaps never closed, and then code is part of it
    at = 0
    while at < len(lines):
        line, end = lines[at], at + 1
        blank = not line.strip(" \t\r\n")
        fence = not blank and _PERHAPS_FENCE.match(line)
        if not blank and not fence:
            paragraph.append(line)
            at = end
            continue
        out += map(_without_tags, paragraph) if maths_open else _escaped(paragraph)
        maths_open = maths_open or _maths_may_stay_open(paragraph)
        if fence:
            doubtful = maths_open or any(map(_DEFINITION.match, paragraph))
            end = 0 if doubtful else _fence_end(lines, at, after_text=bool(paragraph))
            if not end:
                out += map(_without_tags, lines[at:])
                return "".join(out)
        out += lines[at:end]
        paragraph = []
        at = end
    out += map(_without_tags, paragraph) if maths_open else _escaped(paragraph)
    return "".join(out)


def _fence_end(lines: Sequence[str], at: int, *, after_text: bool) -> int:
    """Return the line after a fenced block, or 0 where another parser may see another end, or no fence."""
    opening = _FENCE.fullmatch(lines[at].rstrip("\r\n"))
    if opening is None:
        return 0
    indent, fence = len(opening[1]), opening[2]
    if indent > 3 and after_text:
        return 0  # perhaps text that goes on
    for number in range(at + 1, len(lines)):
        bare = lines[number].rstrip("\r\n")
        text = bare.lstrip(" \t")
        before = bare[: len(bare) - len(text)]
        if text.startswith(fence):
            return number + 1 if before == " " * indent and _CLOSING.fullmatch(text) else 0
        if text and len(before) < indent:
            return 0  # its list may have ended, and the fence with it
    return 0 if indent else len(lines)


def _escaped(lines: Sequence[str]) -> list[str]:
    # If every line's backticks pair within the line, then so they do however the lines form blocks.
    spans = [_code_spans(line) for line in lines]
    if any(found is None or _swallows(line, found) for line, found in zip(lines, spans, strict=True)):
        return [_without_tags(line) for line in lines]
    return [_escaped_around(line, found or []) for line, found in zip(lines, spans, strict=True)]


def _swallows(line: str, spans: Spans) -> bool:
    return bool(_MATHS.search("".join(_outside(line, spans))) or _address_before_backtick(line))


def _address_before_backtick(line: str) -> bool:
    # An address may go on over the backtick.
    pieces = (piece for word in line.split() for piece in word.split("`")[:-1])
    return any("](" in piece or "://" in piece for piece in pieces)


def _escaped_around(line: str, spans: Spans) -> str:
    text = [_without_tags(piece) for piece in _outside(line, spans)]
    code = [line[start:end] for start, end in spans]
    return "".join(piece for pair in zip(text, [*code, ""], strict=True) for piece in pair)


def _outside(line: str, spans: Spans) -> list[str]:
    """Return what is before, between and after the code of a line."""
    starts = [0, *(end for _, end in spans)]
    ends = [*(start for start, _ in spans), len(line)]
    return [line[start:end] for start, end in zip(starts, ends, strict=True)]


def _code_spans(line: str) -> Spans | None:
    """Return where code begins and ends in a line; None if that depends on other lines, or on a table's cells."""
    if "\\`" in line:
        return None
    spans: Spans = []
    runs = _BACKTICKS.finditer(line)
    for opening in runs:
        closing = next((run for run in runs if run[0] == opening[0]), None)
        if closing is None or "|" in line[opening.start() : closing.end()]:
            return None
        spans.append((opening.start(), closing.end()))
    return spans


def _maths_may_stay_open(lines: Sequence[str]) -> bool:
    text = "".join(lines)
    pairs = (("\\(", "\\)"), ("\\[", "\\]"), ("\\begin", "\\end"))
    return bool(text.count("$$") % 2) or any(text.count(begin) != text.count(end) for begin, end in pairs)


def _without_tags(text: str) -> str:
    # A backslash would escape the `&`; `\\<` and `&lt;` look the same.
    return _TAG.sub(lambda match: f"{match[1][len(match[1]) % 2 :]}&lt;", text)
