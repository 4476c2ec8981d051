"""The line of ``%%bg``: words as a shell reads them, ``{expressions}`` filled in, options."""

from __future__ import annotations

import argparse
import json
import keyword
import math
import re
import shlex
from collections.abc import Callable
from typing import Any, NoReturn, get_args

from ...core.job import OnRestart, Priority, Retries
from .errors import MagicError
from .interpolation import Expression, Kept, pieces

PARAMS = ("max_tokens", "reasoning_effort", "schema", "seed", "stop", "temperature", "top_p")
CHOICES: dict[str, tuple[str, ...]] = {
    "--on-restart": get_args(OnRestart),
    "--priority": get_args(Priority),
    "--retries": get_args(Retries),
}
OPTIONS = (
    "--file",
    "--idle-timeout",
    "--image",
    "--name",
    "--on-restart",
    "--param",
    "--priority",
    "--raw",
    "--retries",
    "--system",
    "--thread",
    "--wait",
)

# Characters for private use stand for what is filled in, so that no value's space or quote cuts a word.
_FIRST = 0xF0000
_HOLE = re.compile("[\U000f0000-\U000ffffd]")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MagicError(f"%%bg: {message.rstrip('.')}; %bg help shows what there is.")


def options(line: str, evaluate: Callable[[Expression], str], variables: dict[str, Any]) -> argparse.Namespace:
    """Read the line; raises MagicError.

    ``{expression}`` is filled in anywhere, and a word ``$variable`` too, as in the lines of all magics; in ``--system``
    not with ``--raw``.
    """
    parser = _Parser(prog="%%bg", add_help=False, allow_abbrev=False)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--thread")
    parser.add_argument("--name", type=_variable)
    parser.add_argument("--image", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--system")
    parser.add_argument("--param", action="append", default=[], type=_param)
    parser.add_argument("--on-restart", choices=CHOICES["--on-restart"])
    parser.add_argument("--retries", choices=CHOICES["--retries"])
    parser.add_argument("--priority", choices=CHOICES["--priority"])
    parser.add_argument("--idle-timeout", type=_seconds)
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--raw", action="store_true")
    try:
        words = _words(line, evaluate, variables)
    except ValueError as error:
        parser.error(str(error).lower())
    return parser.parse_intermixed_args(words)


def _words(line: str, evaluate: Callable[[Expression], str], variables: dict[str, Any]) -> list[str]:
    holes: list[Expression] = []
    with_holes = ""
    for piece in pieces(_HOLE.sub("", line)):
        if isinstance(piece, Expression):
            with_holes += chr(_FIRST + len(holes))
            holes.append(piece)
        else:
            with_holes += piece.expression.written if isinstance(piece, Kept) else piece
    words = shlex.split(with_holes)
    raw = "--raw" in words
    return [
        _filled(word, holes, (lambda hole: hole.written) if raw and _is_system(words, number) else evaluate, variables)
        for number, word in enumerate(words)
    ]


def _is_system(words: list[str], number: int) -> bool:
    return words[number].startswith("--system=") or (number > 0 and words[number - 1] == "--system")


def _filled(
    word: str, holes: list[Expression], evaluate: Callable[[Expression], str], variables: dict[str, Any]
) -> str:
    variable = _VARIABLE.fullmatch(word)
    if variable and variable[1] in variables:
        return str(variables[variable[1]])
    return _HOLE.sub(lambda hole: evaluate(holes[ord(hole[0]) - _FIRST]), word)


def _variable(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise argparse.ArgumentTypeError(f"{name!r} is not the name of a variable")
    return name


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=str)  # NaN and its kin are no JSON
    except (ValueError, RecursionError):
        return name, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
