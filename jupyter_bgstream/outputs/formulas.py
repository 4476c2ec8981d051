r"""Normalize dollars in an answer: one notation for formulas, and prices that no renderer takes for formulas.

Chat models write formulas as ``\(…\)`` and ``\[…\]``, whose backslashes Markdown removes, and prices as ``$5``, two of
which are a formula to MathJax. ``\(x\)`` becomes ``$x$`` and ``\[x\]`` becomes ``$$x$$``. A dollar that begins no
formula gets its own element if it could be paired with another. The rule is pandoc's: no space inside the dollars, and
no digit after them. Code does not change. The same as ``labextension/src/render/formulas.ts``.
"""

import re
from collections.abc import Iterator

from .escape_inline import code_ends

LONE_DOLLAR = "<span>&#36;</span>"  # MathJax finds formulas only in text without elements

_MAX_LONE = 500  # lone dollars of a paragraph, because each is an element in the page
_CANDIDATE = re.compile(r"\$|\\[(\[]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r"(?:[ \t]|[>*+-]|[0-9]{1,9}[.)])*?(`{3,}(?=[^`]*$)|~{3,})")
_INDENTED = re.compile(r"(?: {4}|\t)")
_ITEM = re.compile(r"[ \t>]*(?:[*+-]|[0-9]{1,9}[.)])[ \t]")
_TABLE = re.compile(r"^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE)
_QUOTED = re.compile(r"\n[ \t]*>[> \t]*")
_INSIDE = r"(?:[^$`\\<]|<(?!span>)|\\[^()\[\]])+?"  # brackets; the next bracket ends the search
_TOKENS = (
    r"(?P<code>`+)"
    r"|\$\$(?:(?:[^$\\]|\\.)+?\$\$)?"  # an open one is not a price
    rf"|\\\((?P<round>{_INSIDE})\\\)(?P<digit>[0-9]?)"
    rf"|\\\[(?P<square>{_INSIDE})\\\]"
    r"|\$(?![ \t])(?:[^$\n`\\%s]|\\[^\n])+(?<![ \t])\$(?![0-9])"
    r"|(?P<address>(?:(?:https?|ftp)://|www\.|mailto:|\](?:\(|:[ \t]*)<?#)[^\x00-\x20|]*)"
    r"|(?P<lone>\\?\$)"
    r"|\\."
)
_IN_TEXT = re.compile(_TOKENS % "", re.DOTALL | re.IGNORECASE)
_IN_TABLE = re.compile(_TOKENS % "|", re.DOTALL | re.IGNORECASE)


def with_formulas(markdown: str) -> str:
    """Return Markdown with formulas in dollars, and with other dollars escaped; idempotent."""
    return "".join(_parts(markdown)) if _CANDIDATE.search(markdown) else markdown


def _parts(markdown: str) -> Iterator[str]:
    fence = ""
    paragraph: list[str] = []
    after_blank, in_code, in_list = True, False, False
    for line in _LINES.findall(markdown):
        bare = line.rstrip("\r\n")
        opening = None if fence else _FENCE.match(bare)
        is_blank = not bare.strip(" \t")
        in_code = not in_list and (after_blank or in_code) and not is_blank and _INDENTED.match(bare) is not None
        if not (fence or opening or is_blank or in_code):
            paragraph.append(line)
            in_list = in_list or _ITEM.match(bare) is not None
        else:
            yield _written("".join(paragraph))
            paragraph.clear()
            yield line
            if opening:
                fence = opening[1]
            elif fence and not bare.strip(f" \t>{fence[0]}") and fence in bare:
                fence = ""
        after_blank = is_blank
    yield _written("".join(paragraph))


def _written(paragraph: str) -> str:
    if _CANDIDATE.search(paragraph) is None:
        return paragraph
    tokens = _IN_TABLE if "|" in paragraph and _TABLE.search(paragraph) else _IN_TEXT
    ends = code_ends(paragraph, in_one_line=False)
    out: list[str] = []
    lone: list[int] = []  # positions in ``out``
    dollars = at = 0
    while token := tokens.search(paragraph, at):
        out.append(paragraph[at : token.start()])
        at = ends.get(token.start(), token.end()) if token["code"] else token.end()
        text = _token(token) or paragraph[token.start() : at]
        if token["lone"]:
            lone.append(len(out))
        if not token["code"]:
            dollars += text.count("$")
        out.append(text)
    if dollars > 1 and len(lone) <= _MAX_LONE:
        for position in lone:
            out[position] = LONE_DOLLAR
    return "".join([*out, paragraph[at:]])


def _token(token: re.Match[str]) -> str:
    # The replacement of a token; "" if it does not change.
    if inside := token["round"]:
        formula = _on_one_line(inside)
        return formula and f"${formula}$" + (f"&#{ord(token['digit'])};" if token["digit"] else "")
    if inside := token["square"]:
        formula = f" {_on_one_line(inside)} " if _QUOTED.search(inside) else inside
        return f"$${formula}$$" if formula.strip() else ""
    return token["address"].replace("$", "%24") if token["address"] else ""


def _on_one_line(inside: str) -> str:
    return " ".join(_QUOTED.sub("\n", inside).split())
