"""Google's Gemini: each request, and hand-written responses of each kind."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from providers.conftest import Connect
from providers.decoding import bare, decoded, heard, one_by_one
from providers.speaking import ERRORS, cut, cut_at_random, job, of, read, text

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Citation, Completed, Delta, ToolCall, Usage
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers import response_reader
from jupyter_bgstream.providers.formats.gemini import Gemini, GeminiDecoder, usage_of
from jupyter_bgstream.providers.port import ImageData
from jupyter_bgstream.testing import Cut, Hold, Reset, Script, ScriptedProvider, Send, refusal, replay

ROUTE = "POST /v1/models/*"


def parts(*found: Any, **fields: Any) -> dict[str, Any]:
    """Return a response with one candidate of these parts; fields belong to the candidate."""
    return {"candidates": [{"content": {"parts": list(found), "role": "model"}, "index": 0, **fields}]}


def says(words: str, **fields: Any) -> dict[str, Any]:
    return parts({"text": words}, **fields)


def ends(reason: str = "STOP", **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"finishReason": reason, "index": 0, **fields}]}


GROUNDS = {
    "webSearchQueries": ["logs"],
    "groundingChunks": [
        {"web": {"uri": "https://a.example/", "title": "A"}},
        {"web": {"uri": "https://b.example/"}},
        {"web": {"uri": "https://a.example/", "title": "again"}},
        {"retrievedContext": {"uri": "https://c.example/", "title": "C", "text": "x"}},
        {"maps": {"uri": "https://maps.example/", "title": "M", "placeId": "p"}},
    ],
    "groundingSupports": [{"segment": {"text": "x"}, "groundingChunkIndices": [0]}],
}
COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 10, "thoughtsTokenCount": 5, "totalTokenCount": 24}

# Every kind of response that a stream may hold.
FULL = bare(
    {**parts({"text": "Grüße, ", "thought": True}), "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}},
    parts({"text": "hm\u2028", "thought": True, "thoughtSignature": "EvQB"}),
    {**says("A 👩‍👩‍👧‍👦 "), "modelVersion": "gemini-x", "responseId": "r"},
    parts({"executableCode": {"id": "1", "language": "PYTHON", "code": "print(1)\n"}}),
    parts({"codeExecutionResult": {"id": "1", "outcome": "OUTCOME_OK", "output": "1\n"}}),
    parts({"text": "log", "thoughtSignature": "Eo0H"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}),
    parts({"functionCall": {"name": "look", "args": {"at": 2}}, "thoughtSignature": "Eo0H"}),
    parts({"functionCall": {"id": "fc_1", "name": "find"}}),
    {
        **parts({"text": "", "thoughtSignature": "EqsF"}, finishReason="STOP", groundingMetadata=GROUNDS),
        "usageMetadata": COUNTS | {"cachedContentTokenCount": 4, "toolUsePromptTokenCount": 3},
    },
)
SAID = [
    Delta(channel="reasoning", text="Grüße, "),
    Delta(channel="reasoning", text="hm\u2028"),
    Delta(channel="text", text="A 👩‍👩‍👧‍👦 "),
    Delta(channel="text", text="\n\n```python\nprint(1)\n```\n\n"),
    Delta(channel="text", text="\n\n```\n1\n```\n\n"),
    Delta(channel="text", text="log"),
    ImageData(data="iVBORw=="),
    ToolCall(id="call_0", name="look", arguments='{"at":2}'),
    ToolCall(id="fc_1", name="find", arguments="{}"),
    Citation(url="https://a.example/", title="A"),
    Citation(url="https://b.example/"),
    Citation(url="https://c.example/", title="C"),
    Citation(url="https://maps.example/", title="M"),
    Usage(input_tokens=12, output_tokens=15, cached_tokens=4, reasoning_tokens=5),
    Completed(at=0.0, finish_reason="tool_calls"),
]


class TestDecoder:
    def test_every_kind_of_response_is_decoded(self) -> None:
        assert decoded(GeminiDecoder, b"".join(FULL)) == SAID

    def test_stream_byte_by_byte_decodes_the_same(self) -> None:
        assert decoded(GeminiDecoder, one_by_one(b"".join(FULL))) == SAID

    @pytest.mark.parametrize("seed", range(3))
    def test_stream_in_random_pieces_decodes_the_same(self, seed: int) -> None:
        assert decoded(GeminiDecoder, cut_at_random(b"".join(FULL), seed)) == SAID

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 1 << 20), max_size=100))
    def test_stream_in_any_pieces_decodes_the_same(self, places: list[int]) -> None:
        assert decoded(GeminiDecoder, cut(b"".join(FULL), places)) == SAID

    def test_events_may_end_with_crlf(self) -> None:
        assert decoded(GeminiDecoder, b"".join(FULL).replace(b"\n\n", b"\r\n\r\n")) == SAID

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


def body_of(what: Job) -> dict[str, Any]:
    body = Gemini().request(what, ERRORS).body
    assert body is not None
    found = msgspec.json.decode(body)
    assert isinstance(found, dict)
    return found


def asked(model: str = "gemini-3-pro", **params: Any) -> dict[str, Any]:
    """Return the fields that params add to a request."""
    body = body_of(job(f"puppet/{model}", params=params))
    del body["contents"]
    return body


def said_no(model: str = "gemini-3-pro", **params: Any) -> str:
    with pytest.raises(ProviderError) as caught:
        asked(model, **params)
    assert caught.value.code == "bad_request"
    return caught.value.message


class TestRequest:
    def test_conversation_becomes_contents_and_system_instruction(self) -> None:
        history = (
            Message(role="system", content="Be brief."),
            Message(role="user", content="Hi"),
            Message(role="assistant", content="Hello."),
            Message(role="user", content=" "),
            Message(role="system", content="Be kind."),
        )
        request = Gemini().request(job("puppet/gemini-x", history=history), ERRORS)
        assert request.path == "/models/gemini-x:streamGenerateContent?alt=sse"
        assert msgspec.json.decode(request.body or b"") == {
            "systemInstruction": {"parts": [{"text": "Be brief.\n\nBe kind."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "Hello."}]},
                {"role": "user", "parts": [{"text": "What is a log?"}]},
            ],
        }

    def test_image_is_encoded_inline(self) -> None:
        turn = Message(
            role="user", content=(TextPart(text="What?"), ImagePart(media_type="image/png", data=b"\x89PNG"))
        )
        assert body_of(job(history=[turn]))["contents"][0]["parts"] == [
            {"text": "What?"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
        ]

    @pytest.mark.parametrize(
        ("model", "path"),
        [
            ("models/gemini-x", "/models/gemini-x:"),
            ("../../files?x=1#y", "/models/..%2F..%2Ffiles%3Fx%3D1%23y:"),
            ("a b/ü%2f", "/models/a%20b%2F%C3%BC%252f:"),
        ],
    )
    def test_model_name_is_escaped_in_path(self, model: str, path: str) -> None:
        request = Gemini().request(job(f"puppet/{model}"), ERRORS)
        assert request.path == f"{path}streamGenerateContent?alt=sse"

    @pytest.mark.parametrize(
        ("params", "body"),
        [
            ({}, {}),
            (
                {"temperature": 0.5, "top_p": 0.9, "max_tokens": 9, "stop": "END", "seed": 7},
                {
                    "generationConfig": {
                        "temperature": 0.5,
                        "topP": 0.9,
                        "maxOutputTokens": 9,
                        "stopSequences": ["END"],
                        "seed": 7,
                    }
                },
            ),
            (
                {"schema": {"type": "object"}},
                {
                    "generationConfig": {
                        "responseMimeType": "application/json",
                        "responseJsonSchema": {"type": "object"},
                    }
                },
            ),
            (
                {"top_k": 5, "presencePenalty": 0.1, "tools": [{"google_search": {}}], "safety_settings": []},
                {
                    "generationConfig": {"topK": 5, "presencePenalty": 0.1},
                    "tools": [{"google_search": {}}],
                    "safetySettings": [],
                },
            ),
            (
                {"generation_config": {"topK": 5}, "logprobs": 3, "seed": 1},
                {"generationConfig": {"topK": 5, "logprobs": 3, "seed": 1}},
            ),
            ({"quite_new": 1}, {"quite_new": 1}),
        ],
    )
    def test_params_are_encoded(self, params: dict[str, Any], body: dict[str, Any]) -> None:
        assert asked(**params) == body

    @pytest.mark.parametrize(
        ("model", "effort", "config"),
        [
            ("gemini-2.5-flash", "none", {"includeThoughts": False, "thinkingBudget": 0}),
            ("gemini-2.5-flash", "minimal", {"includeThoughts": True, "thinkingBudget": 1024}),
            ("gemini-2.5-flash-lite", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
            ("gemini-2.5-pro", "medium", {"includeThoughts": True, "thinkingBudget": 8192}),
            ("gemini-2.5-pro", "high", {"includeThoughts": True, "thinkingBudget": 24_576}),
            ("gemini-2.5-pro", "xhigh", {"includeThoughts": True, "thinkingBudget": 24_576}),
            ("gemini-3-pro-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "minimal"}),
            ("gemini-3.5-flash", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
            ("gemini-flash-latest", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
            ("gemini-3-pro", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
            ("gemini-3-pro", "xhigh", {"includeThoughts": True, "thinkingLevel": "high"}),
            ("gemini-2.5-flash", "max", {"includeThoughts": True, "thinkingBudget": 24_576}),
            ("gemini-3-pro", "max", {"includeThoughts": True, "thinkingLevel": "high"}),
        ],
    )
    def test_reasoning_effort_becomes_thinking_config(self, model: str, effort: str, config: dict[str, Any]) -> None:
        assert asked(model, reasoning_effort=effort) == {"generationConfig": {"thinkingConfig": config}}

    def test_contradicting_params_are_refused_by_name(self) -> None:
        assert "always reasons" in said_no(reasoning_effort="none")
        assert "generationConfig.maxOutputTokens" in said_no(max_tokens=5, max_output_tokens=6)
        assert "generationConfig.topK" in said_no(top_k=5, generationConfig={"topK": 6})
        assert "contents" in said_no(contents=[])

    def test_model_names_are_read_from_list(self) -> None:
        listing = {
            "models": [
                {"name": "models/b", "supportedGenerationMethods": ["generateContent", "countTokens"]},
                {"name": "models/a", "supportedGenerationMethods": ["generateContent"]},
                {"name": "models/embedding", "supportedGenerationMethods": ["embedContent"]},
                {"name": "models/odd"},
                {},
                7,
            ],
            "nextPageToken": "x",
        }
        assert Gemini().model_names(listing) == ["a", "b"]
        assert Gemini().model_names([]) == []


class TestService:
    async def test_job_is_sent_and_answer_is_decoded(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.key = "AIza-secret"
        provider.routes[ROUTE] = replay(b"".join(FULL), cuts=1)
        said, error = await read(connect(format="gemini", key="AIza-secret"))
        assert (said, error) == (SAID, None)
        request = await provider.request()
        assert request.path == "/v1/models/one:streamGenerateContent?alt=sse"
        assert request.headers["x-goog-api-key"] == "AIza-secret"
        assert "authorization" not in request.headers

    async def test_http_request_escapes_the_model_name(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes[ROUTE] = replay(b"".join(FULL))
        _, error = await read(connect(format="gemini"), job("puppet/../../x?key=1"))
        assert error is None
        request = await provider.request()
        assert request.path == "/v1/models/..%2F..%2Fx%3Fkey%3D1:streamGenerateContent?alt=sse"

    async def test_answer_completes_while_connection_stays_open(
        self, provider: ScriptedProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(response_reader, "REST_SECONDS", 0.2)
        provider.routes[ROUTE] = Script(steps=(Send(b"".join(FULL)), Hold()))
        assert await read(connect(format="gemini")) == (SAID, None)

    @pytest.mark.parametrize("then", [Cut(), Reset()])
    async def test_broken_connection_after_the_end_keeps_answer(
        self, provider: ScriptedProvider, connect: Connect, then: Cut | Reset
    ) -> None:
        provider.routes[ROUTE] = Script(steps=(*map(Send, FULL), then))
        assert await read(connect(format="gemini")) == (SAID, None)

    @pytest.mark.parametrize(
        ("status", "problem", "code"),
        [
            (
                400,
                {
                    "code": 400,
                    "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                },
                "unauthorized",
            ),
            (404, {"code": 404, "message": "models/one is not found", "status": "NOT_FOUND"}, "model_not_found"),
            (503, {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, "provider_error"),
        ],
    )
    async def test_error_response_has_code_and_message(
        self, provider: ScriptedProvider, connect: Connect, status: int, problem: dict[str, Any], code: str
    ) -> None:
        provider.routes[ROUTE] = refusal(status, {"error": problem})
        _, error = await read(connect(format="gemini", key="AIza-secret"))
        assert error is not None
        assert (error.code, problem["message"] in error.message) == (code, True)

    async def test_cancel_closes_the_socket(self, provider: ScriptedProvider, connect: Connect) -> None:
        provider.routes[ROUTE] = Script(steps=(Send(b"".join(FULL[:4])), Hold()))
        reading = asyncio.create_task(read(connect(format="gemini")))
        await provider.held()
        reading.cancel()
        request = await provider.request()
        await request.closed
        assert request.closed_by_client
        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_status_lists_models(self, provider: ScriptedProvider, connect: Connect) -> None:
        models = [{"name": "models/gemini-x", "supportedGenerationMethods": ["generateContent"]}]
        provider.routes["GET /v1/models"] = refusal(200, {"models": models})
        status = await connect(format="gemini", key="AIza-secret").status()
        assert (status.kind, status.models, status.error) == ("gemini", ("puppet/gemini-x",), None)
        request = await provider.request()
        assert request.path == "/v1/models?pageSize=1000"
        assert request.headers["x-goog-api-key"] == "AIza-secret"


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
