"""Extract the one JSON value of an answer from the text around it."""

import json
import re
from contextlib import suppress
from typing import Any, NoReturn

_TAG = r"(?:think|thinking|thoughts?|reasoning)>"
_MARK = re.compile(rf'\{{\s*["}}]|\[\s*[]\[{{"\dtfn-]|</?{_TAG}', re.IGNORECASE)
_REASONING_END = re.compile(rf"</{_TAG}", re.IGNORECASE)
_BLANK = "\ufeff\u200b\u2060 \t\r\n\f\v\u00a0\u202f\u3000"  # including byte order mark and zero-width spaces
# Certainly JSON: an object with a name or empty, a list of objects, lists or texts.
_CERTAIN = re.compile(r'\{|\[\s*["{\[]')
_MAX_SCANNED = 1_000_000  # characters of prose that begin like JSON; takes about 0.2 s
_ATTEMPT = 100  # cost of one attempt in characters, however soon it fails


class NotJsonError(ValueError):
    """An answer has no JSON value, or more than one."""


def json_in(text: str) -> Any:
    """Return the one JSON value of an answer.

    The answer as a whole has precedence. Otherwise reasoning in tags such as ``<think>``, and text before and after one
    object or list, such as a fence or a sentence, are ignored. Numbers stay exact.

    Raises:
        NotJsonError: no value, an incomplete value, or several values.

    """
    try:
        return _whole(text)
    except NotJsonError as error:
        whole = error
    at, found = _scan(text, whole)
    with suppress(NotJsonError):
        return _whole(text[at:].strip(_BLANK))
    if len(found) > 1 and len(objects := [each for each in found if not _is_plain(each)]) == 1:
        found = objects  # ignores lists such as [1] in a sentence
    if not found:
        raise whole
    if len(found) > 1:
        raise NotJsonError(f"it has {len(found)} JSON values")
    return found[0]


def _scan(text: str, whole: NotJsonError) -> tuple[int, list[Any]]:
    # Returns the end of the reasoning, and the objects and lists after it.
    found: list[Any] = []
    answer = at = scanned = 0
    in_reasoning = False
    while (mark := _MARK.search(text, at)) is not None:
        at = mark.end() if mark[0].startswith("<") else mark.start() + 1
        if mark[0].startswith("<"):
            in_reasoning = not mark[0].startswith("</")
            if not in_reasoning:
                answer = at
                found.clear()
            continue
        try:
            value, size = _decoder.raw_decode(text[mark.start() :])  # a slice: an error counts the lines before it
            at = mark.start() + size
            found.append(value)
        except (ValueError, RecursionError) as error:
            scanned += _ATTEMPT + getattr(error, "pos", 0)
            if scanned < _MAX_SCANNED and not _CERTAIN.match(text, mark.start()):
                continue
            # An incomplete value is an error, even with a complete value inside, except in reasoning.
            if (end := _reasoning_end(text, at, last=scanned >= _MAX_SCANNED)) is None:
                raise NotJsonError(f"it has an incomplete JSON value: {error}") from None
            at = end
    if in_reasoning:
        raise whole
    return answer, found


def _reasoning_end(text: str, at: int, *, last: bool) -> int | None:
    # Returns the position of the next, or of the last, tag that ends reasoning.
    places = (tag.start() for tag in _REASONING_END.finditer(text, at))
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
