"""Google's Gemini: hand-written responses of each kind, decoded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.decoding import bare, decoded, heard, one_by_one
from providers.gemini_samples import COUNTS, EVENTS, FULL, ends, parts, says
from providers.speaking import cut, cut_at_random, of, text

from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.providers.formats.gemini import GeminiDecoder, usage_of


class TestDecoder:
    def test_every_kind_of_response_is_decoded(self) -> None:
        assert decoded(GeminiDecoder, b"".join(FULL)) == EVENTS

    def test_stream_byte_by_byte_decodes_the_same(self) -> None:
        assert decoded(GeminiDecoder, one_by_one(b"".join(FULL))) == EVENTS

    @pytest.mark.parametrize("seed", range(3))
    def test_stream_in_random_pieces_decodes_the_same(self, seed: int) -> None:
        assert decoded(GeminiDecoder, cut_at_random(b"".join(FULL), seed)) == EVENTS

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 1 << 20), max_size=100))
    def test_stream_in_any_pieces_decodes_the_same(self, places: list[int]) -> None:
        assert decoded(GeminiDecoder, cut(b"".join(FULL), places)) == EVENTS

    def test_events_may_end_with_crlf(self) -> None:
        assert decoded(GeminiDecoder, b"".join(FULL).replace(b"\n\n", b"\r\n\r\n")) == EVENTS

    @pytest.mark.parametrize(
        ("part", "shown"),
        [
            ({"executableCode": {"code": "```"}}, "\n\n````\n```\n````\n\n"),
            ({"executableCode": {"language": "LANGUAGE_UNSPECIFIED"}}, ""),
            ({"codeExecutionResult": {"outcome": "OUTCOME_OK"}}, ""),
            (
                {"codeExecutionResult": {"outcome": "OUTCOME_DEADLINE_EXCEEDED"}},
                "\n\n```\nOUTCOME_DEADLINE_EXCEEDED\n```\n\n",
            ),
            (
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://a.example"}},
                "\n\n*(video/mp4, which is not shown here)*\n\n",
            ),
            ({"text": "not really a thought", "thought": False}, "not really a thought"),
            ({"something": "new"}, ""),
            ({}, ""),
            (None, ""),
            (7, ""),
        ],
    )
    def test_parts_become_text(self, part: Any, shown: str) -> None:
        assert text(decoded(GeminiDecoder, bare(parts(part), ends()))) == shown

    @pytest.mark.parametrize(
        "idle",
        [
            {},
            {"candidates": None, "usageMetadata": None, "promptFeedback": None},
            {"candidates": []},
            {"candidates": [{}]},
            {"candidates": [{"content": {"role": "model"}}]},
            {"candidates": [{"content": {"parts": None}, "finishReason": None}]},
            {"candidates": [{"index": 1, "content": {"parts": [{"text": "another answer"}]}, "finishReason": "STOP"}]},
            {"promptFeedback": {"safetyRatings": []}, "usageMetadata": 7},
            parts(groundingMetadata={}, citationMetadata={"citationSources": [None, {"uri": ""}, {}]}),
            parts(groundingMetadata={"groundingChunks": [None, {}, {"web": None}, {"web": {"uri": 7}}]}),
        ],
    )
    def test_empty_responses_yield_no_events(self, idle: dict[str, Any]) -> None:
        said = decoded(GeminiDecoder, bare(idle, says("yes"), idle, ends(), idle))
        assert [type(event) for event in said] == [Delta, Completed]

    def test_citation_metadata_becomes_citation(self) -> None:
        recited = {"citationSources": [{"startIndex": 1, "uri": "https://a.example", "license": "mit"}]}
        said = decoded(GeminiDecoder, bare(says("x", citationMetadata=recited), ends(citationMetadata=recited)))
        assert of(said, Citation) == [Citation(url="https://a.example")]

    @pytest.mark.parametrize(
        ("found", "usage"),
        [
            ({"promptTokenCount": 1, "candidatesTokenCount": 2}, Usage(input_tokens=1, output_tokens=2)),
            (
                {"promptTokenCount": 1, "thoughtsTokenCount": 2},
                Usage(input_tokens=1, output_tokens=2, reasoning_tokens=2),
            ),
            (
                {"promptTokenCount": 10, "cachedContentTokenCount": 8, "toolUsePromptTokenCount": 5},
                Usage(input_tokens=15, cached_tokens=8),
            ),
            ({"promptTokenCount": "many", "promptTokensDetails": [{"modality": "TEXT"}]}, None),
            ({}, None),
        ],
    )
    def test_usage_shapes_are_normalized(self, found: dict[str, Any], usage: Usage | None) -> None:
        assert usage_of(found) == usage

    def test_usage_totals_may_follow_the_end(self) -> None:
        late = {"usageMetadata": {name: COUNTS[name] for name in ("candidatesTokenCount", "thoughtsTokenCount")}}
        early = {**says("x"), "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1}}
        said = decoded(GeminiDecoder, bare(early, early, ends(), late))
        assert of(said, Usage) == [Usage(input_tokens=9, output_tokens=15, reasoning_tokens=5)]


class TestEnd:
    @pytest.mark.parametrize("place", range(len(FULL)))
    def test_stream_cut_at_any_event_is_truncated(self, place: int) -> None:
        said, error = heard(GeminiDecoder, FULL[:place])
        assert of(said, Completed) == []
        assert error is not None
        assert error.code == "truncated"

    def test_stream_cut_inside_events_fails_with_text_prefix(self) -> None:
        whole = b"".join(FULL).rstrip()  # the line ends after the last event may be missing
        answer = text(decoded(GeminiDecoder, whole))
        for place in range(len(whole)):
            said, error = heard(GeminiDecoder, whole[:place])
            assert answer.startswith(text(said))
            assert error is not None

    @pytest.mark.parametrize(
        ("reason", "ours"),
        [
            ("STOP", "stop"),
            ("MAX_TOKENS", "length"),
            *(
                (reason, "content_filter")
                for reason in (
                    "SAFETY",
                    "RECITATION",
                    "LANGUAGE",
                    "BLOCKLIST",
                    "PROHIBITED_CONTENT",
                    "SPII",
                    "IMAGE_SAFETY",
                    "IMAGE_PROHIBITED_CONTENT",
                    "IMAGE_RECITATION",
                )
            ),
            ("OTHER", "other"),
            ("NO_IMAGE", "no_image"),
        ],
    )
    def test_finish_reasons_are_normalized(self, reason: str, ours: str) -> None:
        (end,) = of(decoded(GeminiDecoder, bare(says("x"), ends(reason))), Completed)
        assert end.finish_reason == ours

    def test_tool_call_does_not_override_finish_reason(self) -> None:
        call = parts({"functionCall": {"name": "look", "args": {}}})
        (end,) = of(decoded(GeminiDecoder, bare(call, ends("MAX_TOKENS"))), Completed)
        assert end.finish_reason == "length"

    @pytest.mark.parametrize(
        ("reason", "transient"),
        [
            ("MALFORMED_FUNCTION_CALL", True),
            ("MALFORMED_RESPONSE", True),
            ("UNEXPECTED_TOOL_CALL", False),
            ("TOO_MANY_TOOL_CALLS", False),
            ("MISSING_THOUGHT_SIGNATURE", False),
        ],
    )
    def test_failing_finish_reason_is_provider_error(self, reason: str, transient: bool) -> None:
        said, error = heard(GeminiDecoder, bare(says("so far"), ends(reason, finishMessage="Its words.")))
        assert text(said) == "so far"
        assert error is not None
        assert (error.code, error.transient) == ("provider_error", transient)
        assert f"({reason}). Its words." in error.message

    def test_filter_message_is_shown_only_without_text(self) -> None:
        said = decoded(GeminiDecoder, bare(ends("SAFETY", finishMessage="Not that.")))
        assert (text(said), said[-1]) == ("Not that.", Completed(at=0.0, finish_reason="content_filter"))
        assert text(decoded(GeminiDecoder, bare(says("Well, "), ends("SAFETY", finishMessage="Not that.")))) == "Well, "
        assert text(decoded(GeminiDecoder, bare(ends("STOP", finishMessage="Fine.")))) == ""

    @pytest.mark.parametrize(
        ("feedback", "words"),
        [
            ({"blockReason": "PROHIBITED_CONTENT"}, "The prompt was blocked: PROHIBITED_CONTENT."),
            ({"blockReason": "SAFETY", "blockReasonMessage": "Not that."}, "Not that."),
        ],
    )
    def test_blocked_prompt_completes_with_the_reason_as_text(self, feedback: dict[str, Any], words: str) -> None:
        said = decoded(GeminiDecoder, bare({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9}}))
        assert said == [
            Delta(channel="text", text=words),
            Usage(input_tokens=9),
            Completed(at=0.0, finish_reason="content_filter"),
        ]

    def test_prompt_feedback_after_the_end_is_ignored(self) -> None:
        late = {"promptFeedback": {"blockReason": "OTHER"}}
        assert decoded(GeminiDecoder, bare(says("x"), ends("MAX_TOKENS"), late))[-1] == Completed(
            at=0.0, finish_reason="length"
        )


class TestErrors:
    @pytest.mark.parametrize("many", [False, True])
    @pytest.mark.parametrize(
        ("number", "status", "code", "transient"),
        [
            (400, "INVALID_ARGUMENT", "bad_request", False),
            (400, "FAILED_PRECONDITION", "bad_request", False),
            (403, "PERMISSION_DENIED", "unauthorized", False),
            (404, "NOT_FOUND", "model_not_found", False),
            (429, "RESOURCE_EXHAUSTED", "rate_limited", True),
            (500, "INTERNAL", "provider_error", True),
            (503, "UNAVAILABLE", "provider_error", True),
            (504, "DEADLINE_EXCEEDED", "provider_error", True),
        ],
    )
    def test_error_in_stream_keeps_earlier_text(
        self, number: int, status: str, code: str, transient: bool, many: bool
    ) -> None:
        problem: Any = {"error": {"code": number, "status": status, "message": "Its words of a model."}}
        said, error = heard(GeminiDecoder, bare(says("so far"), [problem] if many else problem, ends()))
        assert text(said) == "so far"
        assert error is not None
        assert (error.code, error.transient, "Its words" in error.message) == (code, transient, True)

    @pytest.mark.parametrize(
        ("data", "code", "words"),
        [
            (b"data: {oops\n\n", "malformed_stream", "{oops"),
            (b"data: [1]\n\n", "truncated", "[1]"),
            (b'data: {"candidates": [{"content": 7}]}\n\n', "malformed_stream", "content"),
            (b"data: " + b"[" * 100_000 + b"\n\n", "malformed_stream", ""),
            (b"data: \xff\n\n", "malformed_stream", "UTF-8"),
        ],
    )
    def test_malformed_stream_fails_and_keeps_earlier_text(self, data: bytes, code: str, words: str) -> None:
        said, error = heard(GeminiDecoder, b"".join(bare(says("so far"))) + data)
        assert text(said) == "so far"
        assert error is not None
        assert (error.code, words in error.message) == (code, True)


# Calls in pieces


def call(**fields: Any) -> dict[str, Any]:
    return parts({"functionCall": fields})


def piece(path: str, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value}


PIECES = [
    call(name="look", id="c1", willContinue=True),
    call(partialArgs=[piece("$.where.city", stringValue="New ", willContinue=True)], willContinue=True),
    call(partialArgs=[piece("$.where.city", stringValue="York"), piece("$.days[1]", numberValue=2)], willContinue=True),
    call(partialArgs=[piece("$['a.b']", boolValue=True), piece("$.none", nullValue="NULL_VALUE")], willContinue=True),
]
LOOK = {"where": {"city": "New York"}, "days": [None, 2], "a.b": True, "none": None}


@pytest.mark.parametrize(("last", "names"), [([call()], []), ([call(name="next", args={"n": 1})], ["next"]), ([], [])])
def test_tool_call_in_pieces_is_joined(last: list[Any], names: list[str]) -> None:
    said = decoded(GeminiDecoder, bare(*PIECES, *last, parts(finishReason="STOP")))
    calls = of(said, ToolCall)
    assert (calls[0].id, calls[0].name, msgspec.json.decode(calls[0].arguments)) == ("c1", "look", LOOK)
    assert [found.name for found in calls[1:]] == names
    assert isinstance(said[-1], Completed)
    assert said[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "path", ["", "$", "$[0]", "x", "$.a[99999]", "$" + ".a" * 1000, "$.a[0].b[1]['c']", "$..", "$.a[-1]", 7, None]
)
def test_odd_argument_path_keeps_tool_call(path: Any) -> None:
    odd = call(name="look", partialArgs=[{"jsonPath": path, "numberValue": 1}, piece("$.a", stringValue="x"), 7])
    said = decoded(GeminiDecoder, bare(odd, parts(finishReason="STOP")))
    assert [found.name for found in of(said, ToolCall)] == ["look"]


def test_document_without_url_is_cited_by_title() -> None:
    chunks = [{"retrievedContext": {"title": "Manual"}}] * 2 + [{"web": {"uri": ""}}]
    found = {"candidates": [{"groundingMetadata": {"groundingChunks": chunks}, "finishReason": "STOP"}]}
    assert of(decoded(GeminiDecoder, bare(found)), Citation) == [Citation(url="", title="Manual")]


def test_invalid_tool_call_and_blocked_answer_have_messages() -> None:
    _, error = heard(GeminiDecoder, bare(parts(finishReason="MALFORMED_FUNCTION_CALL")))
    assert error is not None
    assert "The model wrote an invalid tool call (MALFORMED_FUNCTION_CALL)" in error.message
    said = decoded(GeminiDecoder, bare(parts(finishReason="SAFETY")))
    assert (text(said), said[-1]) == (
        "The answer was blocked: SAFETY.",
        Completed(at=0.0, finish_reason="content_filter"),
    )
