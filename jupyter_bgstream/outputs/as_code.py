"""Write parts of an answer that cost too much to draw as code, which every reader draws fast.

Lab's table of contents, and readers without the extension, parse the whole saved text each time they open it. Golden
cases, shared with ``labextension/src/outputs/asCode.ts``: ``tests/golden/costly.json``.
"""

import math
import re

from .escape_inline import escaped_code
from .render_cost import ANSWER_LIMIT, BLOCK_LIMIT, cost_of, length_of

_LINES = re.compile(r"[^\n]{200}(?=[^\n])")  # parsers search each line for backticks repeatedly
_LONGEST = 50_000  # characters of one block
_RUNS = re.compile(r"([`~])\1(?=\1)")
_OPENING = "```text\n"  # if a parser is in code already, this does not end the code
_CLOSING = "\n```"
_READ_AGAIN = 20_000_000  # characters that Lab may read again, without a pause, for fences that do not end
# Lab's table of contents has an element for each heading.
_HEADING = re.compile(r"^ {0,3}#{1,6}(?:[ \t]|$)|(?<=\n) {0,3}(?:=+|-+)[ \t]*$", re.MULTILINE)
_HEADING_UNITS = 400
_FENCE = re.compile(r"(`{3,}(?!`)|~{3,}(?!~))([^`]*)")


class Budget:
    """Cost of the parts of one answer."""

    def __init__(self) -> None:
        self._spent = 0.0

    @property
    def is_spent(self) -> bool:
        """True if the limit of the answer is reached, so that the rest must be code."""
        return self._spent > ANSWER_LIMIT

    def affords(self, part: str, *, fence: bool) -> bool:
        """Return True, and count the cost, if a part can be saved as it is; ``fence``: every parser sees code."""
        ours = _is_code(part)
        code = fence or ours
        cost = cost_of(part, fence=code)
        if ours or cost <= BLOCK_LIMIT:
            self._spent += cost + (0 if code else _HEADING_UNITS * len(_HEADING.findall(part)))
        return ours or (cost <= BLOCK_LIMIT and not self.is_spent)


def as_code(part: str) -> list[str]:
    """Return a part as blocks of code, which are valid at any position."""
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
    """Return True if a part has the form that ``as_code`` writes."""
    inner = part.removeprefix(_OPENING).removesuffix(_CLOSING)
    return (
        len(inner) == len(part) - len(_OPENING) - len(_CLOSING)
        and "```" not in inner
        and "~~~" not in inner
        and cost_of(part, fence=True) <= BLOCK_LIMIT
    )


def ends_are_far(markdown: str) -> bool:
    """Return True if so many fences have no end that Lab's search for their ends takes too long."""
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
