"""Fill in ``{expression}`` in a prompt.

See docs/explanation/decisions/0016-prompts-are-sent-as-written.md for the rule. In short:

- In prose ``{name}``, ``{table.head()}``, ``{price:.2f}`` and ``{text!r}`` are filled in as in an f-string. An
  expression that fails is an error, so that a typo is not sent and paid for. ``{{name}}`` is sent as ``{name}``.
- In pasted code, markup and maths (``pasted_code.py``) nothing is filled in.
- Braces without an expression, such as ``{}``, ``{ a }``, ``{"a": 1}``, ``{1,2}`` and ``{a, b}``, stay as they are.
"""

import ast
import keyword
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from ..job_handle import Job
from ..text_table import cut
from .errors import MagicError
from .pasted_code import HOLE, TEMPLATE, in_code

_LONGEST = 500  # characters of an expression
_DEEPEST = 10  # nested brackets
_MARK = re.compile(r"[\"'()\[\]{}:\n]")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_CONSTANT = re.compile(rf"(?:{_STRING.pattern})\s*[:,}}]")
_SPEC = re.compile(r"(?:[^{}]?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(?:\.\d+)?[bcdeEfFgGnosxX%]?|[^{}]*%[A-Za-z][^{}]*")
_CONVERSION = re.compile(r"!([rsa])$")
_OPENING = re.compile(r"\{+")
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
_PAIRS = {")": "(", "]": "["}
_NOT_TEXT = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)
# A set or a choice in prose, {x | x > 0} or {yes|no}, is not an expression to fill in.
_NO_EXPRESSION = (ast.Tuple, ast.Set, ast.Starred, ast.Yield, ast.YieldFrom, ast.Await, ast.Lambda, ast.Compare)


class Expression(NamedTuple):
    """Expression between braces."""

    source: str  # the whole, as written
    code: str
    conversion: str
    spec: str
    names: frozenset[str]

    @property
    def written(self) -> str:
        """Expression with its braces."""
        return f"{{{self.source}}}"


class Place(NamedTuple):
    """Position of an expression in a text, with all its braces."""

    start: int
    end: int
    line: int  # from 1
    braces: int  # on each side
    expression: Expression
    left: bool  # unchanged

    @property
    def filled(self) -> bool:
        """True if a value replaces the expression."""
        return not self.left and self.braces % 2 == 1


Evaluate = Callable[[Place], str]


