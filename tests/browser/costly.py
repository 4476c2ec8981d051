"""Texts that are slow but harmless: each is a worst case of a parser, sanitizer, highlighter or layout."""

from __future__ import annotations

import random
from collections.abc import Callable

SIZE = 200_000  # characters
LAST = "\n\n\nThe end of it.\n"
HARMLESS = ("Some *harmless* words of a sentence with `code`, and more. " * 8 + "\n\n") * (SIZE // 480) + LAST

Make = Callable[[int], str]

# Repeated, these have no end.
UNITS = {
    "images": "![](",
    "images with words": "![a](",
    "links": "[a](",
    "links with addresses": "[a](<b",
    "emphasis": "*a **a ",
    "mixed emphasis": "a**b_c* ",
    "stars": "*a ",
    "underscores": "_a ",
    "strikes": "~~a ",
    "only stars": "*",
    "only underscores": "_",
    "only tildes": "~",
    "only at signs": "@",
    "mail": "a.b@",
    "hosts": "www.",
    "addresses": "http://",
    "brackets": "[",
    "closing brackets": "]",
    "bangs": "![",
    "references": "[a]",
    "footnotes": "[^a]",
    "code": "`a``b ",
    "backticks": "`a ",
    "less": "<",
    "tags": "<a ",
    "attributes": "<a b=",
    "comments": "<!--",
    "cdata": "<![CDATA[",
    "instructions": "<?",
    "declarations": "<!A ",
    "elements": "<div>",
    "elements in paragraphs": "<div>\n\n",
    "inline elements": "<b>",
    "closed elements": "<p>a</p>",
    "ends of elements": "</a",
    "ampersands": "&",
    "entities": "&amp;",
    "numbers of characters": "&#",
    "backslashes": "\\",
    "escapes": "\\*",
    "escaped line ends": "\\\n",
    "definitions": "[a]: b\n",
    "definitions without an end": '[a]: b "',
    "quotes": "> ",
    "narrow quotes": ">",
    "quoted lines": "> a\n",
    "lists": "- ",
    "items": "- a\n",
    "numbers": "1. a\n",
    "loose items": "- a\n\n",
    "tasks": "- [ ] a\n",
    "headings": "# a\n",
    "underlined headings": "a\n===\n",
    "rules": "---\n",
    "breaks": "a  \n",
    "lines": "a\n",
    "paragraphs": "a\n\n",
    "letters": "x",
    "words": "a ",
    "blank lines": "\n",
    "lines of blanks": " \n",
    "dollars": "$",
    "formulas": "$x$ ",
    "displayed formulas": "$$x$$\n\n",
    "environments": "\\begin{a}",
    "parentheses": "\\\\(",
    "placeholders": "@@1@@",
    "scripts": "a\u05d0\u0e01\u5b57\u0915\u0627\U0001f469\u200d\U0001f467",
    "two directions": "a\u05d0",
    "no spaces": "\u0e01\u0e02\u0e04",
    "macros": "$\\def\\a{xxxxxxxxxx}\\a\\a\\a\\a$ ",
    "fences": "```py\nx\n```\n",
    "diagrams": "```mermaid\ngraph TD\na-->b-->c\n```\n",
}


def _table(columns: int) -> Make:
    head = "|" + "a|" * columns + "\n|" + "-|" * columns + "\n"
    return lambda size: head + "|x\n" * ((size - len(head)) // 3)


def _fence(language: str, unit: str) -> Make:
    return lambda size: f"```{language}\n" + unit * (size // len(unit)) + "\n```\n"


SHAPES: dict[str, Make] = {
    "table": lambda size: _table(size // 10)(size),
    "narrow table": _table(5),
    "small table": lambda size: _table(1500)(14_000),
    "backticks of each length": lambda size: "".join("`" * n + "a" for n in range(1, int((2 * size) ** 0.5))),
    "line of backticks": lambda size: "a" + "`" * size,
    "backticks in code": lambda size: "~~~\n" + "`" * size + "\n~~~\n",
    "many quotes": lambda size: ">" * 6000 + " a",
    "many lists": lambda size: "- " * 3000 + "a",
    "many emphases": lambda size: "*a " * 4000,
    "nested list": lambda size: "".join("  " * n + "- a\n" for n in range(int(size**0.5))),
    "lazy list": lambda size: "- " * 30 + "a\n" + "*a\n" * (size // 3),
    "items far in": lambda size: "- a\n" + "      - *a **a\n" * (size // 15),
    "numbers in a paragraph": lambda size: "a\n" + "2. *a **a\n" * (size // 10),
    "rows of no table": lambda size: "a | b | c\n- | -\n" + "| *a **a | _a\n" * (size // 14),
    "long mail": lambda size: "a" * size + "@b",
    "long address": lambda size: "http://" + "a." * (size // 2),
    "balanced brackets": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "closed elements in each other": lambda size: "<div>" * (size // 11) + "</div>" * (size // 11),
    "many attributes": lambda size: "<a " + "b=c " * (size // 4) + ">",
    "references to definitions": lambda size: "".join(f"[a{n}]: b\n" for n in range(size // 20))
    + "".join(f"[a{n}] " for n in range(size // 20)),
    "long heading": lambda size: "#" * size,
    "blanks": lambda size: "a" + " " * size + "b",
    "blanks in code": lambda size: "```\n" + " " * size + "x\n```\n",
    "one formula": lambda size: "$" + "\\frac{1}{2}" * (size // 11) + "$",
    "formula in formula": lambda size: "$" + "\\frac{" * (size // 8) + "}" * (size // 8) + "$",
    "matrix": lambda size: "$$\\begin{matrix}" + ("a&" * 50 + "\\\\\n") * (size // 105) + "\\end{matrix}$$",
    "small bomb": lambda size: "$\\def\\a{" + "x" * 4000 + "}\\def\\b{" + "\\a" * 100 + "}" + "\\b" * 90 + "$",
    "braces": lambda size: "$" + "{" * size,
    "open code": lambda size: "```\n" + "a\n" * (size // 2),
    "code of two directions": _fence("", "a\u05d0" * 40 + "\n"),
    "line of code of two directions": _fence("", "a\u05d0"),
    "code without a language": _fence("", "(\n"),
    "program": _fence("python", "x = [1, 2]\n"),
    "parentheses of a program": _fence("js", "("),
    "page": _fence("html", "<a "),
    "diagram": lambda size: "```mermaid\ngraph TD\n" + "".join(f"a{n}-->a{n * 7 % 97}\n" for n in range(400)) + "```\n",
    "dense diagram": lambda size: "```mermaid\ngraph TD\n" + " & ".join(f"a{n}" for n in range(20)) + " --> "
    + " & ".join(f"b{n}" for n in range(24)) + "\n```\n",
    "packet": lambda size: "```mermaid\npacket-beta\n0-99999999: \"a\"\n```\n",
    "ticks": lambda size: "```mermaid\ngantt\ndateFormat YYYY-MM-DD\ntickInterval 1second\na: 2000-01-01, 9999d\n```\n",
}  # fmt: skip


def _repeated(unit: str) -> Make:
    return lambda size: unit * (size // len(unit))


CORPUS: dict[str, Make] = {name: _repeated(unit) for name, unit in UNITS.items()} | SHAPES


def costly(name: str) -> str:
    """Return one text of the corpus, 200,000 characters long unless less is enough."""
    return CORPUS[name](SIZE) + LAST


def mixed(seed: int) -> str:
    """Return a text that puts parts of the corpus together at random: many small ones, or a few that are long."""
    chance = random.Random(seed)
    longest = chance.choice([30, 300, 3000, 30_000])
    text = ""
    while len(text) < SIZE:
        lead = chance.choice(["", "", "", "> ", "- ", "    ", "1. ", "| "])
        make = chance.choice(list(CORPUS.values()))
        text += lead + make(chance.randint(10, longest))[: 2 * longest] + chance.choice(["", " ", "\n", "\n\n"])
    return text[:SIZE] + LAST
