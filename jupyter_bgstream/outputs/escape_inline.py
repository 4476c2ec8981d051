"""Escape the text of a paragraph for a notebook file: active markup becomes text.

Nothing depends on where a parser begins and ends code, maths or a link: an active sequence is broken up at any
position. The way depends on its most likely meaning, so that the text stays readable: an entity in text, a space in
maths and code, and inline code as ``<code>`` with entities.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from .citations import words_markdown

_WEB = r"(?:https?://|mailto:|#)"
_ADDRESS = r"[^\x00-\x20<>\[\\\]`|\x7f]"  # contains nothing that could be a link if a table cuts it
_PART = r"[^\x00-\x20\"<>()\[\\\]`|\x7f]"
_TARGET = rf"(?:{_WEB}(?:{_PART}|\({_PART}*\))*|<https?://{_ADDRESS}*>)"
_TITLE = r"""(?:[ \t]+(?:"[^"$\\\n]*"|'[^'$\\\n]*'))?[ \t]*"""  # maths in a title would be restored unescaped
_LABEL = r"\[[^\[\]<>!\\`\n]+\]:"
MARKERS = r"(?:[ \t>*+.)0-9:|-]|\[[ xX]\][ \t])*"  # of items, quotations and tasks; marked 16 parses blocks after these

_RISKS = re.compile(
    # Unchanged: definitions of links to the web, footnotes, embedded images, code as written by this module.
    rf"(?P<kept>^ {{0,3}}{_LABEL}[ \t]+(?:<{_WEB}{_ADDRESS}*>|{_WEB}{_ADDRESS}*)"
    r"(?:[ \t]+\"[^\"$<>!\[\]\\`\n]*\")?[ \t]*$"
    r"(?!\n[ \t]*[\"'(])"
    rf"|^ {{0,3}}(?=\[\^){_LABEL}(?=[ \t]+[^ \t\n<]+[ \t]+[^ \t\n\"'(])"
    r"|(?<!\\)!\[[^\[\]<>!\\`|$*_~&\n]*\]\(data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+\)"
    r"|(?<!\\)(?:\\\\)*<span>&#36;</span>|<code>(?:[^!#$&()*+<>@\[\\\]^_`{|}~\n]|&#[0-9]{1,4};)*</code>)"
    # Remote images become links.
    r"|(?<![\\!])!\[(?P<alt>[^\[\]\n]*)\]\("
    rf"(?:<(?P<angled>https?://{_ADDRESS}+)>|(?P<source>https?://(?:(?![()']){_ADDRESS})+))"
    r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'))?[ \t]*\)"
    # A label that continues on the next line may include everything there.
    rf"|^(?P<lead>{MARKERS})\[(?=(?:\\.|[^\]\n\\])*\\?$)"
    rf"|(?<!\\)(?P<slashes>\\*)(?P<risk><(?=[a-z/!?])(?!https?://{_ADDRESS}*>)|!(?=\[))"
    rf"|\](?P<after>\((?!{_TARGET}{_TITLE}\))|:)",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)
_RISKY_CODE = re.compile(r"<(?=[A-Za-z/!?])|!\[|\][(:]|\$\$|\\[(\[]|\\begin")
_ADDRESSES = re.compile(r"(?:(?:https?|ftp)://|www\.|mailto:|\](?:\(|:[ \t]*)<?#)[^\x00-\x20]*", re.IGNORECASE)
_MATHS_IN_ADDRESS = re.compile(r"[$\\]+")  # Lab would insert the text between them into the link unescaped
_TOKENS = re.compile(r"`+|\$\$|\$|\\{1,2}[(\[]|\\begin\{|\\.", re.DOTALL)
_MATHS = re.compile(r"\$(?![ \t])[^$\n`]*(?<![ \t])\$(?!\d)", re.ASCII)
_RUNS = re.compile(r"`+|\n")
_ENTITIES = {"<": "&lt;", "!": "&#33;", "(": "&#40;", ":": "&#58;"}


class _Span(NamedTuple):
    start: int
    end: int
    code: str | None  # None: maths


def risky(code: str) -> bool:
    """Return True if code would be active as markup."""
    return _RISKY_CODE.search(code) is not None


def escaped_code(code: str) -> str:
    """Return text that may or may not be code: sequences that would be active get a space."""
    return _RISKS.sub(_spaced, _ADDRESSES.sub(_spaced_address, code))


def escaped_text(text: str) -> str:
    """Return a paragraph without HTML and remote images, whose links lead to the web only."""
    once = _escaped(_addressed(text))
    # Twice, because an address, or a bracket that closed a label, may have been in code.
    return _escaped(_addressed(once)) if "`" in text else once


def _escaped(text: str) -> str:
    out: list[str] = []
    at = 0
    spans = list(_spans(text))
    codes = iter([span for span in spans if span.code is not None])
    maths = iter([span for span in spans if span.code is None])
    code, math = next(codes, None), next(maths, None)
    found = _RISKS.search(text)
    while code or found:
        if code and (found is None or code.start <= found.start()):
            out += text[at : code.start], _as_html(code.code or "")
            at = code.end
        elif found:
            while math and math.end <= found.start():
                math = next(maths, None)
            write = _spaced if math and math.start <= found.start() else _worded
            out += text[at : found.start()], write(found)
            at = found.end()
        while code and code.start < at:
            code = next(codes, None)
        if found and found.start() < at:
            found = _RISKS.search(text, at)
    return "".join([*out, text[at:]])


def _addressed(text: str) -> str:
    """Return text without maths delimiters in addresses, except in code."""
    spans = list(_spans(text)) if _ADDRESSES.search(text) else []
    starts = [span.start for span in spans]

    def write(found: re.Match[str]) -> str:
        before = bisect_right(starts, found.start()) - 1
        if before < 0 or found.start() >= spans[before].end:
            return found[0].replace("$", "%24").replace("\\", "%5C")
        return _spaced_address(found) if spans[before].code is None else found[0]

    return _ADDRESSES.sub(write, text)


def _spaced_address(found: re.Match[str]) -> str:
    return _MATHS_IN_ADDRESS.sub(r" \g<0>", found[0])


def _worded(found: re.Match[str]) -> str:
    if found["kept"]:
        return found[0]
    if found["alt"] is not None:
        source = found["angled"] or found["source"]
        words = _RISKS.sub(_worded, found["alt"]).strip(" \t")
        shown = words_markdown(source)
        return f"[{words} ({shown})](<{source}>)" if words else f"[{shown}](<{source}>)"
    if found["lead"] is not None:
        return f"{found['lead']}&#91;"
    if found["after"]:
        return f"]{_ENTITIES[found['after']]}"
    # A backslash would escape the `&`; `\\<` and `&lt;` look the same.
    return found["slashes"][len(found["slashes"]) % 2 :] + _ENTITIES[found["risk"]]


def _spaced(found: re.Match[str]) -> str:
    if found["kept"]:
        return found[0].replace("<", "< ") if found[0][0] in "<\\" else found[0]
    if found["alt"] is not None:
        alt = found.end("alt") - found.start()
        return f"! [{_RISKS.sub(_spaced, found['alt'])}{_RISKS.sub(_spaced, found[0][alt:])}"
    if found["lead"] is not None:
        return f"{found['lead']}{{}}["  # an empty group in TeX
    return f"] {found['after']}" if found["after"] else f"{found['slashes']}{found['risk']} "


def _as_html(code: str) -> str:
    if code[:1] == code[-1:] == " " and code.strip(" "):
        code = code[1:-1]
    return f"<code>{words_markdown(code)}</code>"


def _spans(text: str) -> Iterator[_Span]:
    """Yield spans that are most likely maths, or code that would be active as markup."""
    ends = code_ends(text)
    missing: set[str] = set()  # delimiters that do not occur any more
    at = 0
    while token := _TOKENS.search(text, at):
        start, at = token.span()
        mark = token[0]
        if mark[0] == "`":
            end = ends.get(start, at)
            code = text[at : end - len(mark)]
            at = end
            if risky(code) or any(_MATHS_IN_ADDRESS.search(address[0]) for address in _ADDRESSES.finditer(code)):
                yield _Span(start, end, code)
        elif mark == "$":
            if found := _MATHS.match(text, start):
                at = found.end()
                yield _Span(start, at, None)
        elif (closing := _closing(mark)) and closing not in missing:
            end = text.find(closing, at)
            if end < 0:
                missing.add(closing)
            else:
                at = end + len(closing)
                yield _Span(start, at, None)


def _closing(mark: str) -> str:
    if mark.startswith("\\begin"):
        return "\\end{"
    return mark if mark == "$$" else mark[:-1] + {"(": ")", "[": "]"}[mark[-1]] if mark[-1] in "([" else ""


def code_ends(text: str, *, in_one_line: bool = True) -> dict[int, int]:
    """Return the end of code by the position of its first backticks; with ``in_one_line`` both are on one line."""
    ends: dict[int, int] = {}
    next_end: dict[int, int] = {}
    for run in reversed(list(_RUNS.finditer(text))):
        length = len(run[0])
        if run[0] == "\n":
            if in_one_line:
                next_end.clear()
            continue
        if length in next_end:
            ends[run.start()] = next_end[length]
        next_end[length] = run.end()
    return ends
