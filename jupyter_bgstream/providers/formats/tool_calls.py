"""Tool calls come in fragments; they are shown whole."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec

from ...core.events import ToolCall
from ..errors import ErrorBuilder
from ..sanitize import MOST_ARGUMENTS, MOST_CALLS, too_many_arguments
from .lenient import as_json


class FunctionFragment(msgspec.Struct, gc=False):
    """The function of one."""

    name: str | None = None
    arguments: Any = None  # a string; an object at services that do not cut it


class ToolFragment(msgspec.Struct, gc=False):
    """One item of a delta's ``tool_calls``."""

    index: int | None = None
    id: str | None = None
    function: FunctionFragment | None = None


class Gathered:
    """The arguments of an answer's tool calls, piece by piece; raises ProviderError (``answer_too_long``) for too many.

    Nothing is said of a call before it is whole, so nobody else counts what has come of it.
    """

    def __init__(self, errors: ErrorBuilder) -> None:
        self._errors = errors
        self._characters = 0
        self._calls = 0

    def begin(self) -> StringIO:
        """Return where the arguments of one more call go; many small pieces take no more there than one."""
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise self._errors.error("answer_too_long", f"It asks for more than {MOST_CALLS:,} tools.")
        return StringIO()

    def add(self, to: StringIO, piece: str) -> None:
        """Take a piece."""
        self._characters += len(piece)
        if self._characters > MOST_ARGUMENTS:
            raise self._errors.error("answer_too_long", too_many_arguments())
        to.write(piece)


class _Call(msgspec.Struct):
    id: str
    arguments: StringIO
    name: str = ""


class ToolCalls:
    """Puts fragments together by their index.

    A fragment without an index, or with a new id and a name under an index that is taken (Gemini's compatible service
    gives all calls the index 0), begins a new call. A new id alone does not: older vLLMs give every fragment one.
    """

    def __init__(self, errors: ErrorBuilder) -> None:
        self._gathered = Gathered(errors)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def add(self, fragments: list[ToolFragment]) -> None:
        """Take the fragments of one delta."""
        for fragment in fragments:
            call = self._call_of(fragment)
            if fragment.function is None:
                continue
            call.name = call.name or fragment.function.name or ""  # some services repeat it in every fragment
            arguments = fragment.function.arguments
            if isinstance(arguments, str):
                self._gathered.add(call.arguments, arguments)
            elif arguments is not None:
                self._gathered.add(call.arguments, as_json(arguments))

    def whole(self) -> list[ToolCall]:
        """Return all calls, in the order in which they began."""
        return [
            ToolCall(id=call.id or f"call_{number}", name=call.name, arguments=call.arguments.getvalue())
            for number, call in enumerate(self._calls)
        ]

    def _call_of(self, fragment: ToolFragment) -> _Call:
        if fragment.index is None:
            known = self._calls[-1] if self._calls and not fragment.id else None
        else:
            known = self._by_index.get(fragment.index)
        named = fragment.function is not None and fragment.function.name
        if known is not None and (not fragment.id or fragment.id == known.id or not named):
            return known
        call = _Call(id=fragment.id or "", arguments=self._gathered.begin())
        self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        return call
