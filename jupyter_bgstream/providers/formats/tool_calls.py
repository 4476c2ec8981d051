"""Tool calls from fragments; they are yielded when complete."""

from io import StringIO
from typing import Any

import msgspec

from ...core.events import ToolCall
from ..errors import ErrorBuilder
from ..event_limits import MAX_ARGUMENTS, MAX_CALLS, too_many_arguments
from .lenient_json import as_json


class FunctionFragment(msgspec.Struct, gc=False):
    """The function of a fragment."""

    name: str | None = None
    arguments: Any = None  # a string; an object of services that do not split it


class ToolFragment(msgspec.Struct, gc=False):
    """One item of a delta's ``tool_calls``."""

    index: int | None = None
    id: str | None = None
    function: FunctionFragment | None = None


class ArgumentBuffers:
    """Buffers for the arguments of an answer's tool calls; raises ProviderError (``answer_too_long``) at a limit.

    A call is not yielded before it is complete, so no other limit applies to its fragments.
    """

    def __init__(self, errors: ErrorBuilder) -> None:
        self._errors = errors
        self._characters = 0
        self._calls = 0

    def begin(self) -> StringIO:
        """Return a buffer for the arguments of one more call; many small pieces take no more memory than one."""
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise self._errors.error("answer_too_long", f"It has more than {MAX_CALLS:,} tool calls.")
        return StringIO()

    def add(self, buffer: StringIO, piece: str) -> None:
        """Append a piece to a buffer."""
        self._characters += len(piece)
        if self._characters > MAX_ARGUMENTS:
            raise self._errors.error("answer_too_long", too_many_arguments())
        buffer.write(piece)


class _Call(msgspec.Struct):
    id: str
    arguments: StringIO
    name: str = ""


class ToolCalls:
    """Joins fragments by their index.

    A fragment without an index starts a new call, and so does one with a new id and a name under a known index
    (Gemini's compatible API gives all calls the index 0). A new id alone does not: older vLLMs give every fragment one.
    """

    def __init__(self, errors: ErrorBuilder) -> None:
        self._buffers = ArgumentBuffers(errors)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def add(self, fragments: list[ToolFragment]) -> None:
        """Add the fragments of one delta."""
        for fragment in fragments:
            call = self._call_of(fragment)
            if fragment.function is None:
                continue
            call.name = call.name or fragment.function.name or ""  # some services repeat it in every fragment
            arguments = fragment.function.arguments
            if isinstance(arguments, str):
                self._buffers.add(call.arguments, arguments)
            elif arguments is not None:
                self._buffers.add(call.arguments, as_json(arguments))

    def complete(self) -> list[ToolCall]:
        """Return all calls, in order."""
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
        call = _Call(id=fragment.id or "", arguments=self._buffers.begin())
        self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        return call
