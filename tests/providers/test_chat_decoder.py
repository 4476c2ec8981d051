"""What compatible services really send, each shape by hand."""

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


def test_a_whole_answer_in_order() -> None:
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
def test_reasoning_has_many_names_and_is_said_once(thought: dict[str, Any]) -> None:
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
def test_text_has_many_shapes(words: dict[str, Any]) -> None:
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
def test_what_says_nothing_changes_nothing(idle: Any) -> None:
    said = decoded(sse(idle, delta(content="yes"), idle, STOP, idle))
    assert [type(event) for event in said] == [Delta, Completed]


def test_a_comment_is_a_heartbeat() -> None:
    assert text(decoded(b": PROCESSING\n\n" + sse(delta(content="yes"), STOP))) == "yes"


class TestEnd:
    def test_a_clean_close_after_a_finish_reason_is_an_end(self) -> None:
        (end,) = decoded(sse(STOP, done=False))
        assert end == Completed(at=0.0, finish_reason="stop")

    @pytest.mark.parametrize("done", [True, False])
    def test_without_a_finish_reason_there_is_none(self, done: bool) -> None:
        said, error = heard(sse(delta(content="yes"), done=done))
        assert text(said) == "yes"
        assert error is not None
        assert error.code == "truncated"

    def test_an_empty_body_is_no_answer(self) -> None:
        with pytest.raises(ProviderError) as caught:
            decoded([])
        assert caught.value.code == "truncated"

    def test_usage_may_follow_the_finish_reason(self) -> None:
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
        assert decoded(sse(STOP, usage)) == [
            Usage(input_tokens=3, output_tokens=4),
            Completed(at=0.0, finish_reason="stop"),
        ]

    def test_what_follows_done_is_not_read(self) -> None:
        assert decoded(sse(STOP) + sse(delta(content="late"), {"error": "late"}) + b"\xff\n\n") == decoded(sse(STOP))

    def test_nothing_is_said_twice(self) -> None:
        decoder = ChatDecoder(ERRORS)
        decoder.feed(sse(STOP))
        assert decoder.ended
        assert len(decoder.close()) == 1
        assert decoder.close() == []
        assert decoder.feed(sse(delta(content="late"))) == []

    def test_other_finish_reasons_keep_their_names(self) -> None:
        (end,) = decoded(sse({"choices": [{"delta": {}, "finish_reason": "content_filter"}]}))
        assert end.finish_reason == "content_filter"

    def test_the_words_of_the_last_chunk_are_not_lost(self) -> None:
        last = {"choices": [{"index": 0, "delta": {"content": "!"}, "finish_reason": "stop"}]}
        assert text(decoded(sse(delta(content="yes"), last))) == "yes!"

    def test_an_event_of_very_many_choices_is_malformed_and_what_came_before_stays(self) -> None:
        decoder = ChatDecoder(ERRORS)
        choice = {"index": 0, "delta": {"content": "a"}}
        said = decoder.feed(sse(delta(content="yes"), {"choices": [choice] * 20_000}))
        assert (text(said), decoder.ended) == ("yes", True)
        decoder.close()
        assert decoder.error is not None
        assert (decoder.error.code, "1,000 choices" in decoder.error.message) == ("malformed_stream", True)

    def test_a_full_message_after_the_deltas_does_not_double_them(self) -> None:
        message = {"role": "assistant", "content": "yes"}
        last = {"choices": [{"index": 0, "delta": {}, "message": message, "finish_reason": "stop"}]}
        assert text(decoded(sse(delta(content="yes"), last))) == "yes"


def fragment(**fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[fields])


