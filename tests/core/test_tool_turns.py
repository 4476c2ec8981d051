"""Tool calls and their results: conversations that are accepted or refused."""

from __future__ import annotations

import pytest

from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.messages import FunctionCall, ImagePart, Message
from jupyter_bgstream.core.tool_call_checks import check_tool_turns, sendable

ASK = Message(role="user", content="Weather?")


def call(id: str, arguments: str = "{}", name: str = "weather") -> FunctionCall:
    return FunctionCall(id=id, name=name, arguments=arguments)


def asking(*calls: FunctionCall) -> Message:
    return Message(role="assistant", content="", tool_calls=calls)


def result(id: str | None) -> Message:
    return Message(role="tool", content="rain", tool_call_id=id)


@pytest.mark.parametrize(
    "messages",
    [
        [ASK],
        [ASK, asking(call("a")), result("a")],
        [ASK, asking(call("a"), call("b")), result("b"), result("a"), ASK],
        [ASK, asking(call("a")), result("a"), asking(call("a")), result("a")],
        [ASK, asking(call("a", "")), result("a")],
        [asking(call("a")), Message(role="system", content="x"), result("a")],
    ],
)
def test_tool_results_after_their_calls_are_accepted(messages: list[Message]) -> None:
    check_tool_turns(messages, in_thread=False)
    assert sendable(messages) == (messages, None)


@pytest.mark.parametrize(
    ("messages", "words", "field"),
    [
        ([ASK, result("a")], "There is no call 'a' that this could be the result of", "messages[1].tool_call_id"),
        ([asking(call("a")), result("b")], "There is no call 'b'", "messages[1].tool_call_id"),
        ([asking(call("a")), result("a"), result("a")], "a call has one result", "messages[2].tool_call_id"),
        ([asking(call("a")), result("a"), ASK, result("a")], "There is no call 'a'", "messages[3].tool_call_id"),
        (
            [asking(call("a")), ASK],
            "The call 'a' has no result: add a message of the role tool",
            "messages[0].tool_calls[0]",
        ),
        ([ASK, asking(call("a"), call("b")), result("a")], "The call 'b' has no result", "messages[1].tool_calls[1]"),
        ([asking(call("a"), call("a"))], "Two calls have the id 'a'.", "messages[0].tool_calls[1].id"),
        ([asking(call(""))], "The id of a call has 1 to 200 characters.", "messages[0].tool_calls[0].id"),
        ([asking(call("a", name="x" * 201))], "The name of a call has", "messages[0].tool_calls[0].name"),
        ([asking(call("a", "[1]"))], "must be a string with a JSON object", "messages[0].tool_calls[0].arguments"),
        ([asking(call("a", "{"))], "must be a string with a JSON object", "messages[0].tool_calls[0].arguments"),
        ([result(None)], "A message of the role tool needs tool_call_id", "messages[0].tool_call_id"),
        (
            [Message(role="user", content="x", tool_call_id="a")],
            "Only a message of the role tool has tool_call_id, not user.",
            "messages[0].tool_call_id",
        ),
        (
            [Message(role="user", content="x", tool_calls=(call("a"),))],
            "Only an assistant has tool_calls, not user.",
            "messages[0].tool_calls",
        ),
        (
            [Message(role="tool", tool_call_id="a", content=(ImagePart(media_type="image/png", data=b"x"),))],
            "The result of a tool is text.",
            "messages[0].content[0]",
        ),
    ],
)
def test_unmatched_calls_and_results_are_refused(messages: list[Message], words: str, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_tool_turns(messages, in_thread=False)
    assert words in caught.value.message
    assert caught.value.field == field


def test_first_results_in_thread_can_belong_to_previous_turn() -> None:
    check_tool_turns([result("a"), result("b"), ASK], in_thread=True)
    with pytest.raises(InvalidRequestError, match="There is no call 'c'"):
        check_tool_turns([result("a"), ASK, result("c")], in_thread=True)


def test_calls_without_result_are_not_sent() -> None:
    sent, stray = sendable([ASK, asking(call("a"), call("b")), result("b"), ASK, asking(call("c")), ASK])
    assert stray is None
    assert [message.tool_calls for message in sent] == [(), (call("b"),), (), (), (), ()]
    assert sendable([ASK, asking(call("a")), ASK, result("a")])[1] == "a"
