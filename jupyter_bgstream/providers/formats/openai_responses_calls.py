"""Tool calls among the items of a Responses answer, and whether the client must run them.

Wire format: https://platform.openai.com/docs/api-reference/responses/object, ``output``.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .lenient_json import as_json

# Calls that the client must run, and calls that the service may have run itself: then a message follows.
_CLIENT = frozenset({"function_call", "computer_call", "local_shell_call", "mcp_approval_request"})
_CLIENT_OR_SERVICE = frozenset({"custom_tool_call", "shell_call", "apply_patch_call"})
_ARGUMENTS = ("arguments", "input", "code", "queries", "action", "operation")


class Call(NamedTuple):
    """One tool call."""

    id: str | None
    name: str
    arguments: str
    waits: bool  # the client must run it
    may_wait: bool  # the client must run it unless a message follows


def call_of(item: dict[str, Any]) -> Call | None:
    """Return the tool call in an item.

    None if it is another item: also a search of the service, whose pages are cited, or an image that it has made.
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
        waits=kind in _CLIENT or (kind == "tool_search_call" and item.get("execution") == "client"),
        may_wait=kind in _CLIENT_OR_SERVICE,
    )


def may_wait(items: Iterable[Any]) -> bool:
    """Return whether a whole answer has a call that the client may have to run, without a message after it."""
    waits = False
    for item in items:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "message":
            waits = False
        elif (call := call_of(item)) is not None:
            waits = waits or call.may_wait
    return waits
