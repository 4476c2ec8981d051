"""OpenAI's Responses: hand-written events of each kind, decoded."""

from __future__ import annotations

from typing import Any

import pytest
from providers.responses_samples import (
    CALL,
    COUNTED,
    EVENTS,
    EVERYTHING,
    PLAIN,
    SEARCH,
    decoded,
    delta,
    done,
    end,
    heard,
    item,
    message,
    stream,
)
from providers.speaking import cut_at_random, of, text

from jupyter_bgstream.core.events import Completed, ToolCall, Usage
from jupyter_bgstream.testing.scripts import event


def test_every_event_is_decoded_once() -> None:
    assert decoded(EVERYTHING) == EVENTS


@pytest.mark.parametrize("seed", range(5))
def test_stream_in_pieces_decodes_the_same(seed: int) -> None:
    whole = b"".join(EVERYTHING)
    assert decoded(cut_at_random(whole, seed)) == EVENTS
    assert decoded(bytes([byte]) for byte in whole) == EVENTS


@pytest.mark.parametrize("place", range(len(EVERYTHING)))
def test_stream_cut_at_any_event_is_truncated(place: int) -> None:
    said, error = heard(EVERYTHING[:place])
    assert error is not None
    assert error.code == "truncated"
    assert not of(said, Completed)
    said, error = heard([*EVERYTHING[:place], event("[DONE]")])
    assert error is not None


def test_events_after_the_end_are_ignored() -> None:
    late = stream(delta("output_text", "too late"), number=99)
    assert decoded([*EVERYTHING, event("[DONE]"), *late]) == EVENTS


