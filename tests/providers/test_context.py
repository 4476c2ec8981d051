"""A too long conversation is recognized for every service, reported with its counts, and never cut silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from providers.conftest import Connect
from providers.speaking import job, read

from jupyter_bgstream.core.events import Delta
from jupyter_bgstream.core.job import Job
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.providers import pricing
from jupyter_bgstream.providers.context_window import Length, RequestSize, certain_overflow
from jupyter_bgstream.providers.errors import ErrorBuilder, message_in
from jupyter_bgstream.providers.formats import FORMATS
from jupyter_bgstream.providers.formats.chat_completions import ChatCompletions
from jupyter_bgstream.providers.formats.dialects import DIALECTS
from jupyter_bgstream.providers.http_provider import HTTPProvider
from jupyter_bgstream.providers.provider_settings import ProviderSettings
from jupyter_bgstream.testing import ScriptedProvider, refusal

HISTORY = (Message(role="user", content="one"), Message(role="assistant", content="1"))
OPENAI = "https://api.openai.com/v1"


# Status, body, and the counts in it: as the services' documentation, sources and users show them.
SAID = msgspec.json.decode((Path(__file__).parent / "too_long.json").read_bytes())


def openai(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


@pytest.mark.parametrize("case", SAID, ids=lambda case: message_in(case["body"])[:40])
def test_context_length_error_of_every_service_is_recognized(case: dict[str, Any]) -> None:
    body, tokens, limit = case["body"], case["tokens"], case["limit"]
    errors = ErrorBuilder("puppet", model="one", size=RequestSize(messages=57, thread="trip", history=56))
    refused = errors.response_error(case["status"], {"x-should-retry": "true"}, msgspec.json.encode(body))
    for error in (refused, errors.payload_error(body)):
        assert (error.code, error.transient) == ("context_too_long", False)
        counts = "57 messages" if tokens is None else f"57 messages and {tokens:,} tokens"
        takes = "" if limit is None else f", and the model accepts {limit:,}"
        assert error.message.startswith(
            f"The conversation is too long for puppet/one: it has {counts}{takes}. Nothing was cut."
            " Fork the thread 'trip' after an earlier job, start a new one, or choose a model that accepts more."
            " Details: "
        )
        assert message_in(body).removeprefix('{"error":{"code":400,"message":"')[:60] in error.message


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, openai("Too many tokens per minute: reduce the length of the messages"), "rate_limited"),
        (400, openai("max_tokens: 128000 > 64000, which is the maximum number of output tokens"), "bad_request"),
        (413, openai("Request too large for one on tokens per minute: Limit 6000, Requested 9000"), "bad_request"),
        (400, openai("Invalid type for 'context'.", "invalid_type"), "bad_request"),
        (401, openai("context window exceeded", "invalid_api_key"), "unauthorized"),
    ],
)
def test_other_errors_are_not_context_too_long(status: int, body: Any, code: str) -> None:
    assert ErrorBuilder("puppet", model="one").response_error(status, {}, msgspec.json.encode(body)).code == code


def test_too_long_prompt_without_thread_has_its_own_advice() -> None:
    error = ErrorBuilder("puppet", model="one", size=RequestSize(messages=1, thread=None, history=0)).too_long()
    assert error.message == (
        "The prompt is too long for puppet/one: it has 1 message. Nothing was cut. Shorten it, send fewer or smaller"
        " images, or choose a model that accepts more."
    )


async def test_too_long_conversation_fails_permanently_with_counts(
    provider: ScriptedProvider, connect: Connect
) -> None:
    provider.scripts["one"] = refusal(400, SAID[0]["body"])
    _, error = await read(connect(), job(history=HISTORY))
    assert error is not None
    assert (error.code, error.transient) == ("context_too_long", False)
    assert "it has 3 messages and 8,545 tokens, and the model accepts 8,192." in error.message
    assert "Details: HTTP 400. This model's maximum" in error.message


class TestNoTruncation:
    def test_openrouter_compression_is_disabled_by_default(self) -> None:
        ours = {"id": "context-compression", "enabled": False}
        theirs = {"id": "context-compression", "engine": "middle-out"}
        for params, plugins in (
            ({}, [ours]),
            ({"plugins": [{"id": "web"}]}, [{"id": "web"}, ours]),
            ({"plugins": [theirs]}, [theirs]),
            ({"transforms": ["middle-out"]}, None),
        ):
            request = ChatCompletions(DIALECTS["openrouter"]).request(job(params=params), ErrorBuilder("puppet"))
            assert msgspec.json.decode(request.body or b"").get("plugins") == plugins

    def test_plain_dialect_sends_no_plugins(self) -> None:
        request = ChatCompletions().request(job(), ErrorBuilder("puppet"))
        assert "plugins" not in msgspec.json.decode(request.body or b"")

    @pytest.mark.parametrize(
        ("params", "counted", "cut"),
        [
            ({"num_ctx": 512}, 512, True),
            ({"options": {"num_ctx": 512}}, 512, True),
            ({"num_ctx": 512}, 511, False),
            ({"num_ctx": 512, "truncate": True}, 512, False),
            ({}, 4096, False),
        ],
    )
    def test_ollama_prompt_cut_at_num_ctx_fails_as_too_long(
        self, params: dict[str, Any], counted: int, cut: bool
    ) -> None:
        decoder = FORMATS["ollama"].decoder(ErrorBuilder("puppet", size=RequestSize.of(job(params=params))))
        end = {"message": {"content": "Aye."}, "done": True, "done_reason": "stop", "prompt_eval_count": counted}
        said = [*decoder.feed(msgspec.json.encode(end) + b"\n"), *decoder.close()]
        assert Delta(channel="text", text="Aye.") in said
        assert (decoder.error is not None) == cut
        if decoder.error is not None:
            assert decoder.error.code == "context_too_long"
            assert "the model accepts 512" in decoder.error.message
            assert "Update Ollama" in decoder.error.message
            assert "Nothing was cut" not in decoder.error.message


def long(words: int, **fields: Any) -> Job:
    return job("openai/gpt-4", prompt="something " * words, **fields)


class TestPreflightCheck:
    async def test_certain_overflow_is_refused_before_sending(self) -> None:
        # No socket: api.openai.com would be asked for otherwise.
        service = HTTPProvider("openai", ProviderSettings(base_url=OPENAI), environ={})
        _, error = await read(service, long(10_000, history=HISTORY))
        assert error is not None
        assert (error.code, error.transient) == ("context_too_long", False)
        assert "3 messages and at least 10,002 tokens, and the model accepts 8,192." in error.message
        assert error.message.endswith("Details: It was not sent.")

    @pytest.mark.parametrize(
        "may_fit",
        [
            long(8_000),
            job("openai/gpt-4", prompt="x" * 200_000),  # one word, or who knows how many
            job("openai/gpt-4", prompt="x y " * 5_000),  # short ones
            long(10_000, params={"truncation": "auto"}),
            job("openai/gpt-4.1", prompt="something " * 10_000),
            job("openai/gpt-4-of-mine", prompt="something " * 10_000),  # not in the list
        ],
        ids=["few", "one word", "short words", "cut on purpose", "larger model", "unknown model"],
    )
    async def test_prompt_that_may_fit_is_not_refused(self, may_fit: Job) -> None:
        model = may_fit.spec.model.partition("/")[2]
        assert await certain_overflow(may_fit, model=model, base_url=OPENAI, headers={}) is None

    async def test_custom_address_or_headers_skip_the_preflight_check(self) -> None:
        for base_url, headers in (
            ("https://llm.example.org/v1", {}),
            ("http://127.0.0.1:8000/v1", {}),
            (OPENAI, {"anthropic-beta": "context-1m-2025-08-07"}),
        ):
            assert await certain_overflow(long(10_000), model="gpt-4", base_url=base_url, headers=headers) is None
        assert await certain_overflow(long(10_000), model="gpt-4", base_url=OPENAI, headers={}) == Length(
            10_000, 8192, True
        )

    async def test_short_prompt_does_not_load_the_model_list(self, monkeypatch: pytest.MonkeyPatch) -> None:
        imports: list[str] = []

        def failing() -> None:
            imports.append("genai_prices")
            raise ImportError

        monkeypatch.setattr(pricing, "_library", failing)
        assert await certain_overflow(job(prompt="Hello " * 5_000), model="gpt-4", base_url=OPENAI, headers={}) is None
        assert imports == []
        # Without the list, no prompt is certain to exceed the context window.
        assert await certain_overflow(long(10_000), model="gpt-4", base_url=OPENAI, headers={}) is None
        assert imports == ["genai_prices"]

    def test_context_window_requires_the_exact_model_name(self) -> None:
        assert pricing.context_window("gpt-4", OPENAI) == 8192
        assert pricing.context_window("claude-3-haiku-of-tomorrow", "https://api.anthropic.com/v1") is None
        assert pricing.context_window("claude-opus-5", "https://api.anthropic.com/v1") == 1_000_000
        assert pricing.context_window("nothing", OPENAI) is None
