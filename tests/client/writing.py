"""Writes Markdown of every block and inline construct, with attacks in it, the same for the same number."""

from __future__ import annotations

import random

RISKS = (
    "<img src=x onerror=hit()>", "<script>hit()</script>", "<!-- -->", "<https://a.example/`>", "<javascript:hit()>",
    "![a](https://evil.example/i.png)", "![a][b]", "![b]", "![a](//evil.example)", "![", "](", "]:",
    "](javascript:hit())", "[a](javascript:hit())", "[a](&#106;avascript:hit())", "[a](<javascript:hit()>)", "[a](/b)",
    "[b]", "[a][b]", "[a](https://a.example \"t", "![a](data:image/png;base64,AAAA)", "![a](data:text/html,x)", "<b>",
    "</b>", "![a](<https://a.example|![a](https://evil.example/i.png>)", "![a](<https://a.example/b>)",
    "[a](<https://a.example|b>)", "https://a.example/$\"onclick=\"hit()\"x=\"$", "www.a.example/$\"onclick=hit()$",
    "[a](https://a.example \"b $\" onclick=\"hit()\" x=\"$\")", "[a](#$\"onclick=\"hit()\"$)", "@\\@0@@",
    "[a](https://a.example/\\begin{a}\"onclick=\"hit()\"\\end{a})", "$\" onclick=\"hit()\"$", "[a](https://a.example/$",
    "\"onclick=\"hit()\"", "$x", "y$",
)  # fmt: skip
DEFINITIONS = (
    "[b]: javascript:hit()", "[b]: https://evil.example/i.png", "[b]:\njavascript:hit()", "[b]: https://a.example \"t",
    "[b]: <https://a.example> 't'", "[^b]: javascript:hit()", "[^b]: one two three", "[b", "]: https://a.example",
    "[b]: https://a.example\n\"t", "[b\\]: x", "* [b]: /x", "\"", "*[b]: c",
    "[b]: https://a.example/$\"onclick=\"hit()\"$", "[b]: https://a.example \"$' onclick=hit() x=$\"",
    "[b]: https://a.example|![a](https://evil.example/i.png)\n-|-", "[b]: <https://a.example|[a](/b)>",
)  # fmt: skip
FENCES = (
    "```",
    "````",
    "~~~",
    "```html",
    "~~~ x",
    "```mermaid",
    "~~~mermaid",
    "``` a`b",
    "```{=html}",
    "``",
    "```~",
    "~~~`",
    '~~~ a" onclick=hit() b="`',
    '```py" onclick="hit()',
    '~~~ $" onclick=hit() $',
    '``` a $`$" onclick="hit()',
)
MARKS = (
    "`", "``", "```", "~~", "*", "**", "_", "$", "$$", "\\(", "\\)", "\\\\(", "\\\\)", "\\[", "\\]", "\\\\[", "\\\\]",
    "\\begin{a}", "\\end{a}", "\\", "|", "[", "]", "(", ")", "!", "<", ">", "&lt;", "\"", "'", "~", "==", "^", ":",
    "<code>", "</code>", "\u2028", "\x0b", "\x0c", "\x1c", "\x85", "\x00", "\xa0", "\t", "\r", "  \n", "\\\n", "\n",
)  # fmt: skip
WORDS = ("a", "b c", "x = 1", "https://a.example/c", "www.a.example", "1", "-", "#", "- [ ] a", "&", "Grüße")
LEADS = (
    "", "", "", "", " ", "  ", "   ", "    ", "     ", "\t", "- ", "-   ", "* ", "1. ", "1) ", "10. ", "2. ", "> ", ">",
    ">  ", ": ", ":   ", "# ", "## ", "|", "- - ", "> - ", "- > ", "  - ", "   1. ", "    - ", "+ ", "-\t", "- [ ] ",
    "1. [x] ", "> - [ ] ",
)  # fmt: skip
LINES = (
    "---",
    "===",
    "***",
    "|-|-|",
    "|a|b|",
    "-|-",
    "$$",
    "\\begin{a}",
    "\\end{a}",
    ":::",
    "-",
    "1.",
    "<!--",
    "-->",
    "term",
    "$x",
    "y$",
    "\\\\(",
    "\\\\)",
)


def markdown(seed: int) -> str:
    """Return a text of some blocks; fences and lists often keep their form, and often do not."""
    chance = random.Random(seed)
    blocks = [_block(chance) for _ in range(chance.randint(1, 6))]
    return "".join(block + chance.choice(("\n", "\n\n", "\n\n", "\n \n", "\n\n\n")) for block in blocks)


def _block(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.3:
        return _fenced(chance)
    if kind < 0.4:
        return chance.choice(DEFINITIONS)
    if kind < 0.5:
        return "\n".join(chance.choice(LINES + DEFINITIONS) for _ in range(chance.randint(1, 4)))
    if kind < 0.6:
        return _table(chance)
    return "\n".join(chance.choice(LEADS) + _inline(chance) for _ in range(chance.randint(1, 4)))


def _fenced(chance: random.Random) -> str:
    fence = chance.choice(FENCES)
    first = chance.choice(LEADS)
    indent = " " * len(first) if chance.random() < 0.7 else chance.choice(LEADS)
    close = fence[:3] if chance.random() < 0.8 else chance.choice(FENCES)
    body = [chance.choice((_risk, _risk, _inline, _line))(chance) for _ in range(chance.randint(0, 4))]
    before = [chance.choice(LEADS) + _inline(chance)] if chance.random() < 0.5 else []
    gap = [""] if chance.random() < 0.4 else []
    lines = [f"{indent if chance.random() < 0.95 else ''}{line}" for line in body]
    end = [f"{indent}{close}"] if chance.random() < 0.85 else []
    return "\n".join([*before, *gap, f"{first}{fence}", *lines, *end])


def _table(chance: random.Random) -> str:
    rows = ["|".join(_inline(chance) for _ in range(2)) for _ in range(chance.randint(1, 2))]
    return (
        "\n".join(["a|b", "-|-", *rows])
        if chance.random() < 0.5
        else "\n".join(f"|{r}|" for r in ["a|b", "-|-", *rows])
    )


def _inline(chance: random.Random) -> str:
    pieces = []
    for _ in range(chance.randint(1, 6)):
        piece = chance.choice((MARKS, MARKS, RISKS, WORDS))
        pieces.append(chance.choice(piece))
        if chance.random() < 0.4:
            mark = chance.choice(MARKS[:16])
            pieces[-1] = f"{mark}{pieces[-1]}{mark}"
    return chance.choice(("", " ")).join(pieces)


def _risk(chance: random.Random) -> str:
    return chance.choice(RISKS)


def _line(chance: random.Random) -> str:
    return chance.choice(("", *LINES, *DEFINITIONS, *FENCES))
