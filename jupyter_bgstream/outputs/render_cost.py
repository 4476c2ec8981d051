"""Estimate the cost of drawing a part of a saved answer, in time linear in its length.

The same as ``costOfText`` in ``labextension/src/render/renderCost.ts``, which explains the weights. Golden cases:
``tests/golden/costly.json``.
"""

import re

BLOCK_LIMIT = 6000
ANSWER_LIMIT = 40_000

_TEXT = 25
_CODE = 12
_LINE = 2
_CELL = 0.4
_MOST_COLUMNS = 200
_TOKEN = 1
_DEEPEST = 40
_READ_AGAIN = 1700
_SHAPED = 30_000
_RUNS = 25_000
_FENCES = 13_000
_ADDRESS = 25_000
_FORMULA_UNITS = 24

# White space in JavaScript.
_BLANKS = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\ufeff"
)
_SPECIAL = re.compile(r"[*_~`[\]!>&\\$@|<]")
_UNITS = {"*": 0.5, "_": 0.5, "~": 0.5, "`": 0.5, "|": 0.25, "<": 2, "$": 12}
_FORMULA = re.compile(r"\\[(\[]|\\begin\b", re.ASCII)
_FENCED = re.compile(r"^[ \t>*+.)0-9-]*(?:```|~~~)", re.MULTILINE)
_NAMED = re.compile(r" {0,3}(?:`{3,}|~{3,})[ \t]*(?!text(?:[ \t\n]|\Z))[^ \t\n`~]")
_ITEM = re.compile(r"([ \t>]*)(?:[-*+]|([0-9]{1,9})[.)])(?=[ \t])")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_DELIMITER = re.compile(rf"[|:>\-{_BLANKS}]*")
_LEAD = re.compile(r"(?:[ \t]|>|[-*+](?=[ \t>])|[0-9]{1,9}[.)](?=[ \t]))*")
_OPENING = re.compile(r"[>*+-]|[0-9]+")
_TOKENS = re.compile(r"\w+|[^\s\w\ufeff]")
_MARGIN = re.compile(r"^(?:```|~{3,})", re.MULTILINE)
_TICKS = re.compile(r"`+")
_FOREIGN = re.compile("[\u0300-\U0010ffff]+")
_WORDS = re.compile(r"[A-Za-z0-9@_+.-]+")


def cost_of(text: str, *, fence: bool) -> float:
    """Return the cost of a part in units; above the limit the value is only a lower bound."""
    length = length_of(text)
    if length > _TEXT * BLOCK_LIMIT:
        return float("inf")
    if fence:
        tokens = _tokens(text) if _NAMED.match(text) else 0
        shaped = length * _foreign(text) / _SHAPED
        return _LINE + length / _CODE + tokens + shaped + _cost_of_runs(text) + _cost_of_fences(text)
    return _cost_of_prose(text) + _cost_of_fences(text) + (_tokens(text) if _FENCED.search(text) else 0)


def _cost_of_fences(text: str) -> float:
    marks = _MARGIN.findall(text)
    return sum(len(mark) if mark[0] == "~" else 1 for mark in marks) * length_of(text) / _FENCES


def length_of(text: str) -> int:
    """Return the length of a text in JavaScript, in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _foreign(text: str) -> int:
    return 0 if text.isascii() else sum(map(length_of, _FOREIGN.findall(text)))


def _tokens(text: str) -> float:
    return _TOKEN * len(_TOKENS.findall(text))


def _cost_of_runs(text: str) -> float:
    lines = text.split("\n") if "``" in text else []
    return sum(_cost_of_ticks(line) for line in lines)


def _cost_of_ticks(line: str) -> float:
    length = length_of(line) + line.count("~")
    return sum(len(run) ** 2 for run in _TICKS.findall(line)) * length / _RUNS


def _cost_of_prose(text: str) -> float:
    scan = _Scan(addresses="@" in text)
    for line in text.removesuffix("\n").split("\n"):
        if scan.cost > BLOCK_LIMIT:
            break
        scan.take(line)
    return scan.cost


class _Scan:
    """Scanner of a part, line by line."""

    def __init__(self, *, addresses: bool) -> None:
        self._addresses = addresses
        self._cost = 0.0
        self._length = 0  # characters that a parser reads at once
        self._marks = 0  # special characters among them
        self._foreign = 0  # letters of other scripts among them
        self._columns = 0  # of the table
        self._rows = False  # certainly a table, of which a row is read at once
        self._numbered = False  # in a numbered list
        self._inner = 0  # indent of the text of the last item
        self._before = ""

    @property
    def cost(self) -> float:
        return self._cost + self._length * (self._marks / _READ_AGAIN + self._foreign / _SHAPED)

    def take(self, line: str) -> None:
        """Add a line."""
        length = length_of(line)
        if not line.strip(_BLANKS):
            self._end()
            self._columns = 0
            self._numbered = self._rows = False
        elif _depth(line) > _DEEPEST:
            self._cost = float("inf")
        elif "-" in line and ("|" in line or "|" in self._before) and _DELIMITER.fullmatch(line):
            self._columns = _cells(line)
            self._rows = self._columns == _cells(self._before)
            self._cost = float("inf") if self._columns > _MOST_COLUMNS else self._cost
        elif self._begins_another(line):
            self._end()
        self._cost += _LINE + _CELL * self._columns + length / _TEXT
        self._cost += _FORMULA_UNITS * len(_FORMULA.findall(line))
        self._length += length + 1
        self._count(line)
        self._before = line

    def _end(self) -> None:
        self._cost = self.cost
        self._length = self._marks = self._foreign = 0

    def _begins_another(self, line: str) -> bool:
        item = _ITEM.match(line)
        if item is None:
            self._numbered = self._numbered and line[:1] in (" ", "\t")
            return self._rows or _HEADING.match(line) is not None
        number = item[2]
        indent = len(item[1].replace("\t", "    "))
        interrupts = number is None or number == "1" or self._numbered or self._length == 0
        if indent > self._inner + 3 or not interrupts:
            return self._rows
        self._numbered = number is not None
        self._inner = indent + len(number or "") + 2
        return True

    def _count(self, line: str) -> None:
        marks = _SPECIAL.findall(line)
        self._marks += len(marks)
        self._foreign += _foreign(line)
        self._cost += sum(_UNITS.get(mark, 1) for mark in marks) + _cost_of_ticks(line)
        if self._addresses:
            self._cost += sum(len(word) ** 2 / _ADDRESS for word in _WORDS.findall(line))


def _depth(line: str) -> int:
    lead = _LEAD.match(line)
    return len(_OPENING.findall(lead[0])) if lead else 0


def _cells(line: str) -> int:
    inner = line.strip(_BLANKS).removeprefix("|").removesuffix("|")
    return inner.count("|") + 1 - inner.count("\\|")
