"""Anthropic's Messages: each request, and hand-written events of each kind."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.conftest import Connect
from providers.decoding import decoded, heard, named, one_by_one
from providers.speaking import ERRORS, cut, cut_at_random, job, of, read, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers.formats.anthropic_messages import Messages, MessagesDecoder, usage_of
from jupyter_bgstream.testing import Hold, Script, ScriptedProvider, Send, refusal, replay

COUNTS = {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": COUNTS}}
STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def begun(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ended(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def finish(reason: str | None = "end_turn", **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def block(index: int, words: str) -> list[dict[str, Any]]:
    return [
        begun(index, type="text", text=""),
        *(piece(index, type="text_delta", text=word) for word in words.split("|")),
        ended(index),
    ]


def answer(*events: dict[str, Any], reason: str = "end_turn") -> bytes:
    return b"".join(named(START, *events, finish(reason, output_tokens=30), STOP))


# Every kind of event that a stream may hold.
FULL = named(
    START,
    PING,
    begun(0, type="thinking", thinking="", signature=""),
    piece(0, type="thinking_delta", thinking="Grüße, "),
    piece(0, type="thinking_delta", thinking="hm\u2028"),
    piece(0, type="signature_delta", signature="EvQBCkYICxgC"),
    ended(0),
    begun(1, type="redacted_thinking", data="EmwKAhgB"),
    ended(1),
    begun(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    piece(2, type="input_json_delta", partial_json='{"query": "logs"}'),
    ended(2),
    begun(
        3,
        type="web_search_tool_result",
        tool_use_id="srvtoolu_1",
        content=[
            {"type": "web_search_result", "url": "https://a.example/", "title": "A", "encrypted_content": "x"},
            {"type": "web_search_result", "url": "https://b.example/", "title": "B", "encrypted_content": "x"},
        ],
    ),
    ended(3),
    begun(4, type="text", text="", citations=[]),
    piece(4, type="text_delta", text="A 👩‍👩‍👧‍👦 "),
    piece(4, type="citations_delta", citation={"type": "web_search_result_location", "url": "https://a.example/"}),
    piece(
        4,
        type="citations_delta",
        citation={"type": "web_search_result_location", "url": "https://c.example/", "title": "C"},
    ),
    piece(4, type="text_delta", text="log"),
    ended(4),
    begun(5, type="tool_use", id="toolu_1", name="look", input={}),
    piece(5, type="input_json_delta", partial_json=""),
    piece(5, type="input_json_delta", partial_json='{"at": '),
    piece(5, type="input_json_delta", partial_json="2}"),
    ended(5),
    {"type": "something_new", "index": 6, "delta": {"type": "text_delta", "text": "no"}},
    finish("tool_use", input_tokens=20, output_tokens=30),
    STOP,
)
SAID = [
    Delta(channel="reasoning", text="Grüße, "),
    Delta(channel="reasoning", text="hm\u2028"),
    Citation(url="https://a.example/", title="A"),
    Citation(url="https://b.example/", title="B"),
    Delta(channel="text", text="A 👩‍👩‍👧‍👦 "),
    Citation(url="https://c.example/", title="C"),
    Delta(channel="text", text="log"),
    ToolCall(id="toolu_1", name="look", arguments='{"at": 2}'),
    Usage(input_tokens=28, output_tokens=30, cached_tokens=5, cache_write_tokens=3),
    Completed(at=0.0, finish_reason="tool_calls"),
]


class TestDecoder:
    def test_every_kind_of_event_is_decoded(self) -> None:
        assert decoded(MessagesDecoder, b"".join(FULL)) == SAID

    def test_stream_byte_by_byte_decodes_the_same(self) -> None:
        assert decoded(MessagesDecoder, one_by_one(b"".join(FULL))) == SAID

    @pytest.mark.parametrize("seed", range(3))
    def test_stream_in_random_pieces_decodes_the_same(self, seed: int) -> None:
        assert decoded(MessagesDecoder, cut_at_random(b"".join(FULL), seed)) == SAID

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 1 << 20), max_size=100))
    def test_stream_in_any_pieces_decodes_the_same(self, places: list[int]) -> None:
        assert decoded(MessagesDecoder, cut(b"".join(FULL), places)) == SAID

    def test_event_type_is_read_from_data(self) -> None:
        bare = [event.partition(b"\n")[2] for event in FULL]
        assert decoded(MessagesDecoder, bare) == SAID

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
        assert decoded(MessagesDecoder, b"".join(FULL) + late) == SAID

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


def body_of(what: Job) -> dict[str, Any]:
    body = Messages().request(what, ERRORS).body
    assert body is not None
    found = msgspec.json.decode(body)
    assert isinstance(found, dict)
    return found


def asked(model: str = "claude-opus-4-6", **params: Any) -> dict[str, Any]:
    """Return the fields that params add to a request."""
    body = body_of(job(f"puppet/{model}", params=params))
    return {name: value for name, value in body.items() if name not in ("model", "messages", "stream")}


def said_no(model: str = "claude-opus-4-6", **params: Any) -> str:
    with pytest.raises(ProviderError) as caught:
        asked(model, **params)
    assert caught.value.code == "bad_request"
    return caught.value.message


class TestRequest:
    def test_conversation_becomes_system_and_messages(self) -> None:
        history = (
            Message(role="system", content="Be brief."),
            Message(role="user", content="Hi"),
            Message(role="assistant", content=""),  # such as an answer that was only reasoning
            Message(role="system", content=(TextPart(text="Be kind."),)),
        )
        request = Messages().request(job("puppet/claude-x", history=history), ERRORS)
        assert request.path == "/messages"
        assert request.headers == {"anthropic-version": "2023-06-01"}
        assert msgspec.json.decode(request.body or b"") == {
            "model": "claude-x",
            "max_tokens": 32_000,
            "stream": True,
            "system": "Be brief.\n\nBe kind.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "user", "content": [{"type": "text", "text": "What is a log?"}]},
            ],
        }

    def test_image_is_encoded_as_base64_source(self) -> None:
        turn = Message(
            role="user",
            content=(TextPart(text="What?"), ImagePart(media_type="image/png", data=b"\x89PNG"), TextPart(text=" ")),
        )
        assert body_of(job(history=[turn]))["messages"][0]["content"] == [
            {"type": "text", "text": "What?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
        ]

    def test_image_in_system_message_is_refused(self) -> None:
        turn = Message(role="system", content=(ImagePart(media_type="image/png", data=b"x"),))
        with pytest.raises(ProviderError, match="system message cannot hold images"):
            body_of(job(history=[turn]))

    @pytest.mark.parametrize(
        ("params", "body"),
        [
            ({}, {"max_tokens": 32_000}),
            ({"max_tokens": 9}, {"max_tokens": 9}),
            ({"temperature": 0.5, "top_p": 0.9}, {"max_tokens": 32_000, "temperature": 0.5, "top_p": 0.9}),
            ({"stop": "END"}, {"max_tokens": 32_000, "stop_sequences": ["END"]}),
            ({"stop": ["a", "b"]}, {"max_tokens": 32_000, "stop_sequences": ["a", "b"]}),
            (
                {"schema": {"type": "object"}},
                {
                    "max_tokens": 32_000,
                    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
                },
            ),
            (
                {"schema": {"type": "object"}, "reasoning_effort": "low", "temperature": 1},
                {
                    "max_tokens": 32_000,
                    "temperature": 1,
                    "thinking": {"type": "adaptive", "display": "summarized"},
                    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
                },
            ),
            (
                {"top_k": 5, "tools": [{"type": "web_search_20250305", "name": "web_search"}], "max_tokens": 5},
                {"max_tokens": 5, "top_k": 5, "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            ),
        ],
    )
    def test_params_are_encoded(self, params: dict[str, Any], body: dict[str, Any]) -> None:
        assert asked(**params) == body

    @pytest.mark.parametrize(
        ("model", "effort", "fields"),
        [
            ("claude-sonnet-4-5", "none", {}),
            ("claude-sonnet-4-5", "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            ("claude-haiku-4-5-20251001", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
            ("claude-opus-4-1-20250805", "medium", {"thinking": {"type": "enabled", "budget_tokens": 8192}}),
            ("claude-opus-4-20250514", "high", {"thinking": {"type": "enabled", "budget_tokens": 16_384}}),
            ("claude-3-7-sonnet-latest", "xhigh", {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
            ("claude-opus-4-5", "max", {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
            ("claude-opus-4-6", "none", {"thinking": {"type": "disabled"}}),
            ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
            *(
                (
                    model,
                    effort,
                    {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": its}},
                )
                for model, most in (
                    ("claude-opus-4-6", "max"),
                    ("claude-sonnet-4-6", "max"),
                    ("claude-opus-4-10", "xhigh"),
                    ("claude-haiku-5-5", "xhigh"),
                    ("claude-fable-5-1", "xhigh"),
                )
                for effort, its in (("minimal", "low"), ("medium", "medium"), ("xhigh", most), ("max", "max"))
            ),
        ],
    )
    def test_reasoning_effort_becomes_thinking(self, model: str, effort: str, fields: dict[str, Any]) -> None:
        assert asked(model, reasoning_effort=effort) == {"max_tokens": 32_000} | fields

    def test_contradicting_params_are_refused_by_name(self) -> None:
        assert "no seed" in said_no(seed=7)
        assert "temperature 1" in said_no(temperature=0.2, reasoning_effort="low")
        assert "temperature 1" in said_no(temperature=0.2, thinking={"type": "adaptive"})
        assert "8192 tokens for reasoning" in said_no("claude-opus-4-5", max_tokens=8192, reasoning_effort="medium")
        assert "40000 tokens" in said_no("claude-opus-4-5", thinking={"type": "enabled", "budget_tokens": 40_000})
        assert "contradict" in said_no(reasoning_effort="low", thinking={"type": "disabled"})
        assert "stop_sequences" in said_no(stop="a", stop_sequences=["b"])
        assert "messages" in said_no(messages=[])

    def test_compatible_params_are_sent(self) -> None:
        assert asked(temperature=0.2, reasoning_effort="none")["temperature"] == 0.2
        assert asked("claude-opus-4-5", max_tokens=8193, reasoning_effort="medium")["max_tokens"] == 8193

    def test_model_names_are_read_from_list(self) -> None:
        assert Messages().model_names(
            {"data": [{"id": "b", "type": "model"}, {"id": "a"}, {}, 7], "has_more": False}
        ) == [
            "a",
            "b",
        ]
        assert Messages().model_names([]) == []


class TestService:
    async def test_job_is_sent_and_answer_is_decoded(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.key = "sk-ant-secret"
        provider.routes["POST /v1/messages"] = replay(b"".join(FULL), cuts=1)
        said, error = await read(connect(format="messages", key="sk-ant-secret"))
        assert (said, error) == (SAID, None)
        request = await provider.request()
        assert request.headers["x-api-key"] == "sk-ant-secret"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in request.headers
        assert request.json["model"] == "one"

    async def test_answer_completes_while_connection_stays_open(
        self, provider: ScriptedProvider, connect: Connect
    ) -> None:
        provider.routes["POST /v1/messages"] = Script(steps=(Send(b"".join(FULL)), Hold()))
        assert await read(connect(format="messages")) == (SAID, None)

    async def test_stop_reason_alone_ends_in_idle_timeout(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["POST /v1/messages"] = Script(steps=(Send(b"".join(FULL[:-1])), Hold()))
        said, error = await read(connect(format="messages", idle_timeout=0.2))
        assert of(said, Completed) == []
        assert error is not None
        assert error.code == "idle_timeout"

    async def test_error_response_has_code_and_message(self, provider: ScriptedProvider, connect: Connect) -> None:
        problem = {"type": "error", "error": {"type": "not_found_error", "message": "model: one"}}
        provider.routes["POST /v1/messages"] = refusal(404, problem)
        _, error = await read(connect(format="messages"))
        assert error is not None
        assert (error.code, "model: one" in error.message) == ("model_not_found", True)

    async def test_html_response_error_names_the_format(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["POST /v1/messages"] = refusal(200, "<html>Sign in</html>")
        _, error = await read(connect(format="messages"))
        assert error is not None
        assert (error.code, "a stream of Anthropic Messages" in error.message) == ("malformed_stream", True)

    async def test_cancel_closes_the_socket(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["POST /v1/messages"] = Script(steps=(Send(b"".join(FULL[:17])), Hold()))
        reading = asyncio.create_task(read(connect(format="messages")))
        await provider.held()
        reading.cancel()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_status_lists_models(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes["GET /v1/models"] = refusal(200, {"data": [{"id": "claude-a"}], "has_more": False})
        status = await connect(format="messages", key="sk-ant-secret").status()
        assert (status.kind, status.models, status.error) == ("messages", ("puppet/claude-a",), None)
        request = await provider.request()
        assert request.path == "/v1/models?limit=1000"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.headers["x-api-key"] == "sk-ant-secret"


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
