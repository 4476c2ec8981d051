"""Tool calls come in fragments; they are shown whole."""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.events import ToolCall


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None  # a string; an object at services that do not cut it


class ToolFragment(msgspec.Struct, gc=False):
    """One item of a delta's ``tool_calls``."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Call(msgspec.Struct):
    id: str
    name: str = ""
    arguments: list[str] = []


class ToolCalls:
    """Puts fragments together by their index.

    A fragment without an index, or with a new id and a name under an index that is taken (Gemini's compatible service
    gives all calls the index 0), begins a new call. A new id alone does not: older vLLMs give every fragment one.
    """

    def __init__(self) -> None:
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
                call.arguments.append(arguments)
            elif arguments is not None:
                call.arguments.append(msgspec.json.encode(arguments).decode())

    def whole(self) -> list[ToolCall]:
        """Return all calls, in the order in which they began."""
        return [
            ToolCall(id=call.id or f"call_{number}", name=call.name, arguments="".join(call.arguments))
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
        call = _Call(id=fragment.id or "")
        self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        return call
