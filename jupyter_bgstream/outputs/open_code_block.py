"""Open blocks of code at the end of Markdown."""

import re

_OPENING = re.compile(r"( {0,3})(?:(`{3,})[^`]*$|(~{3,}))")


class Fence:
    """Tracks the open block of code through the lines of a text."""

    def __init__(self) -> None:
        self._indent = self._marks = ""

    def follow(self, line: str) -> None:
        """Process the next line, without its line end."""
        if not self._marks:
            opening = _OPENING.match(line)
            self._indent, self._marks = (opening[1], opening[2] or opening[3]) if opening else ("", "")
        elif line.strip(" \t\r").startswith(self._marks) and not line.strip(f" \t\r{self._marks[0]}"):
            self._marks = ""

    @property
    def closing(self) -> str:
        """Line that closes the open block; "" if no block is open."""
        return self._marks and self._indent + self._marks


def closing(text: str) -> str:
    """Return the text that closes an open block of code, so that the text below it is not code."""
    fence = Fence()
    for line in text.split("\n"):
        fence.follow(line)
    return fence.closing and f"{'' if text.endswith(chr(10)) else chr(10)}{fence.closing}"
