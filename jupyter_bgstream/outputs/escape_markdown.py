"""Escape Markdown for a notebook file: for every reader, nothing runs or loads, and links lead to the web only.

Many parsers read the text of a notebook. Some keep raw HTML (nbconvert's does), and they differ in what is code. A
fenced block stays unchanged only if every parser sees code there: nothing before it is open, and it ends as it began.
Everything else is escaped so that every reading is harmless (``escape_inline.py``). Golden cases, shared with
``labextension/src/outputs/escapeMarkdown.ts``: ``tests/golden/escape.json``.
"""

import re
from typing import NamedTuple

from .as_code import Budget, as_code, ends_are_far
from .escape_inline import MARKERS, escaped_code, escaped_text, risky

_ENDS = re.compile(r"\r\n?")
_ODD = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")  # some parsers end a line here
_FENCE = re.compile(r"( *)(`{3,}(?!`)|~{3,}(?!~))([^`]*)")
_CLOSING = re.compile(r"(?:`{3,}|~{3,}) *")
_PERHAPS_FENCE = re.compile(rf"{MARKERS}(`{{3,}}|~{{3,}})")
_ITEM = re.compile(r" *(?:[-*+]|[0-9]{1,9}[.)]) {1,4}(?=[^ ])")
_DEFINITION = re.compile(r"^ {0,3}:[ \t]", re.MULTILINE)
_NOT_INFO = re.compile(r"[^A-Za-z0-9_+#.:/ ,=()'-]")
_IN_ATTRIBUTES = str.maketrans("\"'&$\\", "\u201d\u2019\uff06\uff04\uff3c")  # Lab inserts these words unescaped
_DRAWN = re.compile(r" *mermaid", re.IGNORECASE)
_MATHS = re.compile(r"\$\$|\\\\\[|\\begin\{([^{}\n]*)\}|\\begin")
_MATHS_IN_LAB = re.compile(r"\$|\\begin|\\\\[(\[]")  # also in code; ends at a blank line
_BRACKETS = re.compile(r"(?<!\\)\\([()\[\]])")  # after one backslash; two are a line break in maths
_ODD_DOLLARS = re.compile(r"\\\$|\${3}")
_INTERRUPTS = re.compile(r"^[ \t]*(?:[#>*+|=~`:-]|[0-9]{1,9}[.)]|_{3})", re.MULTILINE)


class _Block(NamedTuple):
    end: int  # number of the line after the block
    lines: list[str]
    apart: bool = False  # needs a blank line before it
    ends: bool = False  # needs a blank line after it


def escape_html(markdown: str) -> str:
    """Return Markdown without active markup outside certain code, and without parts that take long to draw."""
    text = _ODD.sub(" ", _ENDS.sub("\n", markdown)).replace("\x00", "\ufffd")
    written = _Writer(text.split("\n")).write()
    return "\n\n".join(as_code(text)) if ends_are_far(written) else written


