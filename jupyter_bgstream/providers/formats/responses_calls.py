"""The tool calls among the items of a Responses answer, and which of them wait for somebody to make them.

Wire format: https://platform.openai.com/docs/api-reference/responses/object, ``output``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .lenient import as_json

# Calls that are the client's to make, and those that a service may have made itself: then a message follows.
_OF_THE_CLIENT = frozenset({"function_call", "computer_call", "local_shell_call", "mcp_approval_request"})
_OF_EITHER = frozenset({"custom_tool_call", "shell_call", "apply_patch_call"})
_ARGUMENTS = ("arguments", "input", "code", "queries", "action", "operation")


class Call(NamedTuple):
    """One call."""

    id: str | None
    name: str
    arguments: str
    waits: bool  # the client must make it
    may_wait: bool  # so it must, unless a message follows


def call_of(item: dict[str, Any]) -> Call | None:
    """Return the call that an item is.

    None if it is none, a search of the service, whose pages are sources, or a picture that it has made.
    """
    kind = item.get("type")
    if not isinstance(kind, str) or kind in ("web_search_call", "image_generation_call"):
        return None
    if not kind.endswith("_call") and kind != "mcp_approval_request":
        return None
    given = next((item[name] for name in _ARGUMENTS if item.get(name)), "")
    named = item.get("name")
    return Call(
        id=next((str(item[name]) for name in ("call_id", "id") if item.get(name)), None),
        name=named if isinstance(named, str) and named else kind.removesuffix("_call").removesuffix("_request"),
        arguments=given if isinstance(given, str) else as_json(given),
        waits=kind in _OF_THE_CLIENT or (kind == "tool_search_call" and item.get("execution") == "client"),
        may_wait=kind in _OF_EITHER,
    )


def may_wait(items: Iterable[Any]) -> bool:
    """Whether a call of a whole answer that may be the client's has no message after it."""
    waits = False
    for item in items:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "message":
            waits = False
        elif (call := call_of(item)) is not None:
            waits = waits or call.may_wait
    return waits
