"""Markdown that is safe in a notebook file: nbconvert keeps raw HTML as it is.

Parsers differ in where code ends, so code is left alone only where every reading of the text agrees that it is code.
Elsewhere ``<`` is escaped: at worst ``&lt;`` is seen in a code block of the saved file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_FENCE = re.compile(r"( *)(`{3,}|~{3,})([^`\r\n]*)[\r\n]*")
_DOUBTFUL_FENCE = re.compile(r"[\s>*+.)\d-]*(?:```|~~~)")
_TAG = re.compile(r"(\\*)<(?=[A-Za-z/!?])(?!https?://[^\s<>`]*>)")
_BACKTICKS = re.compile(r"`+")


def escape_html(text: str) -> str:
    """Escape raw HTML outside code."""
    lines: list[str] = _LINE.findall(text)
    return "".join(_escaped(lines))


def _escaped(lines: list[str]) -> Iterator[str]:
    paragraph: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if not line.strip(" \t\r\n"):
            yield from _paragraph(paragraph)
            paragraph = []
            yield line
        elif _DOUBTFUL_FENCE.match(line):
            end = _fence_end(lines, at, after_text=bool(paragraph))
            yield from _paragraph(paragraph)
            paragraph = []
            if not end:
                yield from map(_without_tags, lines[at:])
                return
            yield from lines[at:end]
        else:
            paragraph.append(line)
        at = end
    yield from _paragraph(paragraph)


def _fence_end(lines: list[str], at: int, *, after_text: bool) -> int:
    """Return the line after a fenced block, or 0 where another parser may see another end, or no fence."""
    opening = _FENCE.fullmatch(lines[at])
    if opening is None:
        return 0
    indent, fence = len(opening[1]), opening[2]
    if indent > 3 and after_text:
        return 0  # perhaps text that goes on
    for number, line in enumerate(lines[at + 1 :], at + 1):
        bare = line.rstrip("\r\n")
        stripped = bare.lstrip(" \t")
        depth = len(bare) - len(stripped)
        if stripped.startswith(fence):
            clean = depth == indent and not stripped.rstrip(" ").strip(fence[0]) and "\t" not in bare[:depth]
            return number + 1 if clean else 0
        if stripped and depth < indent:
            return 0  # its list may have ended, and the fence with it
    return 0 if indent else len(lines)


def _paragraph(lines: list[str]) -> Iterator[str]:
    # If every line's backticks pair within the line, then so they do however the lines form blocks.
    spans = [_code_spans(line) for line in lines]
    certain = None not in spans
    for line, found in zip(lines, spans, strict=True):
        at = 0
        for start, end in found if certain and found else ():
            yield _without_tags(line[at:start])
            yield line[start:end]
            at = end
        yield _without_tags(line[at:])


def _code_spans(line: str) -> list[tuple[int, int]] | None:
    """Return where code begins and ends in a line, or None if that depends on other lines."""
    if "\\`" in line:
        return None
    runs = list(_BACKTICKS.finditer(line))
    spans: list[tuple[int, int]] = []
    while runs:
        opening = runs.pop(0)
        while runs and len(runs[0][0]) != len(opening[0]):
            runs.pop(0)
        if not runs:
            return None
        spans.append((opening.start(), runs.pop(0).end()))
    return spans


def _without_tags(text: str) -> str:
    return _TAG.sub(lambda match: match[0] if len(match[1]) % 2 else f"{match[1]}&lt;", text)
