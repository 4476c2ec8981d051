"""Tool calls and their results in a conversation: validation, and which messages can be sent."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .errors import InvalidRequestError
from .messages import FunctionCall, Message, TextPart

MAX_ID = 200  # characters of a call's id or name


def check_tool_turns(messages: Sequence[Message], *, in_thread: bool) -> None:
    """Check that tool calls and results match.

    Args:
        messages: The messages of a job.
        in_thread: Whether the first results may answer calls of the previous turn, which is not known yet.

    Raises:
        InvalidRequestError: They do not match.
    """
    known = not in_thread
    waiting: dict[str, str] = {}  # calls without a result, with their fields
    for turn, message in enumerate(messages):
        at = f"messages[{turn}]"
        _check_fields(message, at)
        if message.role == "tool":
            id = message.tool_call_id or ""
            if waiting.pop(id, None) is None and known:
                raise InvalidRequestError(
                    f"There is no call {id!r} that this could be the result of: it must follow the assistant's message"
                    " that has the call in its tool_calls, and a call has one result.",
                    field=f"{at}.tool_call_id",
                )
        elif message.role in ("user", "assistant"):
            _check_answered(waiting)
            known = True
            for number, call in enumerate(message.tool_calls):
                field = f"{at}.tool_calls[{number}]"
                _check_call(call, waiting, field)
                waiting[call.id] = field
    _check_answered(waiting)


def sendable(messages: Sequence[Message]) -> tuple[list[Message], str | None]:
    """Return messages that a provider accepts: without the tool calls that have no result.

    An answer that requested tools stays in its thread if the user continues without their results.

    Returns:
        The messages, up to a result without a call, and the id of that result; None if all have one.
    """
    kept: list[Message] = []
    for number, message in enumerate(messages):
        if message.role == "tool" and message.tool_call_id not in _calls_before(messages, number):
            return kept, message.tool_call_id
        if message.tool_calls:
            results = _results_after(messages, number)
            answered = tuple(call for call in message.tool_calls if call.id in results)
            message = msgspec.structs.replace(message, tool_calls=answered)
        kept.append(message)
    return kept, None


def arguments_of(call: FunctionCall) -> dict[str, Any] | None:
    """Return the arguments of a call as an object; None if they are not a JSON object."""
    if not call.arguments.strip():
        return {}
    try:
        return msgspec.json.decode(call.arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def _calls_before(messages: Sequence[Message], number: int) -> set[str | None]:
    for message in reversed(messages[:number]):
        if message.role in ("user", "assistant"):
            return {call.id for call in message.tool_calls}
    return set()


def _results_after(messages: Sequence[Message], number: int) -> set[str | None]:
    found: set[str | None] = set()
    for message in messages[number + 1 :]:
        if message.role in ("user", "assistant"):
            break
        found.add(message.tool_call_id)
    return found


def _check_fields(message: Message, at: str) -> None:
    if message.tool_calls and message.role != "assistant":
        raise InvalidRequestError(f"Only an assistant has tool_calls, not {message.role}.", field=f"{at}.tool_calls")
    if message.role != "tool":
        if message.tool_call_id is not None:
            sentence = f"Only a message of the role tool has tool_call_id, not {message.role}."
            raise InvalidRequestError(sentence, field=f"{at}.tool_call_id")
        return
    if message.tool_call_id is None:
        sentence = "A message of the role tool needs tool_call_id, the id of the call whose result it is."
        raise InvalidRequestError(sentence, field=f"{at}.tool_call_id")
    for place, part in enumerate(message.parts):
        if not isinstance(part, TextPart):
            raise InvalidRequestError("The result of a tool is text.", field=f"{at}.content[{place}]")


def _check_call(call: FunctionCall, others: dict[str, str], field: str) -> None:
    for name, value in (("id", call.id), ("name", call.name)):
        if not 1 <= len(value) <= MAX_ID:
            raise InvalidRequestError(f"The {name} of a call has 1 to {MAX_ID} characters.", field=f"{field}.{name}")
    if call.id in others:
        raise InvalidRequestError(f"Two calls have the id {call.id!r}.", field=f"{field}.id")
    if arguments_of(call) is None:
        raise InvalidRequestError(
            f"The arguments of the call {call.id!r} must be a string with a JSON object, such as"
            ' "{\\"city\\": \\"Bern\\"}".',
            field=f"{field}.arguments",
        )


def _check_answered(waiting: dict[str, str]) -> None:
    if waiting:
        id, field = next(iter(waiting.items()))
        raise InvalidRequestError(
            f"The call {id!r} has no result: add a message of the role tool with this tool_call_id behind it, or leave"
            " the call out.",
            field=field,
        )
