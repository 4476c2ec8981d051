"""Code in Markdown that a text leaves open."""

from __future__ import annotations

import re

_OPENING = re.compile(r"( {0,3})(?:(`{3,})[^`]*$|(~{3,}))")


class Fence:
    """Follows the lines of a text and knows the block of code that is open, if any."""

    def __init__(self) -> None:
        self._indent = self._marks = ""

    def follow(self, line: str) -> None:
        """Take the next line, without its end."""
        if not self._marks:
            opening = _OPENING.match(line)
            self._indent, self._marks = (opening[1], opening[2] or opening[3]) if opening else ("", "")
        elif line.strip(" \t\r").startswith(self._marks) and not line.strip(f" \t\r{self._marks[0]}"):
            self._marks = ""

    @property
    def closing(self) -> str:
        """The line that closes the code; "" if none is open."""
        return self._marks and self._indent + self._marks


def closing(text: str) -> str:
    """Return what closes the code that a text ends in, so that what comes below it is none."""
    fence = Fence()
    for line in text.split("\n"):
        fence.follow(line)
    return fence.closing and f"{'' if text.endswith(chr(10)) else chr(10)}{fence.closing}"