@pytest.mark.parametrize(
    ("kind", "channel", "whole"),
    [
        ("output_text", "text", message("Hi.")),
        ("refusal", "text", message(refusal="Hi.")),
        ("reasoning_text", "reasoning", {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hi."}]}),
        ("reasoning_summary_text", "reasoning", {"type": "reasoning", "summary": [{"text": "Hi."}]}),
    ],
)
def test_text_is_decoded_once_from_any_form(kind: str, channel: Any, whole: dict[str, Any]) -> None:
    by_deltas, by_done, by_end = [delta(kind, "H"), delta(kind, "i.")], [done(kind, "Hi.")], [end(whole)]
    for events in (
        [*by_deltas, *by_done, item(whole), *by_end],
        [*by_deltas, end()],
        [*by_deltas[:1], *by_done, *by_end],
        [*by_done, *by_end],
        by_end,
        [*by_deltas[:1], *by_end],
    ):
        assert text(decoded(stream(*events)), channel) == "Hi."


def test_differing_final_text_is_ignored() -> None:
    said = decoded(stream(*PLAIN[:2], done("output_text", "Something else, and longer"), end(message("Quite " * 9))))
    assert text(said) == "Hello, weiß 🦉"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (end(message("x")), "stop"),
        (end(message(refusal="No.")), "refusal"),
        (end(CALL), "tool_calls"),
        (end({"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "in"}), "tool_calls"),
        (end({"type": "custom_tool_call", "call_id": "c", "name": "n"}, message("Done.")), "stop"),
        (end({"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}, message("Done.")), "stop"),
        (end(message("I look."), {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}), "tool_calls"),
        (end({"type": "function_call", "call_id": "c", "name": "n"}, message("Wait.")), "tool_calls"),
        (end({"type": "mcp_approval_request", "id": "m", "name": "n", "arguments": "{}"}), "tool_calls"),
        (end({"type": "tool_search_call", "id": "t", "execution": "client"}), "tool_calls"),
        (end({"type": "tool_search_call", "id": "t", "execution": "server"}, message("Done.")), "stop"),
        (end({"type": "mcp_call", "id": "m", "name": "n", "arguments": "{}"}), "stop"),
        (end(SEARCH), "stop"),
        (end(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (end(status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (end(status="incomplete", incomplete_details={"reason": "Max_Messages"}), "max_messages"),
        (end(status="incomplete", incomplete_details=None), "incomplete"),
    ],
)
def test_finish_reason_follows_status_and_output(last: dict[str, Any], reason: str) -> None:
    assert decoded(stream(last))[-1] == Completed(at=0.0, finish_reason=reason)


def test_refusal_becomes_text_and_finish_reason() -> None:
    said = decoded(stream(delta("refusal", "I "), delta("refusal", "won't."), done("refusal", "I won't."), end()))
    assert (text(said), said[-1]) == ("I won't.", Completed(at=0.0, finish_reason="refusal"))


@pytest.mark.parametrize(
    ("found", "call"),
    [
        ({"type": "custom_tool_call", "id": "x", "call_id": "c", "name": "n", "input": "a b"}, ("c", "n", "a b")),
        ({"type": "mcp_approval_request", "id": "m", "name": "n", "arguments": "{}"}, ("m", "n", "{}")),
        ({"type": "mcp_approval_request", "id": "m"}, ("m", "mcp_approval", "")),
        ({"type": "mcp_call", "id": "m", "name": "n", "arguments": "{}"}, ("m", "n", "{}")),
        ({"type": "file_search_call", "id": "f", "queries": ["q"]}, ("f", "file_search", '["q"]')),
        ({"type": "code_interpreter_call", "id": "i", "code": "1+1"}, ("i", "code_interpreter", "1+1")),
        ({"type": "computer_call", "call_id": "c", "action": {"type": "wait"}}, ("c", "computer", '{"type":"wait"}')),
        ({"type": "function_call", "name": "n", "arguments": "{}"}, ("call_0", "n", "{}")),
    ],
)
def test_other_calls_become_tool_calls(found: dict[str, Any], call: tuple[str, str, str]) -> None:
    (shown,) = of(decoded(stream(item(found), end(found) if "call_0" not in call else end())), ToolCall)
    assert (shown.id, shown.name, shown.arguments) == call


@pytest.mark.parametrize(
    ("last", "code", "transient"),
    [
        # As the SDK's types have it, and as the service sends it.
        ({"type": "error", "code": "server_error", "message": "Oops.", "param": None}, "provider_error", True),
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "Oops."}}, "rate_limited", False),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "Oops."}}, "bad_request", False),
        (end(status="failed", error={"code": "server_error", "message": "Oops."}), "provider_error", True),
        (end(status="failed", error={"code": "rate_limit_exceeded", "message": "Oops."}), "rate_limited", True),
        (end(status="failed", error={"code": "invalid_prompt", "message": "Oops."}), "bad_request", False),
        (end(status="failed", error={"code": "vector_store_timeout", "message": "Oops."}), "provider_error", True),
        *[
            (end(status="failed", error={"code": code, "message": "Oops."}), "bad_request", False)
            for code in [
                "invalid_image",
                "invalid_image_format",
                "invalid_base64_image",
                "invalid_image_url",
                "image_too_large",
                "image_too_small",
                "image_parse_error",
                "image_content_policy_violation",
                "invalid_image_mode",
                "image_file_too_large",
                "unsupported_image_media_type",
                "empty_image_file",
                "failed_to_download_image",
                "image_file_not_found",
                "bio_policy",
                "misalignment_policy_violation",
                "data_residency_mismatch",
            ]
        ],
        (end(status="failed", error=None), "provider_error", True),
        (end(status="cancelled"), "provider_error", False),
    ],
)
def test_error_maps_to_code_and_transience(last: dict[str, Any], code: str, transient: bool) -> None:
    said, error = heard(stream(delta("output_text", "Half"), last))
    assert error is not None
    assert (error.code, error.transient, text(said)) == (code, transient, "Half")
    assert "Oops." in error.message or last["response"]["status"] == "cancelled" or not last["response"]["error"]
    assert not of(said, Completed)


def test_usage_of_failed_answer_is_yielded() -> None:
    said, error = heard(stream(end(status="failed", error={"code": "server_error", "message": "Oops."})))
    assert error is not None
    assert of(said, Usage) == [COUNTED]


@pytest.mark.parametrize("bad", ["{nonsense", '{"type": "response.output_text.delta", "delta": 5}'])
def test_unreadable_event_is_malformed(bad: str) -> None:
    said, error = heard([*stream(*PLAIN), event(bad)])
    assert error is not None
    assert (error.code, text(said)) == ("malformed_stream", "Hello, weiß 🦉")


@pytest.mark.parametrize("idle", ["[1]", '{"type": 7}', '"text"', '{"sequence_number": "x"}'])
def test_unknown_payloads_are_ignored(idle: str) -> None:
    said, error = heard([*stream(*PLAIN), event(idle), *stream(end())])
    assert (error, text(said)) == (None, "Hello, weiß 🦉")


@pytest.mark.parametrize(
    "odd",
    [
        {
            "type": "response.completed",
            "response": {"output": [None, 3, {"type": 3}, {"type": "message", "content": 1}]},
        },
        {"type": "response.completed", "response": {"output": {"a": 1}, "usage": [1], "incomplete_details": 5}},
        {"type": "response.completed"},
        {"type": "response.incomplete", "response": {"incomplete_details": {"reason": 4}}},
        {"type": "response.completed", "response": {"output": [{"type": "message", "content": [None, {"text": 4}]}]}},
    ],
)
def test_unexpected_shapes_still_complete(odd: dict[str, Any]) -> None:
    strange = [delta("output_text", ""), item({"type": None}), {"type": "response.created"}]
    assert isinstance(decoded(stream(*strange, odd))[-1], Completed)


def test_calls_before_a_message_do_not_end_in_tool_calls() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "in"}
    for items, reason in (((call, message("Done.")), "stop"), ((message("I look."), call), "tool_calls")):
        events = [item(each, place) for place, each in enumerate(items)]
        assert decoded(stream(*events, {"type": "response.completed", "response": {}}))[-1].finish_reason == reason
        whole = end(*items)
        assert decoded(stream(*events, whole))[-1].finish_reason == reason
