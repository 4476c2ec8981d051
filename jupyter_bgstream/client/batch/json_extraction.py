"""The one JSON value in an answer, whatever a model wrote around it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, NoReturn

_TAG = r"(?:think|thinking|thoughts?|reasoning)>"
_MARK = re.compile(rf'\{{\s*["}}]|\[\s*[]\[{{"\dtfn-]|</?{_TAG}', re.IGNORECASE)
_THOUGHTS_END = re.compile(rf"</{_TAG}", re.IGNORECASE)
_BLANK = "\ufeff\u200b\u2060 \t\r\n\f\v\u00a0\u202f\u3000"  # also a mark of the byte order, and spaces of no width
# What can only be meant as JSON: an object that has a name or nothing, a list of objects, lists or texts.
_MEANT = re.compile(r'\{|\[\s*["{\[]')
_MOST_TRIED = 1_000_000  # characters of prose that begin like JSON and go on otherwise: some 0.2 s
_TRY = 100  # characters that one more try costs, however soon it fails


class NotJsonError(ValueError):
    """There is no JSON in an answer, or more than one."""


def json_in(text: str) -> Any:
    """Return the one JSON value of an answer.

    The answer as a whole counts first. Else thoughts in tags such as ``<think>`` are left out, and what stands before
    and after one object or list, such as a fence or a sentence. Numbers stay exact.

    Raises:
        NotJsonError: there is none, half of one, or more than one.

    """
    try:
        return _whole(text)
    except NotJsonError as error:
        whole = error
    at, found = _scan(text, whole)
    with suppress(NotJsonError):
        return _whole(text[at:].strip(_BLANK))
    if len(found) > 1 and len(objects := [each for each in found if not _is_plain(each)]) == 1:
        found = objects  # such as [1] in a sentence
    if not found:
        raise whole
    if len(found) > 1:
        raise NotJsonError(f"it has {len(found)} JSON values")
    return found[0]


def _scan(text: str, whole: NotJsonError) -> tuple[int, list[Any]]:
    # Where thoughts have ended, and the objects and lists that stand in what follows.
    found: list[Any] = []
    answer = at = tried = 0
    thinks = False
    while (mark := _MARK.search(text, at)) is not None:
        at = mark.end() if mark[0].startswith("<") else mark.start() + 1
        if mark[0].startswith("<"):
            thinks = not mark[0].startswith("</")
            if not thinks:
                answer = at
                found.clear()
            continue
        try:
            value, size = _decoder.raw_decode(text[mark.start() :])  # an error counts the lines before it
            at = mark.start() + size
            found.append(value)
        except (ValueError, RecursionError) as error:
            tried += _TRY + getattr(error, "pos", 0)
            if tried < _MOST_TRIED and not _MEANT.match(text, mark.start()):
                continue
            # Half a value is none, also if there is a whole one inside; in thoughts it does not matter.
            if (end := _thoughts_end(text, at, last=tried >= _MOST_TRIED)) is None:
                raise NotJsonError(f"it has half a JSON value: {error}") from None
            at = end
    if thinks:
        raise whole
    return answer, found


def _thoughts_end(text: str, at: int, *, last: bool) -> int | None:
    # Where the tag stands that ends thoughts: the next one, or the last.
    places = (tag.start() for tag in _THOUGHTS_END.finditer(text, at))
    return max(places, default=None) if last else next(places, None)


def _whole(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise NotJsonError("it is nested too deeply") from None
    except ValueError as error:
        raise NotJsonError(str(error)) from None


def _is_plain(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(each, dict | list) for each in value)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    if (number := float(digits)) in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is too large")
    return number


_decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
