"""Gemini's function calls, whole or argument by argument.

Wire format: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Content, FunctionCall with
``partialArgs``: each names its place by a JSON path (RFC 9535), such as ``$.foo.bar[0].data``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from ...core.errors import ProviderError
from ...core.events import ToolCall
from ..errors import ErrorBuilder
from ..sanitize import MOST_ARGUMENTS, MOST_CALLS, too_many_arguments
from .lenient import as_json

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,4})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
_DEEPEST = 50  # steps of a path
_PLACE = 32  # characters that a place in a list counts as: 500,000 of them are an end


class GeminiCalls:
    """The calls of one answer; what is said of a call is said once it is whole."""

    def __init__(self, errors: ErrorBuilder) -> None:
        self.number = 0  # of calls that have begun
        self._errors = errors
        self._open: dict[str, Any] | None = None  # the call whose arguments are under way
        self._arguments: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}  # pieces of a text that goes on, by its path
        self._characters = 0

    def take(self, call: dict[str, Any]) -> list[ToolCall]:
        """Return the calls that are whole with this part."""
        name, pieces, goes_on = call.get("name"), call.get("partialArgs"), call.get("willContinue") is True
        said: list[ToolCall] = []
        if isinstance(name, str) and name:
            said += self.rest()
            self._begin()
            if not (goes_on or pieces):
                return [*said, self._whole(call, call.get("args") or {})]
            self._open = call
            if isinstance(arguments := call.get("args"), dict):
                self._arguments = dict(arguments)
        if self._open is None:
            return said
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self._add(piece)
        return said if goes_on else [*said, *self.rest()]

    def rest(self) -> list[ToolCall]:
        """Return the call that is under way, as far as it has come."""
        if self._open is None:
            return []
        call, self._open = self._open, None
        for path, pieces in self._texts.items():
            with suppress(ProviderError):  # its place is there since its first piece, unless another took it away
                self._put(path, "".join(pieces))
        arguments, self._arguments, self._texts = self._arguments, {}, {}
        return [self._whole(call, arguments)]

    def _begin(self) -> None:
        self.number += 1
        if self.number > MOST_CALLS:
            raise self._errors.error("answer_too_long", f"It asks for more than {MOST_CALLS:,} tools.")

    def _whole(self, call: dict[str, Any], arguments: Any) -> ToolCall:
        name = str(call.get("id") or f"call_{self.number - 1}")
        return ToolCall(id=name, name=str(call["name"]), arguments=as_json(arguments))

    def _add(self, piece: dict[str, Any]) -> None:
        path = piece.get("jsonPath")
        kind = next((name for name in _VALUES if name in piece), None)
        if not isinstance(path, str) or kind is None:
            return
        value = None if kind == "nullValue" else piece[kind]
        self._charge(len(path) + len(value if isinstance(value, str) else ""))
        if not isinstance(value, str):
            self._put(path, value)
        elif path in self._texts:
            self._texts[path].append(value)
        else:
            self._put(path, "")
            self._texts[path] = [value]

    def _charge(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MOST_ARGUMENTS:
            raise self._errors.error("answer_too_long", too_many_arguments())

    def _put(self, path: str, value: Any) -> None:
        steps = [next(part for part in found.groups() if part is not None) for found in _STEP.finditer(path)]
        indices = [found[2] is not None for found in _STEP.finditer(path)]
        if not steps or indices[0] or len(steps) > _DEEPEST:
            return
        place: Any = self._arguments
        for step, following in zip(steps[:-1], indices[1:], strict=True):
            inner = _at(place, step)
            if not isinstance(inner, list if following else dict):
                inner = [] if following else {}
                self._set(place, step, inner)
            place = inner
        self._set(place, steps[-1], value)

    def _set(self, place: Any, step: str, value: Any) -> None:
        if isinstance(place, dict):
            place[step] = value
            return
        if (gap := int(step) + 1 - len(place)) > 0:  # a short path may ask for thousands
            self._charge(gap * _PLACE)
            place.extend([None] * gap)
        place[int(step)] = value


def _at(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    return place[int(step)] if int(step) < len(place) else None
