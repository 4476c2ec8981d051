"""Events as typed values, also where a service sends what its format does not have.

A format's types say what is read of an event. One msgspec decoder reads an event that has that shape. All others are
read leniently: JSON with NaN, lone surrogates or raw line ends is taken, and a field of the wrong type is as one that
is missing, unless it is needed: then what it says would be lost in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from ...core.events import Channel

T = TypeVar("T")

Fit = Callable[[Any], Any]  # of a value to a type; _WRONG if it does not fit

_WRONG: Any = object()
_LONGEST_INTEGER = 300  # digits; longer ones would take long to read, and none is meant
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_NO_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?\b(?:nan|inf|infinity|undefined)\b', re.I)
_HALVES = re.compile("[\ud800-\udfff]")


class UnfitEventError(Exception):
    """An event cannot be read."""


class NoEventError(Exception):
    """A heartbeat that is sent as an event: a word, a time, null, an empty string."""


class Schema(Generic[T]):
    """Reads the events of one type.

    Args:
        shape: the type, a msgspec.Struct.
        needed: the fields of each type that must have their type if they are there and not empty.

    """

    def __init__(self, shape: type[T], *, needed: Mapping[type, tuple[str, ...]]) -> None:
        self.typed = msgspec.json.Decoder(shape).decode  # raises msgspec.DecodeError or RecursionError
        self._shape = shape
        self._fit = _fit_of(shape, needed)

    def untyped(self, text: str, *, is_json: bool) -> tuple[T, bool]:
        """Return an event, and whether its texts may hold halves of surrogate pairs; raises Unfit or NoEventError."""
        splits = "\\u" in text and _HALF.search(text) is not None
        value = parse(text, is_json=is_json)
        if not is_json:  # its types may be right
            with suppress(msgspec.ValidationError, UnicodeError):
                return msgspec.convert(value, self._shape), splits
        return self.fitted(value), splits

    def fitted(self, value: Any) -> T:
        """Return JSON that was read already as an event; raises Unfit or NoEventError."""
        if not isinstance(value, dict):
            raise NoEventError
        found = self._fit(value)
        if found is _WRONG:
            raise UnfitEventError("A field that is needed is missing.")
        return found  # type: ignore[no-any-return]


def parse(text: str, *, is_json: bool = False) -> Any:
    """Return the JSON value of an event, read leniently; raises UnfitEventError, or NoEvent for what is no JSON at all.

    Where it ``is_json`` as msgspec has it, that is faster.
    """
    try:
        return msgspec.json.decode(text) if is_json else _decode(text)
    except RecursionError:
        raise UnfitEventError("An event is nested too deeply to be read.") from None
    except ValueError as error:
        if text.lstrip()[:1] not in ("{", "["):
            raise NoEventError from None
        with suppress(ValueError, RecursionError):
            return _decode(_NO_NUMBER.sub(_null, text))
        raise UnfitEventError(f"JSON is malformed: {error}") from None


def whole(text: str) -> str:
    """Return text with halves of surrogate pairs joined; a half that is alone becomes U+FFFD."""
    if text.isascii() or _HALVES.search(text) is None:  # the first takes no time, however long the text is
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(value: Any) -> Any:
    """Return a JSON value whose texts and names are all ``whole``; raises RecursionError where it is too deep."""
    match value:
        case str():
            return whole(value)
        case list():
            return [clean(item) for item in value]
        case dict():
            return {whole(name): clean(item) for name, item in value.items()}
    return value


def as_json(value: Any) -> str:
    """Return a JSON value as text."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeError:
        return msgspec.json.encode(clean(value)).decode()


class Halves:
    """Joins characters that a service has cut into two deltas of a channel."""

    def __init__(self) -> None:
        self._first: dict[Channel, str] = {}  # half of a pair that the second half must follow

    def join(self, channel: Channel, text: str) -> str:
        """Return what is whole of a channel's text."""
        text = self._first.pop(channel, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._first[channel] = text[-1]
            text = text[:-1]
        return whole(text)

    def rest(self) -> dict[Channel, str]:
        """Return what stands for the halves that stayed alone, by channel."""
        rest = dict.fromkeys(self._first, "\ufffd")
        self._first.clear()
        return rest


def _null(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else "null"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


_decode = json.JSONDecoder(strict=False, parse_int=_integer).decode


def _fit_of(kind: Any, needed: Mapping[type, tuple[str, ...]]) -> Fit:
    # One function for each kind of type that the formats use.
    origin = get_origin(kind)
    if kind is Any:
        return lambda value: value
    if origin in (Union, UnionType):
        return _fit_union([_fit_of(one, needed) for one in get_args(kind) if one is not type(None)])
    if origin is list:
        return _fit_list(_fit_of(get_args(kind)[0], needed))
    if kind is int:
        return _fit_integer
    if kind is bool:
        return _fit_boolean
    if kind is str:
        return lambda value: value if isinstance(value, str) else _WRONG
    return _fit_struct(kind, needed)


def _exact(kind: Any) -> type | None:
    # A type of which every value fits as it is; object stands for all.
    if kind is Any:
        return object
    return next((one for one in (str, int, bool) if one is kind or one in get_args(kind)), None)


def _fit_union(fits: list[Fit]) -> Fit:
    def fit(value: Any) -> Any:
        for one in fits:
            if (found := one(value)) is not _WRONG:
                return found
        return _WRONG

    return fits[0] if len(fits) == 1 else fit


def _fit_list(item: Fit) -> Fit:
    def fit(value: Any) -> Any:
        if isinstance(value, dict):  # services leave the list out where there is one
            value = [value]
        if not isinstance(value, list):
            return _WRONG
        return [found for each in value if (found := item(each)) is not _WRONG]

    return fit


def _fit_integer(value: Any) -> Any:
    if isinstance(value, bool):
        return _WRONG
    if isinstance(value, int):
        return value
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return _WRONG
    return number if isinstance(value, str) or number == value else _WRONG


def _fit_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    words: Mapping[Any, bool] = {"true": True, "false": False, 1: True, 0: False}
    return words.get(value.lower() if isinstance(value, str) else value, _WRONG) if _is_plain(value) else _WRONG


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _fit_struct(kind: type, needed: Mapping[type, tuple[str, ...]]) -> Fit:
    must = needed.get(kind, ())
    fields = {
        field.encode_name: (field.name, _exact(field.type), _fit_of(field.type, needed), field.name in must)
        for field in msgspec.structs.fields(kind)
    }
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}

    def fit(value: Any) -> Any:
        if not isinstance(value, dict):
            return _WRONG
        found: dict[str, Any] = {}
        for name, given in value.items():
            if given is None or (field := fields.get(name)) is None:
                continue
            own, exact, fitted, is_needed = field
            if exact is object or type(given) is exact:
                found[own] = given
            elif (result := fitted(given)) is not _WRONG:
                found[own] = result
            elif is_needed and given:
                raise UnfitEventError(f"{name!r} is of the type {type(given).__name__}, which cannot be read")
        return kind(**found) if found.keys() >= required else _WRONG

    return fit