class TestToolCalls:
    def test_fragments_are_joined_by_their_index_and_shown_whole(self) -> None:
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

    def test_services_that_take_liberties(self) -> None:
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

    def test_an_id_of_its_own_for_every_fragment(self) -> None:
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

    def test_a_call_without_an_id_is_given_one(self) -> None:
        (call,) = of(decoded(sse(fragment(index=0, function={"name": "look", "arguments": "{}"}), STOP)), ToolCall)
        assert call.id == "call_0"

    def test_half_a_call_is_not_shown(self) -> None:
        said, error = heard(sse(fragment(index=0, id="a", function={"name": "look", "arguments": '{"a'}), done=False))
        assert said == []
        assert error is not None


class TestSources:
    def test_each_page_is_named_once_and_with_its_title(self) -> None:
        found = {
            "citations": ["https://a.example", "https://b.example"],
            "search_results": [{"title": "A", "url": "https://a.example", "date": None}],
        }
        said = decoded(sse({**delta(content="x"), **found}, {**delta(content="y"), **found}, STOP))
        assert of(said, Citation) == [Citation(url="https://a.example", title="A"), Citation(url="https://b.example")]

    def test_annotations(self) -> None:
        note = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0}}
        said = decoded(sse(delta(annotations=[note, note, {"type": "other"}]), STOP))
        assert of(said, Citation) == [Citation(url="https://a.example", title="A")]

    @pytest.mark.parametrize(
        "odd", [{"citations": "x"}, {"citations": [None, 1, {}, ""]}, {"search_results": {"a": 1}}]
    )
    def test_what_is_no_source_is_passed_over(self, odd: dict[str, Any]) -> None:
        assert of(decoded(sse(odd, STOP)), Citation) == []


class TestUsage:
    def test_the_last_of_many_wins_and_is_said_once(self) -> None:
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
    def test_shapes(self, found: Any, usage: Usage | None) -> None:
        assert usage_of(found) == usage

    def test_groq_keeps_it_apart(self) -> None:
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
    def test_shapes(self, payload: Any, code: str, words: str) -> None:
        said, error = heard(sse(delta(content="so far"), payload, delta(content="late"), STOP))
        assert text(said) == "so far"
        assert error is not None
        assert error.code == code
        assert words in error.message
        assert "puppet" in error.message

    def test_an_event_of_the_type_error(self) -> None:
        _, error = heard(b'event: error\ndata: {"message": "gone wrong"}\n\n')
        assert error is not None
        assert (error.code, "gone wrong" in error.message) == ("provider_error", True)

    def test_what_was_said_in_the_same_bytes_is_not_lost(self) -> None:
        for bad in (b"data: \xff\n\n", b"data: " + b"x" * (17 << 20) + b"\n\n"):
            said, error = heard(sse(delta(content="so far"), done=False) + bad)
            assert text(said) == "so far"
            assert error is not None
            assert error.code in ("malformed_stream", "event_too_large")
            assert "puppet" in error.message

    def test_a_long_complaint_is_cut(self) -> None:
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
def test_any_cut_says_the_same(places: list[int]) -> None:
    assert decoded(cut(LIVELY, places)) == decoded(LIVELY)


def test_every_cut_is_a_prefix_and_no_end() -> None:
    whole = text(decoded(LIVELY))
    assert "👩‍👩‍👧‍👦" in whole
    finish = LIVELY.index(b'"finish_reason"')
    for place in range(finish):
        said, error = heard(LIVELY[:place])
        assert whole.startswith(text(said))
        assert error is not None
        assert error.code == "truncated"


def test_what_groq_searched_are_sources() -> None:
    found = [{"title": "A", "url": "https://a.example", "content": "x"}, {"url": 7}, "https://b.example"]
    tools = [{"type": "search", "search_results": {"results": found}}, {"type": "python"}, None]
    for odd in (7, {}, [7]):
        assert of(decoded(sse(delta(executed_tools=odd), STOP)), Citation) == []
    said = decoded(sse(delta(executed_tools=tools), STOP))
    pages = [(each.url, each.title) for each in of(said, Citation)]
    assert pages == [("https://a.example", "A"), ("https://b.example", "")]
