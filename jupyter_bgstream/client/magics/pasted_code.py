r"""Detect pasted code, markup and maths in a prompt, where nothing is filled in.

See docs/explanation/decisions/0016-prompts-are-sent-as-written.md.
The rule looks at the form and never at names. Code is

- a fenced block, unless all of it is one expression; code between backticks; maths between dollar signs;
- text indented by a tab or four spaces, unless it belongs to a list;
- a line with a sign of code, and the following lines up to a blank line, or as far as they are indented below it;
- text between other braces, in the parentheses of a call, in a tag, or after ``$``, ``#``, ``_`` and the like.

The labextension marks in the editor what will be filled in: ``labextension/src/editor/pastedCode.ts`` is the same
rule, and both are compared by ``tests/golden/prompts.json`` and ``tests/client/pasted/``.
"""

import re
from collections.abc import Iterator

HOLE = "\0"  # stands for an expression with its braces
TEMPLATE = re.compile(r"\{%|\{\{[\s#/.>^&!-]")

_WINDOW = 2000  # characters at each end of a long line that are searched for signs
_SENTENCE = 300  # the same for the beginning and the end of a sentence
_HTML = (
    "a|abbr|b|body|br|button|canvas|div|em|footer|form|h[1-6]|head|hr|html|i|iframe|img|label|li|link|main|meta|nav|ol"
    "|option|p|path|pre|script|select|slot|small|span|strong|style|sub|sup|svg|table|tbody|td|template|th|thead|tr|tt|u"
    "|ul|video"
)
# Beginnings of lines of code.
_BEGINNING = re.compile(
    "|".join(
        (
            # Definitions, imports, statements.
            r"\s*(?:(?:export|pub|public|private|protected|static|final|abstract|async|override|default|data|case)\s+)*"
            r"(?:const\b|def\s+\w+\s*\(|class\s+\w+\s*[:({<]|fn\s+\w|func\s+\w|fun\s+\w+\(|impl\b|struct\s+\w|enum\s+\w"
            r"|interface\s+\w+\s*[{<]|typedef\s|use\s+\w+::|type\s+\w+\s*=|export\s+(?:default|function|type|\0|\*)"
            r"|import\s+(?:\0|type\b|static\b|[\w.*]+(?:\s+as\s+\w+)?$|.*\bfrom\b\s*[\"'])|from\s+\S+\s+import\b"
            r"|(?:return|throw|yield)\s+\0;?$|assert\s|raise\s+[A-Z]\w+\(|throw\s+new\b|elif\b|(?:\}\s*)?else\s*[\0:]|try\s*\0"
            r"|do\s*\0|print\s+[\"']|\w*\s*=>\s*\0|(?:if|for|while)\b[^:]*:\s*(?:return|pass|break|continue|print)\b"
            r"|(?:\}\s*)?(?:if|for|foreach|while|switch|catch)\s*\()",
            r"\s*[\w.$:]+!?\(.*\)[;,]?$",
            r"\s*[\w$@.\[\]*&'\"-]+(?:\s*:\s*[\w.\[\]|<>]+)?\s*[-+*/%|&^?]?=(?![=>])\s*\S",
            r"\s*(?:export |public |private |static |final |readonly )*(?:const|let|var|val|auto|int|float|double|bool"
            r"|char|string|String|local|my|ENV|ARG)\s+[^=]*=",
            r"\s*(?:@\w[\w.]*[({]|@(?:media|mixin|include|import|keyframes|Override)\b|\[[A-Za-z][\w.-]*\]$)",
            r"\s*#(?:include|define|ifdef|ifndef|endif|pragma|!)|\s*[\])}]+[;,]*$|(?!\s*(?:[-*+•]|\d+[.)])\s).*;$",
            # Shells, queries, requests.
            r"\s*(?:\$\s+\S|>>>\s|\.\.\.\s|(?:sudo|echo|curl|wget|git|docker|kubectl|pip3?|npm|npx|yarn|grep|awk|sed"
            r"|mkdir|chmod|chown|ssh|scp|rsync|rm|mv|cp|ls|cd|cat|puts|export)\s+[-\w./\"'$~@<\0])",
            r"[^|]*\|\s*(?:grep|awk|sed|xargs|jq|tee|wc|uniq)\b",
            r"\s*(?:(?:SELECT|INSERT\s+INTO|DELETE\s+FROM|FROM|WHERE|GROUP\s+BY|ORDER\s+BY|RUN|COPY)\s"
            r"|CREATE\s+(?:TABLE|VIEW|INDEX)\b|UPDATE\s+\S+\s+SET\b|WITH\s+\w+\s+AS\b"
            r"|(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\s+[/h])",
            r"\s*(?:select\s+(?:\*|[\w.]+(?:\s*,\s*[\w.]+)*)\s+from|insert\s+into|delete\s+from|update\s+\S+\s+set)\s",
            # JSON, YAML, a formula.
            r"\s*(?:\"[^\"]*\"\s*:\s|[{\[]\s*[\"'])|\s*\$\$\s*$",
            r"\s*(?:- )?[a-z_][\w.-]*:\s+[\"'].*[\"']$|\s+(?:- )?[a-z_/\"'][\w./\0\"'-]*:(?:\s|$)",
        )
    )
)
# Signs in lines of code: in any line, and in lines that are not _PLAIN.
_WORDS = re.compile(
    r"\bSELECT\b.*\0|\blambda\b[^:]*:\s*\0|\s--[a-z]|\w::|\.(?:map|filter|forEach|let|apply|also|run|flatMap|any|all|find|each)\s*\0"
    r"|(?<![^\s(=,:\[{+])[fFrRbB]{1,2}'[^\s(,.;:!?)]"
)
_SIGNS = tuple(
    re.compile(sign)
    for sign in (
        r"[{(\[\\]$|\)\s*(?:\{|[-=]>)|;\s*(?:done|fi)\b|;\s*(?:do|then)$|[\w\])]\s*[!=]==?\s*[\w\"'(\0]|&&|\|[|>]|\(\);|\w\+\+",
        r"\w(?:->\w|\s*[-+*]=\s|\s*<-\s)|:=|%>|/[*>]|\*/|(?<!:)//|<!--|<\?|\{[%#/@]|\{\{[\s#/.>^&!-]",
        # Prefixed strings, operations on strings, functions without a name.
        r"(?<![^\s(=,:\[{+])(?:[fFrRbBuU]{1,2}|\$@?|@\$?)\"[^\s,.;:!?)]|\.format\(|[\"']\s*%\s*[\w(]",
        r"\b(?:function|lambda)\b\s*\w*\s*\(",
        # Markup. Other tags, such as <document>, are common in prompts.
        rf"</?(?:{_HTML})(?:\s[^<>]*)?/?>|<(?:input|textarea|source|article|section)\s[^<>]*>",
        r"</?(?:[A-Z][a-z][^<>]*>|\w+[:.]\w)|\\(?:[A-Za-z]{2,}|[\[\]()])",
    )
)
_PLAIN = re.compile(r"[^=<>{}\[\]\\;|&/*+%@#$\"(]*")
_BLOCK = re.compile(r"^\s*(?:for|while|if|elif|with|except|match|case)\b.*:$")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_LIST = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s")
_INTRODUCTION = re.compile(
    r"(?![a-z_][\w.-]*:\s)[^\W\d_](?:\S*\s+\S+\s+\S+\s+\S|.*(?:\s|[^\0-\x7f]).*[.:?!…\u3002\uff1a\uff1f\uff01][\"'”»)*]*$)"
)
_QUOTES = re.compile(r'"""|\'\'\'')

