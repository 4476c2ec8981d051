"""Typed events from imperfect JSON.

A format's types define which fields of an event are read. One msgspec decoder reads an event of that shape. All others
are read leniently: JSON with NaN, lone surrogates or raw line ends is accepted, and a field of a wrong type counts as
missing, unless it is required: then its content would be lost silently.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from ...core.events import Channel

T = TypeVar("T")

Fit = Callable[[Any], Any]  # converts a value to a type; _WRONG if it does not fit

_WRONG: Any = object()
_MAX_DIGITS = 300  # of an integer; a longer one takes long to parse and is a mistake
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_NOT_A_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?\b(?:nan|inf|infinity|undefined)\b', re.I)
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnfitEventError(Exception):
    """An event that cannot be read."""


class NoEventError(Exception):
    """A heartbeat in the place of an event: a word, a time, null, an empty string."""


class Schema(Generic[T]):
    """Reads the events of one type.

    Args:
        shape: the type, a msgspec.Struct.
        required: by type, the fields that must have their type unless they are missing or empty.
    """

    def __init__(self, shape: type[T], *, required: Mapping[type, tuple[str, ...]]) -> None:
        self.typed = msgspec.json.Decoder(shape).decode  # raises msgspec.DecodeError or RecursionError
        self._shape = shape
        self._fit = _fit_of(shape, required)

    def untyped(self, text: str, *, is_json: bool) -> tuple[T, bool]:
        """Return an event, and whether it may hold lone surrogates; raise UnfitEventError or NoEventError."""
        splits = "\\u" in text and _HALF.search(text) is not None
        value = parse(text, is_json=is_json)
        if not is_json:  # the types may be right
            with suppress(msgspec.ValidationError, UnicodeError):
                return msgspec.convert(value, self._shape), splits
        return self.fitted(value), splits

    def fitted(self, value: Any) -> T:
        """Return an event from a decoded JSON value; raise UnfitEventError or NoEventError."""
        if not isinstance(value, dict):
            raise NoEventError
        found = self._fit(value)
        if found is _WRONG:
            raise UnfitEventError("A required field is missing.")
        return found  # type: ignore[no-any-return]


def parse(text: str, *, is_json: bool = False) -> Any:
    """Return the JSON value of an event, read leniently; ``is_json`` (strict JSON) is faster.

    Raises UnfitEventError, or NoEventError for text that is not JSON at all.
    """
    try:
        return msgspec.json.decode(text) if is_json else _decode(text)
    except RecursionError:
        raise UnfitEventError("An event is nested too deeply to be read.") from None
    except ValueError as error:
        if text.lstrip()[:1] not in ("{", "["):
            raise NoEventError from None
        with suppress(ValueError, RecursionError):
            return _decode(_NOT_A_NUMBER.sub(_null, text))
        raise UnfitEventError(f"JSON is malformed: {error}") from None


def joined(text: str) -> str:
    """Return text with surrogate pairs joined; a lone surrogate becomes U+FFFD."""
    if text.isascii() or _SURROGATE.search(text) is None:  # isascii takes no time for any length
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(value: Any) -> Any:
    """Return a JSON value with all texts and names ``joined``; raise RecursionError if it is nested too deeply."""
    match value:
        case str():
            return joined(value)
        case list():
            return [clean(item) for item in value]
        case dict():
            return {joined(name): clean(item) for name, item in value.items()}
    return value


def list_of(value: Any) -> list[Any]:
    """Return a value if it is a list, otherwise an empty list."""
    return value if isinstance(value, list) else []


def as_json(value: Any) -> str:
    """Return a JSON value as text."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeError:
        return msgspec.json.encode(clean(value)).decode()


class SurrogateJoiner:
    """Joins characters that a provider has split over two deltas of a channel."""

    def __init__(self) -> None:
        self._first: dict[Channel, str] = {}  # first half of a pair, by channel

    def join(self, channel: Channel, text: str) -> str:
        """Return the complete characters of a channel's text."""
        text = self._first.pop(channel, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._first[channel] = text[-1]
            text = text[:-1]
        return joined(text)

    def rest(self) -> dict[Channel, str]:
        """Return a replacement character for each remaining half, by channel."""
        rest = dict.fromkeys(self._first, "\ufffd")
        self._first.clear()
        return rest


def _null(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else "null"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


_decode = json.JSONDecoder(strict=False, parse_int=_integer).decode


def _fit_of(kind: Any, required: Mapping[type, tuple[str, ...]]) -> Fit:
    # One function for each kind of type in the formats.
    origin = get_origin(kind)
    if kind is Any:
        return lambda value: value
    if origin in (Union, UnionType):
        return _fit_union([_fit_of(one, required) for one in get_args(kind) if one is not type(None)])
    if origin is list:
        return _fit_list(_fit_of(get_args(kind)[0], required))
    if kind is int:
        return _fit_integer
    if kind is bool:
        return _fit_boolean
    if kind is str:
        return lambda value: value if isinstance(value, str) else _WRONG
    return _fit_struct(kind, required)


def _exact(kind: Any) -> type | None:
    # The type of which every value fits unchanged; object stands for any type.
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
        if isinstance(value, dict):  # some services send a single item without its list
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


def _fit_struct(kind: type, required: Mapping[type, tuple[str, ...]]) -> Fit:
    strict = required.get(kind, ())
    fields = {
        field.encode_name: (field.name, _exact(field.type), _fit_of(field.type, required), field.name in strict)
        for field in msgspec.structs.fields(kind)
    }
    mandatory = {field.name for field in msgspec.structs.fields(kind) if field.required}

    def fit(value: Any) -> Any:
        if not isinstance(value, dict):
            return _WRONG
        found: dict[str, Any] = {}
        for name, given in value.items():
            if given is None or (field := fields.get(name)) is None:
                continue
            own, exact, fit_field, is_strict = field
            if exact is object or type(given) is exact:
                found[own] = given
            elif (result := fit_field(given)) is not _WRONG:
                found[own] = result
            elif is_strict and given:
                raise UnfitEventError(f"{name!r} has the type {type(given).__name__}, which cannot be read")
        return kind(**found) if found.keys() >= mandatory else _WRONG

    return fit
