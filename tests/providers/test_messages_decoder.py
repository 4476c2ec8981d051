"""Anthropic's Messages: hand-written events of each kind, decoded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.decoding import decoded, heard, named, one_by_one
from providers.messages_samples import EVENTS, FULL, START, STOP, answer, begun, block, ended, finish, piece
from providers.speaking import ERRORS, cut, cut_at_random, of, text

from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.providers.formats.anthropic_messages import MessagesDecoder, usage_of


class TestDecoder:
    def test_every_kind_of_event_is_decoded(self) -> None:
        assert decoded(MessagesDecoder, b"".join(FULL)) == EVENTS

    def test_stream_byte_by_byte_decodes_the_same(self) -> None:
        assert decoded(MessagesDecoder, one_by_one(b"".join(FULL))) == EVENTS

    @pytest.mark.parametrize("seed", range(3))
    def test_stream_in_random_pieces_decodes_the_same(self, seed: int) -> None:
        assert decoded(MessagesDecoder, cut_at_random(b"".join(FULL), seed)) == EVENTS

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 1 << 20), max_size=100))
    def test_stream_in_any_pieces_decodes_the_same(self, places: list[int]) -> None:
        assert decoded(MessagesDecoder, cut(b"".join(FULL), places)) == EVENTS

    def test_event_type_is_read_from_data(self) -> None:
        bare = [event.partition(b"\n")[2] for event in FULL]
        assert decoded(MessagesDecoder, bare) == EVENTS

    def test_incomplete_tool_call_is_dropped(self) -> None:
        said, error = heard(MessagesDecoder, FULL[:-4])
        assert of(said, ToolCall) == []
        assert error is not None

    def test_tool_call_without_deltas_takes_its_initial_input(self) -> None:
        for given_input, arguments in (({}, "{}"), ({"at": 2}, '{"at":2}'), (None, "{}")):
            events = begun(0, type="tool_use", id="toolu_1", name="look", input=given_input), ended(0)
            (call,) = of(decoded(MessagesDecoder, answer(*events, reason="tool_use")), ToolCall)
            assert call == ToolCall(id="toolu_1", name="look", arguments=arguments)

    def test_unclosed_tool_call_is_yielded_at_the_end(self) -> None:
        events = (
            begun(0, type="tool_use", id="a", name="one", input={}),
            piece(0, type="input_json_delta", partial_json="[0]"),
        )
        (call,) = of(decoded(MessagesDecoder, answer(*events, reason="tool_use")), ToolCall)
        assert call == ToolCall(id="a", name="one", arguments="[0]")

    def test_interleaved_tool_calls_are_decoded(self) -> None:
        said = decoded(
            MessagesDecoder,
            answer(
                begun(0, type="tool_use", id="a", name="one", input={}),
                begun(1, type="tool_use", name="two", input={}),
                piece(1, type="input_json_delta", partial_json="[1"),
                piece(0, type="input_json_delta", partial_json="[0]"),
                piece(1, type="input_json_delta", partial_json="]"),
                ended(1),
                ended(0),
            ),
        )
        assert of(said, ToolCall) == [
            ToolCall(id="call_1", name="two", arguments="[1]"),
            ToolCall(id="a", name="one", arguments="[0]"),
        ]

    def test_text_in_block_start_is_kept(self) -> None:
        said = decoded(
            MessagesDecoder, answer(begun(0, type="thinking", thinking="hm"), begun(1, type="text", text="yes"))
        )
        assert (text(said, "reasoning"), text(said)) == ("hm", "yes")

    def test_repeated_message_start_repeats_nothing(self) -> None:
        said = decoded(MessagesDecoder, named(START, START, *block(0, "Hel|lo"), finish(output_tokens=30), STOP))
        assert text(said) == "Hello"
        assert of(said, Usage) == [Usage(input_tokens=20, output_tokens=30, cached_tokens=5, cache_write_tokens=3)]

    def test_usage_only_at_the_end_is_read(self) -> None:
        start = {"type": "message_start", "message": {"id": "msg_1"}}
        said = decoded(MessagesDecoder, named(start, *block(0, "x"), finish(input_tokens=7, output_tokens=2), STOP))
        assert of(said, Usage) == [Usage(input_tokens=7, output_tokens=2)]

    def test_null_counts_keep_earlier_usage(self) -> None:
        end = finish()
        end["usage"] = {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 30}
        said = decoded(MessagesDecoder, named(START, *block(0, "x"), end, STOP))
        assert of(said, Usage) == [Usage(input_tokens=20, output_tokens=30, cached_tokens=5, cache_write_tokens=3)]

    def test_usage_before_a_break_is_yielded(self) -> None:
        said, error = heard(MessagesDecoder, named(START, *block(0, "x")))
        assert of(said, Usage) == [Usage(input_tokens=20, output_tokens=1, cached_tokens=5, cache_write_tokens=3)]
        assert error is not None

    @pytest.mark.parametrize(
        ("found", "usage"),
        [
            ({"input_tokens": 1, "output_tokens": 2}, Usage(input_tokens=1, output_tokens=2)),
            (
                {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}},
                Usage(input_tokens=1, output_tokens=9, reasoning_tokens=7),
            ),
            ({"cache_read_input_tokens": 4}, Usage(input_tokens=4, cached_tokens=4)),
            ({"input_tokens": "many", "server_tool_use": {"web_search_requests": 1}}, None),
            ({}, None),
        ],
    )
    def test_usage_shapes_are_normalized(self, found: dict[str, Any], usage: Usage | None) -> None:
        assert usage_of(found) == usage

    @pytest.mark.parametrize(
        ("found", "sources"),
        [
            (piece(0, type="citations_delta", citation={"type": "char_location", "document_title": "D"}), []),
            (
                piece(
                    0,
                    type="citations_delta",
                    citation={"type": "search_result_location", "source": "https://a.example", "title": None},
                ),
                [Citation(url="https://a.example")],
            ),
            (piece(0, type="citations_delta", citation={"source": "my notes", "title": "N"}), []),
            (piece(0, type="citations_delta", citation="odd"), []),
            (
                begun(0, type="text", text="", citations=[{"url": "https://a.example"}]),
                [Citation(url="https://a.example")],
            ),
            (
                begun(
                    0,
                    type="web_fetch_tool_result",
                    content={"type": "web_fetch_result", "url": "https://a.example", "content": {"title": "A"}},
                ),
                [Citation(url="https://a.example", title="A")],
            ),
            (begun(0, type="web_search_tool_result", content={"error_code": "max_uses_exceeded"}), []),
            (begun(0, type="web_search_tool_result", content=[None, {"url": 7}]), []),
        ],
    )
    def test_citations_are_decoded_from_every_shape(self, found: dict[str, Any], sources: list[Citation]) -> None:
        assert of(decoded(MessagesDecoder, answer(found, found)), Citation) == sources

    @pytest.mark.parametrize(
        "idle",
        [
            {"type": "content_block_start", "index": 0},
            {"type": "content_block_delta", "index": 0, "delta": None},
            piece(0, type="text_delta", text=None),
            piece(7, type="input_json_delta", partial_json="{"),
            piece(0, type="compaction_delta", content="x"),
            begun(0, type="compaction"),
            begun(0, type="text", text=7),
            ended(9),
            {"type": "message_start"},
            {"type": "message_delta", "delta": None, "usage": None},
            finish(None),
            {},
        ],
    )
    def test_empty_events_yield_nothing(self, idle: dict[str, Any]) -> None:
        between = b"data: " + msgspec.json.encode(idle) + b"\n\n"
        events = named(START, *block(0, "yes"), finish(output_tokens=30), STOP)
        said = decoded(MessagesDecoder, between + between.join(events))
        assert [type(event) for event in said] == [Delta, Usage, Completed]


class TestEnd:
    @pytest.mark.parametrize("place", range(len(FULL)))
    def test_stream_cut_at_any_event_is_truncated(self, place: int) -> None:
        said, error = heard(MessagesDecoder, FULL[:place])
        assert of(said, Completed) == []
        assert error is not None
        assert error.code == "truncated"

    def test_stream_cut_inside_events_fails_with_text_prefix(self) -> None:
        whole = b"".join(FULL).rstrip()  # the line ends after the last event may be missing
        answer = text(decoded(MessagesDecoder, whole))
        for place in range(len(whole)):
            said, error = heard(MessagesDecoder, whole[:place])
            assert answer.startswith(text(said))
            assert error is not None

    def test_stop_reason_does_not_complete_before_message_stop(self) -> None:
        decoder = MessagesDecoder(ERRORS)
        decoder.feed(b"".join(FULL[:-1]))
        assert not decoder.is_complete
        decoder.feed(FULL[-1])
        assert (decoder.is_complete, decoder.ended) == (True, True)

    def test_message_stop_without_stop_reason_is_truncated(self) -> None:
        _, error = heard(MessagesDecoder, named(START, *block(0, "x"), STOP))
        assert error is not None
        assert error.code == "truncated"

    def test_events_after_the_end_are_ignored(self) -> None:
        late = b"".join(named(*block(0, "late"), {"type": "error", "error": {"type": "api_error"}}))
        assert decoded(MessagesDecoder, b"".join(FULL) + late) == EVENTS

    @pytest.mark.parametrize(
        ("reason", "ours"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "refusal"),
            ("pause_turn", "pause_turn"),
            ("COMPACTION", "compaction"),
        ],
    )
    def test_stop_reasons_are_normalized(self, reason: str, ours: str) -> None:
        assert of(decoded(MessagesDecoder, answer(*block(0, "x"), reason=reason)), Completed)[0].finish_reason == ours

    def test_refusal_explanation_is_shown_only_without_text(self) -> None:
        end = finish("refusal", output_tokens=2)
        end["delta"]["stop_details"] = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
        said = decoded(MessagesDecoder, named(START, end, STOP))
        assert (text(said), of(said, Completed)[0].finish_reason) == ("Not that.", "refusal")
        said = decoded(MessagesDecoder, named(START, *block(0, "Well, "), end, STOP))
        assert text(said) == "Well, "


class TestErrors:
    @pytest.mark.parametrize(
        ("type", "code", "transient"),
        [
            ("overloaded_error", "provider_error", True),
            ("api_error", "provider_error", True),
            ("timeout_error", "provider_error", True),
            ("rate_limit_error", "rate_limited", True),
            ("authentication_error", "unauthorized", False),
            ("permission_error", "unauthorized", False),
            ("invalid_request_error", "bad_request", False),
            ("request_too_large", "bad_request", False),
            ("billing_error", "bad_request", False),
            ("not_found_error", "bad_request", False),
        ],
    )
    def test_error_in_stream_keeps_earlier_text(self, type: str, code: str, transient: bool) -> None:
        problem = {"type": "error", "error": {"type": type, "message": "Its words."}, "request_id": "req_1"}
        said, error = heard(MessagesDecoder, named(START, *block(0, "so far"), problem, finish(), STOP))
        assert text(said) == "so far"
        assert error is not None
        assert (error.code, error.transient, "Its words." in error.message) == (code, transient, True)

    def test_unknown_model_error_is_model_not_found(self) -> None:
        problem = {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-none"}}
        assert getattr(heard(MessagesDecoder, named(problem))[1], "code", None) == "model_not_found"

    @pytest.mark.parametrize(
        ("data", "code", "words"),
        [
            (b'event: error\ndata: {"message": "odd"}\n\n', "provider_error", "odd"),
            (
                b'data: {"error": {"message": "slow", "type": "rate_limit_error"}, "type": 7}\n\n',
                "rate_limited",
                "slow",
            ),
            (b"data: {oops\n\n", "malformed_stream", "{oops"),
            (b"data: [1]\n\n", "truncated", "[1]"),
            (b"data: " + b"[" * 100_000 + b"\n\n", "malformed_stream", ""),
            (b"data: \xff\n\n", "malformed_stream", "UTF-8"),
        ],
    )
    def test_malformed_stream_fails_and_keeps_earlier_text(self, data: bytes, code: str, words: str) -> None:
        said, error = heard(MessagesDecoder, b"".join(named(START, *block(0, "so far"))) + data)
        assert text(said) == "so far"
        assert error is not None
        assert (error.code, words in error.message) == (code, True)


def test_usage_of_all_iterations_is_summed() -> None:
    usage = {
        "input_tokens": 23000,
        "output_tokens": 1000,
        "iterations": [
            {"type": "compaction", "input_tokens": 180000, "output_tokens": 3500},
            {"type": "advisor_message", "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 7},
            {"type": "message", "input_tokens": 23000, "output_tokens": 1000},
            None,
        ],
    }
    assert usage_of(usage) == Usage(input_tokens=203017, output_tokens=4505, cached_tokens=7)
    for odd in ([], None, "x", [None], [{}]):
        assert usage_of(usage | {"iterations": odd}) == Usage(input_tokens=23000, output_tokens=1000)
