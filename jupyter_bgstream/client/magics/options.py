"""Line of ``%%bg``: split into words like a shell line, expressions filled in, options parsed."""

import argparse
import json
import keyword
import math
import re
import shlex
from typing import Any, NoReturn, get_args

from ...core.job import OnRestart, Priority, RetryPolicy
from .errors import MagicError
from .interpolation import Evaluate, Place, fill, places

PARAMS = ("max_tokens", "reasoning_effort", "schema", "seed", "stop", "temperature", "top_p")
CHOICES: dict[str, tuple[str, ...]] = {
    "--on-restart": get_args(OnRestart),
    "--priority": get_args(Priority),
    "--retry-policy": get_args(RetryPolicy),
}
# Private-use characters stand for expressions, so that spaces and quotes in values do not split words.
_FIRST = 0xF0000
_HOLE = re.compile("[\U000f0000-\U000ffffd]")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise MagicError(f"%%bg: {message.rstrip('.')}. %bg help lists all options.")


def options(line: str, evaluate: Evaluate, variables: dict[str, Any]) -> argparse.Namespace:
    """Parse the line.

    ``{expression}`` is filled in everywhere, and so is a word ``$variable``, as in the lines of all magics. The text of
    ``--system`` follows the rule of prompts.

    Returns:
        The options; ``places`` are the expressions in ``--system``.

    Raises:
        MagicError: the line is not valid.

    """
    parser = _Parser(prog="%%bg", add_help=False, allow_abbrev=False)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    for name, settings in _OPTIONS.items():
        parser.add_argument(name, **settings)
    try:
        words, system = _words(line, evaluate, variables)
    except ValueError as error:
        parser.error(str(error).lower())
    given = parser.parse_intermixed_args(words)
    if given.raw and given.fill:
        parser.error("--raw and --fill exclude each other")
    given.places = system
    return given


def _words(line: str, evaluate: Evaluate, variables: dict[str, Any]) -> tuple[list[str], list[Place]]:
    line = _HOLE.sub("", line)
    found = places(line, everywhere=True)
    written = [line[place.start : place.end] for place in found]
    holes = iter(range(len(found)))
    words = shlex.split(fill(line, [place._replace(braces=1) for place in found], lambda _: chr(_FIRST + next(holes))))
    flags = {word: word in words for word in ("--raw", "--fill")}
    in_system: list[Place] = []
    for number, word in enumerate(words):
        text = _HOLE.sub(lambda hole: written[ord(hole[0]) - _FIRST], word)
        variable = _VARIABLE.fullmatch(word)
        if variable and variable[1] in variables:
            words[number] = str(variables[variable[1]])
        elif not _is_system(words, number):
            words[number] = fill(text, places(text, everywhere=True), evaluate)
        elif not flags["--raw"]:
            system = places(text, everywhere=flags["--fill"])
            words[number] = fill(text, system, evaluate)
            in_system += [place._replace(line=1) for place in system]
        else:
            words[number] = text
    return words, in_system


def _is_system(words: list[str], number: int) -> bool:
    return words[number].startswith("--system=") or (number > 0 and words[number - 1] == "--system")


def _variable(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise argparse.ArgumentTypeError(f"{name!r} is not a valid variable name")
    return name


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=str)  # NaN and Infinity are not JSON
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


_OPTIONS: dict[str, dict[str, Any]] = {  # arguments of ``add_argument``, by name
    "--file": {"action": "append", "default": []},
    "--fill": {"action": "store_true"},
    "--idle-timeout": {"type": _seconds},
    "--image": {"action": "append", "default": []},
    "--name": {"type": _variable},
    "--param": {"action": "append", "default": [], "type": _param},
    "--raw": {"action": "store_true"},
    "--system": {},
    "--thread": {},
    "--wait": {"action": "store_true"},
    **{name: {"choices": choices} for name, choices in CHOICES.items()},
}
OPTIONS = tuple(sorted(_OPTIONS))