def places(text: str, *, everywhere: bool = False) -> list[Place]:
    """Return the expressions of a text; with ``everywhere`` those in code are filled in as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prose may look like bad code
        found = list(_places(text))
    if everywhere or not found:
        return found
    template = TEMPLATE.search(text) is not None
    masked: list[str] = []
    at = 0
    for place in found:
        masked += [text[at : place.start].replace(HOLE, " "), HOLE]
        at = place.end
    masked.append(text[at:].replace(HOLE, " "))
    return [
        Place(*place[:5], left=code or (template and place.braces > 1))
        for place, code in zip(found, in_code("".join(masked)), strict=True)
    ]


def fill(text: str, found: list[Place], evaluate: Evaluate) -> str:
    """Return the text with these expressions filled in."""
    parts: list[str] = []
    at = 0
    for place in found:
        if place.left:
            continue
        around = place.braces // 2
        value = evaluate(place) if place.filled else place.expression.source
        parts += [text[at : place.start], "{" * around, value, "}" * around]
        at = place.end
    return "".join([*parts, text[at:]])


def value_of(expression: Expression, namespace: dict[str, Any], where: str) -> str:
    """Evaluate an expression and return its value as text.

    Raises:
        MagicError: names the expression, its position ``where``, and the exception, in one sentence.

    """
    try:
        # Code of the user, as in any cell.
        value = eval(expression.code, namespace)  # noqa: S307
    except Exception as error:
        raise MagicError(
            f"{expression.written} {where} cannot be filled in: {sentence(error)}. "
            f"Write {{{expression.written}}} to send it as it is, or use --raw for all braces."
        ) from None
    if reason := _not_text_reason(value, expression.code):
        raise MagicError(
            f"{expression.written} {where} {reason}. Write {{{expression.written}}} to send it as it is."
        ) from None
    try:
        if expression.conversion:
            value = _CONVERSIONS[expression.conversion](value)
        return format(value, expression.spec) if expression.spec else str(value)
    except Exception as error:
        raise MagicError(
            f"{expression.written} {where} cannot be formatted as text: {sentence(error)}. "
            f"Write {{{expression.written}}} to send it as it is."
        ) from None


def sentence(error: BaseException) -> str:
    """Return an exception as part of a sentence."""
    words = cut(" ".join(str(error).split()), 300)
    return f"{type(error).__name__}: {words}".rstrip(".: ")


def _places(text: str) -> Iterator[Place]:
    at = counted = 0
    line = 1
    while (opening := _OPENING.search(text, at)) is not None:
        start, braces = opening.start(), len(opening[0])
        line, counted = line + text.count("\n", counted, start), start
        at = start + braces
        expression = _expression(text, at)
        if expression is None:
            continue
        end = at + len(expression.source)
        while braces > 1 and not text.startswith("}" * braces, end):
            start, braces = start + 1, braces - 1
        at = end + braces
        yield Place(start, at, line, braces, expression, left=False)


def _expression(text: str, at: int) -> Expression | None:
    first = text[at : at + 1]
    if not (first.isidentifier() or first.isdecimal() or (first and first in "([\"'-+~")) or _CONSTANT.match(text, at):
        return None
    name = _NAME.match(text, at)
    end = name.end() if name and text.startswith("}", name.end()) else _scan(text, at, "}")
    source = text[at:end]
    return _read(source) if end and len(source) <= _LONGEST and source == source.rstrip() else None


@lru_cache(1024)
def _read(source: str) -> Expression | None:
    if _NAME.fullmatch(source):
        words = source.split(".")
        return None if any(map(keyword.iskeyword, words)) else Expression(source, source, "", "", frozenset(words[:1]))
    # As in an f-string the first colon outside brackets begins the format.
    colon = _scan(source, 0, ":")
    code, spec = (source[:colon], source[colon + 1 :]) if colon else (source, "")
    if not _SPEC.fullmatch(spec):
        return None
    conversion = _CONVERSION.search(code)
    code, kind = (code[: conversion.start()], conversion[1]) if conversion else (code, "")
    names = _names(code)
    return Expression(source, code, kind, spec, names) if names else None


def _names(code: str) -> frozenset[str]:
    """Return the variables of an expression; empty if it is not an expression to fill in."""
    try:
        tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    if isinstance(tree, _NO_EXPRESSION) or (isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr)):
        return frozenset()
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}  # of a comprehension
    return frozenset(node.id for node in names) - own


def _scan(text: str, at: int, wanted: str) -> int:
    """Return the position of a character outside strings and brackets on this line, or 0.

    Another brace ends the search, because expressions contain none on purpose.
    """
    open_brackets: list[str] = []
    end = at + _LONGEST
    while (found := _MARK.search(text, at, end)) is not None:
        at, character = found.start(), found[0]
        if character == wanted and not open_brackets:
            return at
        if character in "\"'":
            string = _STRING.match(text, at)
            if string is None:
                return 0
            at = string.end()
            continue
        if character in "([" and len(open_brackets) < _DEEPEST:
            open_brackets.append(character)
        elif character in ")]" and open_brackets and open_brackets[-1] == _PAIRS[character]:
            open_brackets.pop()
        elif character != ":":
            return 0
        at += 1
    return 0


def _not_text_reason(value: Any, code: str) -> str:
    """Return why a value must not be sent as text; "" if it can be."""
    if isinstance(value, Job):
        return f"is a job: use {{{code}.text}} for the text so far, or {{{code}.result()}} to wait for it"
    if _is_image(value):
        return f"is an image: use --image {code}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"is bytes: use --image {code} for an image, or decode it"
    if isinstance(value, _NOT_TEXT):
        kind = "a module" if isinstance(value, types.ModuleType) else "a class" if isinstance(value, type) else ""
        return f"is {kind or 'a function'}, which has no useful text"
    return ""


def _is_image(value: Any) -> bool:
    if isinstance(value, type | str | int | float | list | tuple | dict):
        return False
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    if callable(getattr(figure, "savefig", None)):
        return True
    if callable(getattr(value, "save", None)) and hasattr(value, "mode") and hasattr(value, "size"):
        return True
    shown = sys.modules.get("IPython.display")
    return shown is not None and isinstance(value, shown.Image | shown.SVG)
