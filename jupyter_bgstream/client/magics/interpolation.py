r"""``{expression}`` in a prompt: what is filled in, and what is left as it stands.

People paste code, JSON and LaTeX into prompts, so that a brace is an expression's only where it looks like one in every
respect; see docs/decisions/notebook-braces-in-a-prompt.md. What looks like one and cannot be filled in is an error:
a typing error must not be sent, and paid for, as it is.

- ``{name}``, ``{table.head()}``, ``{price:.2f}``, ``{text!r}``: filled in, as in an f-string. The brace comes right
  before the expression, all of it is on one line, and it names at least one variable.
- ``{}``, ``{ a }``, ``{"a": 1}``, ``{1,2}``, ``{a, b}``, ``\frac{a}{b}``, ``x_{i}``, ``x^{n}``, ``${name}``, ``\{x\}``:
  left as they stand.
- ``{{name}}`` is ``{name}``, and ``{{{name}}}`` is its value in braces, also in LaTeX.
"""

from __future__ import annotations

import ast
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..handle import Job
from .errors import MagicError

_LONGEST = 500  # characters of an expression
_DEEPEST = 10  # brackets within each other
_MARK = re.compile(r"[\"'()\[\]{}:\n]")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_CONSTANT = re.compile(rf"(?:{_STRING.pattern})\s*[:,}}]")
_SPEC = re.compile(r"(?:[^{}]?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(?:\.\d+)?[bcdeEfFgGnosxX%]?|[^{}]*%[A-Za-z][^{}]*")
_CONVERSION = re.compile(r"!([rsa])$")
_COMMAND = re.compile(r"\\[A-Za-z]+\*?(?:\[[^\]\n]*\])?$")
_OPENING = re.compile(r"\{+")
_SYMBOL = re.compile(r"(?:(?<![A-Za-z0-9_])[A-Za-z]|\\[A-Za-z]+|[)}\]'|])_$")  # x_, \sum_, }_: but not file_
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
_PAIRS = {")": "(", "]": "[", "}": "{"}
_NO_TEXT = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)


class Expression(NamedTuple):
    """What stands between braces."""

    source: str  # all of it, as written
    code: str
    conversion: str
    spec: str
    line: int  # from 1

    @property
    def written(self) -> str:
        """The expression with its braces."""
        return f"{{{self.source}}}"


class Kept(NamedTuple):
    """What looks like an expression in code or LaTeX, and was left as it stands."""

    expression: Expression
    before: str  # the character before its brace


Piece = str | Expression | Kept


