"""Gemini's function calls, complete or argument by argument.

Wire format: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Content, FunctionCall with
``partialArgs``: each has its place as a JSON path (RFC 9535), such as ``$.foo.bar[0].data``.
"""

import re
from contextlib import suppress
from typing import Any

from ...core.errors import ProviderError
from ...core.events import ToolCall
from ..errors import ErrorBuilder
from ..event_limits import MAX_ARGUMENTS, MAX_CALLS, too_many_arguments
from .lenient_json import as_json, list_of

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,4})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
_MAX_STEPS = 50  # of a path
_ITEM_CHARACTERS = 32  # that an item added to a list counts as; some 500,000 of them reach the limit


class GeminiCalls:
    """The calls of one answer; each is returned once it is complete."""

    def __init__(self, errors: ErrorBuilder) -> None:
        self.number = 0  # of calls so far
        self._errors = errors
        self._open: dict[str, Any] | None = None  # the call whose arguments have not ended
        self._arguments: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}  # pieces of unfinished texts, by path
        self._characters = 0

    def add(self, call: dict[str, Any]) -> list[ToolCall]:
        """Return the calls that this part completes."""
        name, pieces, continues = call.get("name"), call.get("partialArgs"), call.get("willContinue") is True
        complete: list[ToolCall] = []
        if isinstance(name, str) and name:
            complete += self.rest()
            self._begin()
            if not (continues or pieces):
                return [*complete, self._tool_call(call, call.get("args") or {})]
            self._open = call
            if isinstance(arguments := call.get("args"), dict):
                self._arguments = dict(arguments)
        if self._open is None:
            return complete
        for piece in list_of(pieces):
            if isinstance(piece, dict):
                self._add_piece(piece)
        return complete if continues else [*complete, *self.rest()]

    def rest(self) -> list[ToolCall]:
        """Return the unfinished call with its arguments so far."""
        if self._open is None:
            return []
        call, self._open = self._open, None
        for path, pieces in self._texts.items():
            with suppress(ProviderError):  # the place exists since the first piece, unless another piece replaced it
                self._put(path, "".join(pieces))
        arguments, self._arguments, self._texts = self._arguments, {}, {}
        return [self._tool_call(call, arguments)]

    def _begin(self) -> None:
        self.number += 1
        if self.number > MAX_CALLS:
            raise self._errors.error("answer_too_long", f"It has more than {MAX_CALLS:,} tool calls.")

    def _tool_call(self, call: dict[str, Any], arguments: Any) -> ToolCall:
        name = str(call.get("id") or f"call_{self.number - 1}")
        return ToolCall(id=name, name=str(call["name"]), arguments=as_json(arguments))

    def _add_piece(self, piece: dict[str, Any]) -> None:
        path = piece.get("jsonPath")
        kind = next((name for name in _VALUES if name in piece), None)
        if not isinstance(path, str) or kind is None:
            return
        value = None if kind == "nullValue" else piece[kind]
        self._count(len(path) + len(value if isinstance(value, str) else ""))
        if not isinstance(value, str):
            self._put(path, value)
        elif path in self._texts:
            self._texts[path].append(value)
        else:
            self._put(path, "")
            self._texts[path] = [value]

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MAX_ARGUMENTS:
            raise self._errors.error("answer_too_long", too_many_arguments())

    def _put(self, path: str, value: Any) -> None:
        steps = [next(part for part in found.groups() if part is not None) for found in _STEP.finditer(path)]
        indices = [found[2] is not None for found in _STEP.finditer(path)]
        if not steps or indices[0] or len(steps) > _MAX_STEPS:
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
        if (gap := int(step) + 1 - len(place)) > 0:  # a short path may add thousands of items
            self._count(gap * _ITEM_CHARACTERS)
            place.extend([None] * gap)
        place[int(step)] = value


def _at(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    return place[int(step)] if int(step) < len(place) else None