class _Writer:
    """Writes an answer part by part: paragraphs, and blocks that may be code."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self._out: list[str] = []
        self._items = _Items()
        self._budget = Budget()
        self._certain = True  # nothing is open that could include the following text

    def write(self) -> str:
        """Return the escaped text."""
        after_text = False
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if _PERHAPS_FENCE.match(line):
                self._fence(after_text=after_text)
            elif line.strip(" \t"):
                self._paragraph()
            else:
                self._out.append(line)
                self._at += 1
            after_text = _is_text(line)
        return "\n".join(self._out)

    def _paragraph(self) -> None:
        start = self._at
        while self._at < len(self._lines) and _is_text(self._lines[self._at]):
            self._items.follow(self._lines[self._at])
            self._at += 1
        written = escaped_text("\n".join(self._lines[start : self._at]))
        if self._budget.affords(written, fence=False):
            self._certain = self._certain and _maths_is_closed(written)
            self._out.append(written)
        else:
            self._as_code(start)

    def _fence(self, *, after_text: bool) -> None:
        start = self._at
        before = self._out[-1] if after_text else ""
        code = _fenced(self._lines, start, self._items, before) if self._certain else None
        block = code or _doubtful(self._lines, start)
        self._at = block.end
        at_margin = code is not None and not block.lines[0].startswith(" ")
        if self._budget.affords("\n".join(block.lines), fence=at_margin):
            self._certain = code is not None
            self._out += [""] * block.apart + block.lines + [""] * block.ends
            return
        # Syntax highlighting costs most.
        plain = [_FENCE.sub(r"\1\2text \3", block.lines[0], count=1), *block.lines[1:]]
        if at_margin and self._budget.affords("\n".join(plain), fence=True):
            self._out += [""] * block.apart + plain + [""] * block.ends
        else:
            self._as_code(start, fence=at_margin)

    def _as_code(self, start: int, *, fence: bool = False) -> None:
        """Write these lines as code, and also the rest of the answer if its budget is spent."""
        if self._budget.is_spent:
            self._at = len(self._lines)
        inside = fence and not self._budget.is_spent
        end = self._at - (inside and _CLOSING.fullmatch(self._lines[self._at - 1]) is not None)
        blocks = as_code("\n".join(self._lines[start + inside : end]))
        for block in blocks:
            self._budget.affords(block, fence=True)
        # Without a blank line some parsers include it in the text before it.
        apart = start > 0 and self._lines[start - 1].strip(" \t")
        self._out.append(("\n" if apart else "") + "\n\n".join(blocks))
        if _MATHS_IN_LAB.search(self._out[-1]) and _is_there(self._lines, self._at):
            self._out.append("")
        self._items = _Items()


def _is_text(line: str) -> bool:
    return line.strip(" \t") != "" and not _PERHAPS_FENCE.match(line)


class _Items:
    """Open list items, with the column where the text of each begins."""

    def __init__(self) -> None:
        self._columns: list[int] = []
        self._last = 0  # the indent of the last line of text

    def follow(self, line: str) -> None:
        """Process a line of text."""
        indent = _indent(line)
        if line[indent] == "\t":  # parsers differ in its width
            self._columns.clear()
            return
        inside = self._leave(indent)
        item = _ITEM.match(line)
        if item and inside <= 3:
            self._columns.append(item.end())
        self._last = indent

    def hold(self, indent: int) -> bool:
        """Return True if a fence certainly begins code here, inside or outside an item, after a blank line."""
        inside = self._leave(indent)
        if not self._columns:
            return indent == 0
        # After an indented block some parsers miss the fence.
        return inside <= 3 and self._last - self._columns[-1] < 4

    def _leave(self, indent: int) -> int:
        while self._columns and indent < self._columns[-1]:
            self._columns.pop()
        return indent - self._columns[-1] if self._columns else indent


def _fenced(lines: list[str], at: int, items: _Items, before: str) -> _Block | None:
    """Return a block that every parser sees as code, unchanged; None if that is not certain."""
    opening = _FENCE.fullmatch(lines[at])
    if opening is None or not items.hold(len(opening[1])):
        return None
    end = _fence_end(lines, at, opening)
    if end is None:
        return None
    info = _NOT_INFO.sub("", _undrawn(opening[3]))
    block = [f"{opening[1]}{opening[2]}{info}", *lines[at + 1 : end]]
    text = "\n".join([*block[1:], *lines[end : end + 1]])
    # Otherwise Lab may see maths that includes the beginning or the end of the block.
    maths = _MATHS_IN_LAB.search(f"{before}\n{text}") is not None
    # Otherwise some parsers include it in that text.
    apart = before != "" and (maths or risky(text) or _DEFINITION.search(text) is not None)
    return _Block(end, block, apart, ends=maths and _is_there(lines, end))


def _is_there(lines: list[str], at: int) -> bool:
    return at < len(lines) and lines[at].strip(" \t") != ""


def _fence_end(lines: list[str], at: int, opening: re.Match[str]) -> int | None:
    """Return the line after a fenced block; None if parsers may differ in its end."""
    indent, fence = opening[1], opening[2]
    for number in range(at + 1, len(lines)):
        text = lines[number].lstrip(" \t")
        if text.startswith(fence):
            closes = lines[number].startswith(indent) and not lines[number][len(indent) :].rstrip(" ").strip(fence[0])
            return number + 1 if closes else None
        if text and not lines[number].startswith(indent):
            return None  # the item may have ended, and the fence with it
    return None if indent else len(lines)


def _doubtful(lines: list[str], at: int) -> _Block:
    """Return a block that may be code or text, up to its probable end."""
    found = _PERHAPS_FENCE.match(lines[at])
    fence = found[1] if found else ""
    end = at + 1
    if lines[at].count(fence) == 1:  # otherwise it begins and ends on that line
        while end < len(lines) and not lines[end].lstrip(" \t>").startswith(fence):
            end += 1
        end = min(end + 1, len(lines))
    code = []
    for line in lines[at:end]:
        fence_here = _PERHAPS_FENCE.match(line)
        mark = fence_here.end() if fence_here else 0
        code.append(line[:mark] + _undrawn(line[mark:]).translate(_IN_ATTRIBUTES) if mark else line)
    return _Block(end, escaped_code("\n".join(code)).split("\n"))


def _undrawn(info: str) -> str:
    """Return an info string that draws no diagram: nbconvert writes diagrams as raw HTML, which may load images."""
    return f"text {info.lstrip(' ')}" if _DRAWN.match(_NOT_INFO.sub("", info)) else info


def _maths_is_closed(text: str) -> bool:
    """Return True if no parser can see maths that continues after this text."""
    if _ODD_DOLLARS.search(text) and "$$" in text:
        return False
    # Maths that a line interrupts may end earlier.
    interrupted = _INTERRUPTS.search(text) is not None
    at = 0
    while opening := _MATHS.search(text, at):
        closing = _closing(opening)
        end = text.find(closing, opening.end()) if closing else -1
        if end < 0 or (interrupted and opening.start() > 0 and "\n" in text[opening.start() : end]):
            return False
        at = end + len(closing)
    return text.count("$$") % 2 == 0 and _brackets_pair(text)


def _closing(opening: re.Match[str]) -> str:
    if opening[1] is not None:
        return f"\\end{{{opening[1]}}}"
    return {"$$": "$$", "\\\\[": "\\\\]"}.get(opening[0], "")


def _brackets_pair(text: str) -> bool:
    """Return True if every opening bracket of maths has a closing one."""
    found = [bracket[1] for bracket in _BRACKETS.finditer(text)]
    return found.count("(") == found.count(")") and found.count("[") == found.count("]")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
