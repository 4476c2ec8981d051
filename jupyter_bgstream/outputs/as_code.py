"""Parts of an answer that cost too much, as they go into a notebook file: as code, which no reader draws for long.

Lab's table of contents and every reader without our views parse the saved text whole, at each opening. Golden cases,
shared with ``labextension/src/ascode.ts``: ``tests/golden/costly.json``.
"""

from __future__ import annotations

import math
import re

from .inline import escaped_code
from .render_cost import ANSWER_LIMIT, BLOCK_LIMIT, cost_of, length_of

_LINES = re.compile(r"[^\n]{200}(?=[^\n])")  # backticks are looked for line by line, again and again
_LONGEST = 50_000  # characters of one block
_RUNS = re.compile(r"([`~])\1(?=\1)")
_OPENING = "```text\n"  # wherever a parser is in code already, this does not end it
_CLOSING = "\n```"
_READ_AGAIN = 20_000_000  # so many characters are read again for fences that do not end, by Lab and in one go
# Lab's table of contents has an element for each heading.
_HEADING = re.compile(r"^ {0,3}#{1,6}(?:[ \t]|$)|(?<=\n) {0,3}(?:=+|-+)[ \t]*$", re.MULTILINE)
_HEADING_UNITS = 400
_FENCE = re.compile(r"(`{3,}(?!`)|~{3,}(?!~))([^`]*)")


class Budget:
    """What the parts of one answer cost."""

    def __init__(self) -> None:
        self._spent = 0.0

    @property
    def is_spent(self) -> bool:
        """The answer cost all it may: what still comes is to be code."""
        return self._spent > ANSWER_LIMIT

    def affords(self, part: str, *, fence: bool) -> bool:
        """Whether a part is saved as it is; it counts then. ``fence``: every parser sees code."""
        ours = _is_code(part)
        code = fence or ours
        cost = cost_of(part, fence=code)
        if ours or cost <= BLOCK_LIMIT:
            self._spent += cost + (0 if code else _HEADING_UNITS * len(_HEADING.findall(part)))
        return ours or (cost <= BLOCK_LIMIT and not self.is_spent)


def as_code(part: str) -> list[str]:
    """Return a part as blocks of code; they may stand anywhere."""
    text = _RUNS.sub(r"\1\1 ", _LINES.sub("\\g<0>\n", part.rstrip("\n")))
    blocks = []
    block: list[str] = []
    length = 0
    for line in escaped_code(text).split("\n"):
        size = length_of(line)
        if length + size > _LONGEST:
            blocks.append("\n".join(block))
            block, length = [], 0
        block.append(line)
        length += size + 1
    blocks.append("\n".join(block))
    return [f"{_OPENING}{each}{_CLOSING}" for each in blocks]


def _is_code(part: str) -> bool:
    """Whether a part was written by ``as_code``, or might have been."""
    inner = part.removeprefix(_OPENING).removesuffix(_CLOSING)
    return (
        len(inner) == len(part) - len(_OPENING) - len(_CLOSING)
        and "```" not in inner
        and "~~~" not in inner
        and cost_of(part, fence=True) <= BLOCK_LIMIT
    )


def ends_are_far(markdown: str) -> bool:
    """Whether fences begin without an end so often that Lab, which looks for each of them, takes long."""
    again = after = ticks = 0  # ticks: the longest line of nothing but backticks
    tildes = math.inf  # the shortest of tildes
    for line in reversed(markdown.split("\n")):
        fence = _FENCE.fullmatch(line)
        if fence:
            mark, words = fence.groups()
            ends = len(mark) <= ticks if mark[0] == "`" else len(mark) >= tildes
            again += 0 if ends else after * (len(mark) if mark[0] == "~" else 1)
            if not words and mark[0] == "`":
                ticks = max(ticks, len(mark))
            elif not words:
                tildes = min(tildes, len(mark))
        after += length_of(line) + 1
    return again > _READ_AGAIN