_SPAN = re.compile(r"(?<!`)`+[^`]+`+|\$(?=\S)[^$]*[^\s$]\$(?!\d)|<[A-Za-z][\w:.-]*\s[^<>]*>")
_BRACKET = re.compile(r"[(\[{}\])\0]")
_TAG = re.compile(r"</?[\w.-]+>")
_TOKEN = re.compile(r"[^\s\x80-\U0010ffff]+")
_SYMBOL = re.compile(
    r"[$#%&^\\)\]}]\0|(?<!\0)@\0|\\[A-Za-z]+\*?\0|[A-Za-z]{2}\0|(?:(?<![A-Za-z0-9_])[A-Za-z]|\\[A-Za-z]+|[)}\]'|])_\0|\{"
)
_PATH = re.compile(r"^[^A-Za-z]*[A-Za-z].*/|^[^/]*/.*[A-Za-z]|^[\"'(]?/")


def in_code(text: str) -> list[bool]:
    """Return for each hole of the text, in order, whether it is in code."""
    lines = _Lines(text)
    return [
        whole or part
        for number, line in enumerate(lines.lines)
        if HOLE in line
        for whole in (lines.are_code(number),)
        for part in _in_code_within(line)
    ]


class _Lines:
    """Lines of a prompt; only those that decide on a hole are examined, because a prompt may hold a long log."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self._indents = [_indent(line) for line in self.lines]
        self._code: dict[int, bool] = {}  # decisions: for lines in fences, then for whole blocks
        self._quoted: set[int] = set()
        self._fenced = set(self._mark_fences()) if "```" in text or "~~~" in text else set()
        if '"""' in text or "'''" in text:
            self._mark_quotes()
        self._above = self._find_above()

    def are_code(self, number: int) -> bool:
        """Return True if a line, or a line that it is indented below, is code."""
        if number in self._fenced:
            return self._code[number]
        line: int | None = number
        while line is not None:
            above = self._above[line]
            if self._block_is_code(line) or (
                self._indents[line] >= 4
                and not _LIST.match(self.lines[line])
                and not (above is not None and _LIST.match(self.lines[above]))
            ):
                return True
            line = above
        return False

    def _mark_fences(self) -> Iterator[int]:
        """Decide on fenced blocks, and yield their lines; a block of one expression alone is not code."""
        number, end = 0, len(self.lines)
        while number < end:
            opening = _FENCE.match(self.lines[number])
            first = number
            number += 1
            if opening is None:
                continue
            while number < end:
                closing = _FENCE.match(self.lines[number])
                if closing and closing[1].startswith(opening[1]) and self.lines[number].strip() == closing[1]:
                    break
                number += 1
            content = "".join(self.lines[first + 1 : number]).strip()
            number += 1
            for line in range(first, min(number, end)):
                self._code[line] = content != HOLE or line == first
                yield line

    def _mark_quotes(self) -> None:
        """Mark strings in triple quotes that begin in code as code."""
        quotes = ""
        for number, line in enumerate(self.lines):
            found = [] if number in self._fenced else _QUOTES.findall(line)
            if quotes or (found and self._has_sign(number)):
                self._quoted.add(number)
            for each in found if number in self._quoted else []:
                quotes = "" if quotes == each else quotes or each

    def _find_above(self) -> list[int | None]:
        """Return for each line the one that it is indented below."""
        above: list[int | None] = []
        stack: list[int] = []
        for number, line in enumerate(self.lines):
            if number in self._fenced or not line or line.isspace():
                above.append(None)
                continue
            while stack and self._indents[stack[-1]] >= self._indents[number]:
                stack.pop()
            above.append(stack[-1] if stack else None)
            stack.append(number)
        return above

    def _block_is_code(self, number: int) -> bool:
        """Return True if the paragraph is code from this line, or from an earlier one."""
        if number not in self._code:
            start = end = number
            while self._goes_on(start - 1):
                start -= 1
            while self._goes_on(end + 1):
                end += 1
            block = range(start, end + 1)
            first = next((line for line in block if line in self._quoted or self._has_sign(line)), end + 1)
            # Sentences before code introduce it.
            while start < first and (first > end or _INTRODUCTION.match(_cut(self.lines[start].rstrip(), _SENTENCE))):
                start += 1
            self._code.update((line, line >= start) for line in block)
        return self._code[number]

    def _goes_on(self, number: int) -> bool:
        if not 0 <= number < len(self.lines) or number in self._fenced:
            return False
        line = self.lines[number]
        return line != "" and not line.isspace()

    def _has_sign(self, number: int) -> bool:
        line = self.lines[number]
        line = _SPAN.sub(lambda span: span[0] if span[0][0] == "<" else "c" * len(span[0]), line).rstrip()
        line = _cut(line, _WINDOW)
        if _BEGINNING.match(line) or _WORDS.search(line):
            return True
        if not _PLAIN.fullmatch(line) and any(sign.search(line) for sign in _SIGNS):
            return True
        below = self._indents[number + 1] if number + 1 < len(self.lines) else 0
        return below > self._indents[number] and _BLOCK.match(line) is not None


