"""Anthropic's Messages: the body of each request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from providers.speaking import ERRORS, job

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.providers.formats.anthropic_messages import Messages


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