def pieces(text: str) -> Iterator[Piece]:
    """Cut a text into what is sent as it stands and what is to be filled in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is no code may look like bad code
        found = list(_pieces(text))
    yield from found


def fill(text: str, evaluate: Callable[[Expression], str]) -> str:
    """Return the text with its expressions filled in."""
    return "".join(
        piece if isinstance(piece, str) else piece.expression.written if isinstance(piece, Kept) else evaluate(piece)
        for piece in pieces(text)
    )


def value_of(expression: Expression, namespace: dict[str, Any], where: str) -> str:
    """Evaluate an expression and write its value as ``str`` does, or as its format says.

    Raises MagicError that names the expression, ``where`` it stands, and the exception in one sentence.
    """
    try:
        # The user's own code, as in any cell.
        value = eval(expression.code, namespace)  # noqa: S307
    except Exception as error:
        raise MagicError(
            f"{expression.written} {where} cannot be filled in: {sentence(error)}; "
            f"write {{{expression.written}}} to send it as it stands, or %%bg --raw for all braces."
        ) from None
    if why := _no_text(value, expression.code):
        raise MagicError(
            f"{expression.written} {where} {why}; write {{{expression.written}}} to send it as it stands."
        ) from None
    try:
        if expression.conversion:
            value = _CONVERSIONS[expression.conversion](value)
        return format(value, expression.spec) if expression.spec else str(value)
    except Exception as error:
        raise MagicError(
            f"{expression.written} {where} cannot be written as a text: {sentence(error)}; "
            f"write {{{expression.written}}} to send it as it stands."
        ) from None


def sentence(error: BaseException) -> str:
    """Say an exception in a part of a sentence."""
    words = " ".join(str(error).split())
    words = words if len(words) <= 300 else f"{words[:299]}…"
    return f"{type(error).__name__}: {words}".rstrip(".: ")


def _pieces(text: str) -> Iterator[Piece]:
    start = at = counted = 0
    line = 1
    arguments: set[int] = set()  # where a group of LaTeX has ended, after which another may follow
    while (opening := _OPENING.search(text, at)) is not None:
        at, run = opening.start(), len(opening[0])
        line, counted = line + text.count("\n", counted, at), at
        latex = _in_latex(text, at, arguments)
        expression = None if text.startswith("\\", max(0, at - 1)) else _expression(text, at + run, line)
        end = at + run + len(expression.source) if expression else 0
        if expression is None or not text.startswith("}" * run, end):
            if latex and (closing := _closing(text, at + 1)):
                arguments.add(closing + 1)
            at += 1 if expression else run
            continue
        if run <= 2 and (latex or text.startswith("$", max(0, at - 1))):
            yield text[start:at]
            if run == 1:
                yield Kept(expression, text[at - 1])
            else:
                yield "{" * run + expression.source + "}" * run
            arguments.add(end + run)
        else:
            yield text[start:at] + "{" * (run // 2)
            yield expression if run % 2 else expression.source
            yield "}" * (run // 2)
        start = at = end + run
    yield text[start:]


def _in_latex(text: str, at: int, arguments: set[int]) -> bool:
    before = text[max(0, at - 80) : at]
    return at in arguments or before.endswith("^") or bool(_COMMAND.search(before) or _SYMBOL.search(before))


def _expression(text: str, at: int, line: int) -> Expression | None:
    first = text[at : at + 1]
    if not (first.isidentifier() or first.isdecimal() or (first and first in "([\"'-+~")) or _CONSTANT.match(text, at):
        return None
    end = _closing(text, at)
    source = text[at:end]
    if not end or source != source.rstrip():
        return None
    for code, conversion, spec in _readings(source):
        if _names_something(code):
            return Expression(source, code, conversion, spec, line)
    return None


def _readings(source: str) -> Iterator[tuple[str, str, str]]:
    # As in an f-string the first colon outside brackets begins the format.
    colon = next((place for place, depth, character in _walk(source, 0) if character == ":" and not depth), None)
    code, spec = (source, "") if colon is None else (source[:colon], source[colon + 1 :])
    conversion = _CONVERSION.search(code)
    if _SPEC.fullmatch(spec):
        yield (code[: conversion.start()], conversion[1], spec) if conversion else (code, "", spec)


def _names_something(code: str) -> bool:
    try:
        tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if isinstance(tree, ast.Tuple | ast.Set | ast.Starred | ast.Yield | ast.YieldFrom | ast.Await | ast.Lambda):
        return False
    return any(isinstance(node, ast.Name) for node in ast.walk(tree))


def _closing(text: str, at: int) -> int:
    """Return where the brace that was opened before ``at`` is closed on the same line, or 0."""
    for place, depth, character in _walk(text, at):
        if depth < 0:
            return place if character == "}" and place > at else 0
    return 0


def _walk(text: str, at: int) -> Iterator[tuple[int, int, str]]:
    """Yield colons and the last closing bracket outside strings, each with how many brackets are open there, or -1."""
    open_brackets: list[str] = []
    end = at + _LONGEST
    while (found := _MARK.search(text, at, end)) is not None:
        at, character = found.start(), found[0]
        if character in "\"'":
            string = _STRING.match(text, at)
            if string is None:
                return
            at = string.end()
            continue
        if character in "([{":
            open_brackets.append(character)
        elif character == ":":
            yield at, len(open_brackets), character
        elif character == "\n":
            return
        elif not open_brackets:
            yield at, -1, character
            return
        elif open_brackets.pop() != _PAIRS[character]:
            return
        if len(open_brackets) > _DEEPEST:
            return
        at += 1


def _no_text(value: Any, code: str) -> str:
    """Say why a value is nothing to send as a text; "" if it is."""
    if isinstance(value, Job):
        return f"is a job: write {{{code}.text}} for what it has said so far, {{{code}.result()}} to wait for it"
    if _is_picture(value):
        return f"is a picture: give it as --image {code}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"is bytes: give a picture's as --image {code}, or decode it"
    if isinstance(value, _NO_TEXT):
        kind = "a module" if isinstance(value, types.ModuleType) else "a class" if isinstance(value, type) else ""
        return f"is {kind or 'a function'}, which says nothing as a text"
    return ""


def _is_picture(value: Any) -> bool:
    if isinstance(value, type | str | int | float | list | tuple | dict):
        return False
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    if callable(getattr(figure, "savefig", None)):
        return True
    if callable(getattr(value, "save", None)) and hasattr(value, "mode") and hasattr(value, "size"):
        return True
    shown = sys.modules.get("IPython.display")
    return shown is not None and isinstance(value, shown.Image | shown.SVG)