def _indent(line: str) -> int:
    rest = line.lstrip()
    return len(line[: len(line) - len(rest)].expandtabs(4)) if rest and line[0].isspace() else 0


def _in_code_within(line: str) -> Iterator[bool]:
    line = line.rstrip()
    found = dict.fromkeys((place for place, character in enumerate(line) if character == HOLE), False)
    for span in _SPAN.finditer(line):
        found.update((place, True) for place in range(*span.span()) if place in found)
    _mark_nested(line, found)
    plain = _TAG.sub(lambda tag: " " * len(tag[0]), line)
    for token in _TOKEN.finditer(plain):
        if HOLE in token[0] and (_SYMBOL.search(token[0]) or ("/" in token[0] and _PATH.search(token[0]))):
            found.update((place, True) for place in range(*token.span()) if place in found)
    yield from found.values()


def _cut(line: str, size: int) -> str:
    """Return a line, or the two ends of a long one."""
    return line if len(line) <= 2 * size else f"{line[:size]} {line[-size:]}"


def _mark_nested(line: str, found: dict[int, bool]) -> None:
    open_brackets: list[bool] = []  # whether it is a brace, a call's or an index's
    within = 0
    for bracket in _BRACKET.finditer(line):
        place, character = bracket.start(), bracket[0]
        if character == HOLE:
            found[place] = found[place] or within > 0
        elif character in "([{":
            before = line[place - 1 : place]
            open_brackets.append(character == "{" or before.isalnum() or before in ("_", "!"))
            within += open_brackets[-1]
        elif open_brackets:
            within -= open_brackets.pop()
