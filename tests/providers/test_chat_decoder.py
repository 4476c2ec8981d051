"""The Chat Completions decoder, with hand-written streams of every shape that compatible services send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.speaking import ERRORS, STOP, cut, decoded, delta, heard, of, sse, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.providers.formats.chat_completions import ChatDecoder
from jupyter_bgstream.providers.formats.chat_usage import usage_of


def test_complete_answer_is_decoded_in_order() -> None:
    said = decoded(sse(delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), STOP))
    assert said == [
        Delta(channel="text", text="Hel"),
        Delta(channel="text", text="lo"),
        Completed(at=0.0, finish_reason="stop"),
    ]


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "reasoning_content": "hm"},
        {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"content": [{"type": "thinking", "thinking": "hm"}]},
    ],
)
def test_reasoning_fields_are_read_without_duplicates(thought: dict[str, Any]) -> None:
    said = decoded(sse(delta(**thought), delta(content="yes"), STOP))
    assert (text(said, "reasoning"), text(said)) == ("hm", "yes")


@pytest.mark.parametrize(
    "words",
    [
        {"content": "yes"},
        {"content": None, "refusal": "yes"},
        {"content": "yes", "refusal": None, "tool_calls": None, "role": None},
        {"content": [{"type": "text", "text": "y"}, {"type": "reference", "reference_ids": [1]}, {"text": "es"}]},
        {"content": ["y", "es"]},
    ],
)
def test_every_shape_of_content_becomes_text(words: dict[str, Any]) -> None:
    assert text(decoded(sse(delta(**words), STOP))) == "yes"


@pytest.mark.parametrize(
    "idle",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"index": None, "delta": None, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": ""}]},
        {"choices": [], "usage": None, "error": None, "citations": None, "x_groq": {"id": "r"}},
        {"choices": [{"index": 1, "delta": {"content": "another answer"}, "finish_reason": "stop"}]},
        "",
    ],
)
def test_empty_chunks_yield_no_events(idle: Any) -> None:
    said = decoded(sse(idle, delta(content="yes"), idle, STOP, idle))
    assert [type(event) for event in said] == [Delta, Completed]


def test_comment_lines_are_ignored() -> None:
    assert text(decoded(b": PROCESSING\n\n" + sse(delta(content="yes"), STOP))) == "yes"


class TestEnd:
    def test_close_after_finish_reason_completes(self) -> None:
        (end,) = decoded(sse(STOP, done=False))
        assert end == Completed(at=0.0, finish_reason="stop")

    @pytest.mark.parametrize("done", [True, False])
    def test_stream_without_finish_reason_is_truncated(self, done: bool) -> None:
        said, error = heard(sse(delta(content="yes"), done=done))
        assert text(said) == "yes"
        assert error is not None
        assert error.code == "truncated"

    def test_empty_body_is_truncated(self) -> None:
        with pytest.raises(ProviderError) as caught:
            decoded([])
        assert caught.value.code == "truncated"

    def test_usage_after_finish_reason_is_kept(self) -> None:
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
        assert decoded(sse(STOP, usage)) == [
            Usage(input_tokens=3, output_tokens=4),
            Completed(at=0.0, finish_reason="stop"),
        ]

    def test_data_after_done_is_ignored(self) -> None:
        assert decoded(sse(STOP) + sse(delta(content="late"), {"error": "late"}) + b"\xff\n\n") == decoded(sse(STOP))

    def test_ended_decoder_yields_nothing_more(self) -> None:
        decoder = ChatDecoder(ERRORS)
        decoder.feed(sse(STOP))
        assert decoder.ended
        assert len(decoder.close()) == 1
        assert decoder.close() == []
        assert decoder.feed(sse(delta(content="late"))) == []

    def test_content_filter_finish_reason_is_kept(self) -> None:
        (end,) = decoded(sse({"choices": [{"delta": {}, "finish_reason": "content_filter"}]}))
        assert end.finish_reason == "content_filter"

    def test_text_in_final_chunk_is_kept(self) -> None:
        last = {"choices": [{"index": 0, "delta": {"content": "!"}, "finish_reason": "stop"}]}
        assert text(decoded(sse(delta(content="yes"), last))) == "yes!"

    def test_event_with_too_many_choices_is_malformed_and_earlier_text_kept(self) -> None:
        decoder = ChatDecoder(ERRORS)
        choice = {"index": 0, "delta": {"content": "a"}}
        said = decoder.feed(sse(delta(content="yes"), {"choices": [choice] * 20_000}))
        assert (text(said), decoder.ended) == ("yes", True)
        decoder.close()
        assert decoder.error is not None
        assert (decoder.error.code, "1,000 choices" in decoder.error.message) == ("malformed_stream", True)

    def test_full_message_after_deltas_is_not_repeated(self) -> None:
        message = {"role": "assistant", "content": "yes"}
        last = {"choices": [{"index": 0, "delta": {}, "message": message, "finish_reason": "stop"}]}
        assert text(decoded(sse(delta(content="yes"), last))) == "yes"


def fragment(**fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[fields])


class TestToolCalls:
    def test_tool_call_fragments_are_joined_by_index(self) -> None:
        said = decoded(
            sse(
                fragment(index=0, id="a", type="function", function={"name": "look", "arguments": ""}),
                fragment(index=1, id="b", function={"name": "find", "arguments": '{"q"'}),
                fragment(index=0, function={"arguments": '{"at": '}),
                fragment(index=1, function={"arguments": ": 1}"}),
                fragment(index=0, function={"arguments": "2}"}),
                {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
            )
        )
        assert said == [
            ToolCall(id="a", name="look", arguments='{"at": 2}'),
            ToolCall(id="b", name="find", arguments='{"q": 1}'),
            Completed(at=0.0, finish_reason="tool_calls"),
        ]

    def test_fragments_with_reused_or_missing_index_are_joined(self) -> None:
        said = decoded(
            sse(
                fragment(index=0, id="a", function={"name": "one", "arguments": "{}"}),
                fragment(index=0, id="b", function={"name": "two", "arguments": {"x": 1}}),  # Gemini: always 0
                fragment(index=0, id="b", function={"name": "two", "arguments": None}),  # repeats id and name
                fragment(id="c", function={"name": "three", "arguments": "["}),  # no index
                fragment(function={"arguments": "]"}),
                fragment(index=9, id="d", function=None),
                STOP,
            )
        )
        assert of(said, ToolCall) == [
            ToolCall(id="a", name="one", arguments="{}"),
            ToolCall(id="b", name="two", arguments='{"x":1}'),
            ToolCall(id="c", name="three", arguments="[]"),
            ToolCall(id="d", name="", arguments=""),
        ]

    def test_fragments_with_different_ids_are_joined(self) -> None:
        said = decoded(
            sse(
                fragment(index=0, id="a", function={"name": "look", "arguments": ""}),
                fragment(index=0, id="b", function={"arguments": '{"at"'}),  # older vLLMs
                fragment(index=1, id="c", function={"name": "find"}),
                fragment(index=0, id="d", function={"arguments": ": 1}"}),
                STOP,
            )
        )
        assert of(said, ToolCall) == [
            ToolCall(id="a", name="look", arguments='{"at": 1}'),
            ToolCall(id="c", name="find", arguments=""),
        ]

    def test_tool_call_without_id_gets_one(self) -> None:
        (call,) = of(decoded(sse(fragment(index=0, function={"name": "look", "arguments": "{}"}), STOP)), ToolCall)
        assert call.id == "call_0"

    def test_incomplete_tool_call_is_dropped(self) -> None:
        said, error = heard(sse(fragment(index=0, id="a", function={"name": "look", "arguments": '{"a'}), done=False))
        assert said == []
        assert error is not None


class TestCitations:
    def test_citations_are_unique_and_have_titles(self) -> None:
        found = {
            "citations": ["https://a.example", "https://b.example"],
            "search_results": [{"title": "A", "url": "https://a.example", "date": None}],
        }
        said = decoded(sse({**delta(content="x"), **found}, {**delta(content="y"), **found}, STOP))
        assert of(said, Citation) == [Citation(url="https://a.example", title="A"), Citation(url="https://b.example")]

    def test_url_annotations_become_citations(self) -> None:
        note = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0}}
        said = decoded(sse(delta(annotations=[note, note, {"type": "other"}]), STOP))
        assert of(said, Citation) == [Citation(url="https://a.example", title="A")]

    @pytest.mark.parametrize(
        "odd", [{"citations": "x"}, {"citations": [None, 1, {}, ""]}, {"search_results": {"a": 1}}]
    )
    def test_malformed_citations_are_ignored(self, odd: dict[str, Any]) -> None:
        assert of(decoded(sse(odd, STOP)), Citation) == []


class TestUsage:
    def test_last_usage_is_reported_once(self) -> None:
        counts = [{"usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in range(5)]
        assert of(decoded(sse(*counts, STOP)), Usage) == [Usage(input_tokens=3, output_tokens=4)]

    @pytest.mark.parametrize(
        ("found", "usage"),
        [
            (
                {
                    "prompt_tokens": 10,
                    "completion_tokens": 20,
                    "total_tokens": 30,
                    "prompt_tokens_details": {"cached_tokens": 5},
                    "completion_tokens_details": {"reasoning_tokens": 15},
                },
                Usage(input_tokens=10, output_tokens=20, cached_tokens=5, reasoning_tokens=15),
            ),
            # DeepSeek names the cache otherwise; xAI counts the reasoning apart.
            ({"prompt_tokens": 3, "prompt_cache_hit_tokens": 2}, Usage(input_tokens=3, cached_tokens=2)),
            (
                {
                    "prompt_tokens": 12,
                    "completion_tokens": 2,
                    "total_tokens": 354,
                    "completion_tokens_details": {"reasoning_tokens": 340},
                },
                Usage(input_tokens=12, output_tokens=342, reasoning_tokens=340),
            ),
            ({"prompt_tokens": 3.0, "completion_tokens": None}, Usage(input_tokens=3)),
            ({"prompt_tokens": 3, "completion_tokens": 2**60}, Usage(input_tokens=3)),
            ({"prompt_tokens": True, "completion_tokens": -1}, None),
            ({"prompt_tokens": "three", "prompt_tokens_details": 7}, None),
            ({}, None),
            ("none", None),
        ],
    )
    def test_usage_shapes_are_normalized(self, found: Any, usage: Usage | None) -> None:
        assert usage_of(found) == usage

    def test_groq_usage_is_read_from_x_groq(self) -> None:
        said = decoded(sse({**STOP, "x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}}))
        assert of(said, Usage) == [Usage(input_tokens=1, output_tokens=2)]


class TestErrors:
    @pytest.mark.parametrize(
        ("payload", "code", "words"),
        [
            ({"error": "out of cheese"}, "provider_error", "out of cheese"),
            ({"error": {"message": "slow down", "code": 429}}, "rate_limited", "slow down"),
            ({"error": {"message": "slow", "type": "rate_limit_exceeded"}}, "rate_limited", "slow"),
            ({"error": {"message": "no", "code": "insufficient_quota", "type": "x"}}, "rate_limited", "no"),
            ({"error": {"message": "bad key", "code": "invalid_api_key"}}, "unauthorized", "bad key"),
            ({"error": {"message": "too long", "code": "context_length_exceeded"}}, "context_too_long", "too long"),
            ({"error": {"message": "busy", "type": "overloaded_error", "code": 529}}, "provider_error", "busy"),
            ({"error": {"code": "model_not_found", "message": "gone"}}, "model_not_found", "gone"),
            ({"error": [{"message": "first"}, {"message": "second"}]}, "provider_error", "first"),
            ([{"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}}], "provider_error", "later"),
            ({"error": {"message": "P", "metadata": {"raw": "behind it"}}}, "provider_error", "P: behind it"),
            ({"error": {"what": "odd"}}, "provider_error", '{"what":"odd"}'),
            ({"object": "error", "message": "vllm", "code": 400}, "bad_request", "vllm"),
            ({"x_groq": {"error": "over capacity"}}, "provider_error", "over capacity"),
            ({"choices": [{"delta": {}, "finish_reason": "error"}]}, "provider_error", ""),
            (
                {"choices": [{"error": {"code": 502, "message": "up"}, "finish_reason": "error"}]},
                "provider_error",
                "up",
            ),
            ('{"choices": [', "malformed_stream", '{"choices": ['),
            ({"choices": [{"delta": {"content": 7}}]}, "malformed_stream", "content"),
        ],
    )
    def test_error_payloads_map_to_codes_and_messages(self, payload: Any, code: str, words: str) -> None:
        said, error = heard(sse(delta(content="so far"), payload, delta(content="late"), STOP))
        assert text(said) == "so far"
        assert error is not None
        assert error.code == code
        assert words in error.message
        assert "puppet" in error.message

    def test_error_event_fails_with_its_message(self) -> None:
        _, error = heard(b'event: error\ndata: {"message": "gone wrong"}\n\n')
        assert error is not None
        assert (error.code, "gone wrong" in error.message) == ("provider_error", True)

    def test_text_before_bad_bytes_is_kept(self) -> None:
        for bad in (b"data: \xff\n\n", b"data: " + b"x" * (17 << 20) + b"\n\n"):
            said, error = heard(sse(delta(content="so far"), done=False) + bad)
            assert text(said) == "so far"
            assert error is not None
            assert error.code in ("malformed_stream", "event_too_large")
            assert "puppet" in error.message

    def test_long_error_message_is_cut(self) -> None:
        _, error = heard(sse({"error": {"message": "ha " * 100_000}}))
        assert error is not None
        assert len(error.message) < 700


LIVELY = sse(
    delta(reasoning_content="Grüße, "),
    delta(content="e\u0301 n\u0303 👩‍👩‍👧‍👦 🇨🇭 "),
    delta(content="한국어 \u2028 \u0085 \0 \\n 𐍈"),
    {**STOP, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
)


@settings(deadline=None)  # it is the answer that counts, however busy the machine
@given(st.lists(st.integers(0, len(LIVELY))))
def test_stream_in_any_pieces_decodes_the_same(places: list[int]) -> None:
    assert decoded(cut(LIVELY, places)) == decoded(LIVELY)


def test_every_cut_yields_a_prefix_and_is_truncated() -> None:
    whole = text(decoded(LIVELY))
    assert "👩‍👩‍👧‍👦" in whole
    finish = LIVELY.index(b'"finish_reason"')
    for place in range(finish):
        said, error = heard(LIVELY[:place])
        assert whole.startswith(text(said))
        assert error is not None
        assert error.code == "truncated"


def test_groq_search_results_become_citations() -> None:
    found = [{"title": "A", "url": "https://a.example", "content": "x"}, {"url": 7}, "https://b.example"]
    tools = [{"type": "search", "search_results": {"results": found}}, {"type": "python"}, None]
    for odd in (7, {}, [7]):
        assert of(decoded(sse(delta(executed_tools=odd), STOP)), Citation) == []
    said = decoded(sse(delta(executed_tools=tools), STOP))
    pages = [(each.url, each.title) for each in of(said, Citation)]
    assert pages == [("https://a.example", "A"), ("https://b.example", "")]
