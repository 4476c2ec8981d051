"""Google's Gemini: the body and the path of each request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from providers.speaking import ERRORS, job

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers.formats.gemini import Gemini


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
