"""The litellm plug-in against a real HTTP server, where litellm is installed; the extra for tests omits it."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from providers.speaking import job, of, read, text

from jupyter_bgstream.core.events import Completed, ToolCall, Usage
from jupyter_bgstream.providers.bundled_plugins import litellm as litellm_plugin
from jupyter_bgstream.providers.bundled_plugins.litellm import _error, complete
from jupyter_bgstream.providers.plugins.generator import GeneratorProvider
from jupyter_bgstream.providers.port import Provider
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import Reset, ScriptedProvider, answer, chunk, event, refusal, replay

needs_litellm = pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
KEY = "sk-canary-litellm-4711"


@pytest.fixture
def litellm(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return Registry(environ={"OPENAI_API_KEY": KEY}).resolve("litellm/x")


async def test_unsafe_params_and_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    imports: list[str] = []
    monkeypatch.setattr(litellm_plugin, "_litellm", lambda: imports.append("litellm"))
    service = GeneratorProvider("litellm", complete, environ={})
    for params in ({"api_base": "http://evil.example"}, {"api_key": "x"}, {"extra_headers": {}}, {"base_url": "x"}):
        _, error = await read(service, job("litellm/openai/one", params=params))
        assert error is not None
        assert error.code == "bad_request"
        assert next(iter(params)) in error.message
    _, error = await read(service, job("litellm/huggingface/https://evil.example"))
    assert error is not None
    assert error.code == "bad_request"
    assert imports == []
    await read(service, job("litellm/openai/one"))
    assert imports == ["litellm"]


async def test_key_in_long_error_is_redacted_before_the_cut() -> None:
    async def failing(messages: Any, model: str, params: Any) -> AsyncIterator[str]:
        yield "half "
        raise _error(ValueError("x" * 570 + KEY + "y" * 9000), begun=True)

    _, error = await read(GeneratorProvider("litellm", failing, environ={"SOME_API_KEY": KEY}), job("litellm/x"))
    assert error is not None
    assert "x[key]y" in error.message
    assert len(error.message) == 1000


@pytest.mark.parametrize("hidden", [True, False])
def test_missing_import_is_named_and_permanent(hidden: bool) -> None:
    class APIConnectionError(Exception):  # as litellm calls what it makes of it
        status_code = 500

    try:
        try:
            import_module("surely_not_installed.client")
        except ImportError as missing:
            if not hidden:
                raise
            raise APIConnectionError(f"{missing}\nTraceback (most recent call last): …") from None
    except Exception as error:
        failure = _error(error, begun=False)
    assert "needs the Python module surely_not_installed" in failure.message
    assert "Traceback" not in failure.message
    assert (failure.code, failure.transient) == ("provider_error", False)


@pytest.mark.skipif(find_spec("litellm") is not None, reason="litellm is installed")
async def test_missing_package_error_names_the_extra() -> None:
    service = Registry(environ={}).resolve("litellm/openai/one")
    status = await service.status()
    assert not status.configured
    assert status.error is not None
    assert "jupyter_bgstream[litellm]" in status.error.message
    _, error = await read(service, job("litellm/openai/one"))
    assert error is not None
    assert "jupyter_bgstream[litellm]" in error.message


def message_of(words: list[str]) -> Any:
    """Return the script of an answer in Anthropic's format."""
    start = {"id": "m", "type": "message", "role": "assistant", "model": "one", "content": []}
    count = {"input_tokens": 3, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start | {"usage": count}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": len(words)}},
        {"type": "message_stop"},
    ]
    return replay([event(each, each["type"]) for each in events])


@pytest.fixture(scope="class")
def imported() -> None:
    """Import litellm, which takes longer than an answer may, and ignore what its own code is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("litellm")


@needs_litellm
@pytest.mark.usefixtures("imported")
class TestWithLitellm:
    async def test_complete_answer_is_decoded(self, provider: ScriptedProvider, litellm: Provider) -> None:
        provider.scripts["one"] = answer("one two three", reasoning="Let me see.", usage=(3, 5))
        said, error = await read(litellm, job("litellm/openai/one", params={"temperature": 0.5}))
        assert error is None
        assert text(said) == "one two three"
        assert text(said, "reasoning") == "Let me see."
        assert [(usage.input_tokens, usage.output_tokens) for usage in of(said, Usage)] == [(3, 5)]
        assert [end.finish_reason for end in of(said, Completed)] == ["stop"]
        assert provider.requests[0].json["temperature"] == 0.5

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    async def test_finish_reason_of_service_is_kept(
        self, provider: ScriptedProvider, litellm: Provider, reason: str
    ) -> None:
        provider.scripts["one"] = answer("one", finish_reason=reason)
        said, _ = await read(litellm, job("litellm/openai/one"))
        assert [end.finish_reason for end in of(said, Completed)] == [reason]

    async def test_mock_response_completes(self, provider: ScriptedProvider, litellm: Provider) -> None:
        said, error = await read(litellm, job("litellm/openai/one", params={"mock_response": "Hello there"}))
        assert error is None
        assert text(said) == "Hello there"
        assert [end.finish_reason for end in of(said, Completed)] == ["stop"]
        assert provider.requests == []

    async def test_missing_package_of_service_is_named(self, litellm: Provider) -> None:
        if find_spec("google") is not None and find_spec("google.auth") is not None:
            pytest.skip("google-auth is installed")
        _, error = await read(litellm, job("litellm/vertex_ai/gemini-one"))
        assert error is not None
        assert "the Python module google" in error.message
        assert not error.transient

    @pytest.mark.parametrize("done", [True, False])
    async def test_missing_finish_reason_is_truncated(
        self, provider: ScriptedProvider, litellm: Provider, done: bool
    ) -> None:
        provider.scripts["one"] = answer("one two", finish_reason=None, done=done)
        said, error = await read(litellm, job("litellm/openai/one"))
        assert text(said) == "one two"
        assert error is not None
        assert error.code == "truncated"

    async def test_broken_connection_is_truncated(self, provider: ScriptedProvider, litellm: Provider) -> None:
        provider.scripts["one"] = answer("one two three").first(2, Reset())
        said, error = await read(litellm, job("litellm/openai/one"))
        assert "one two three".startswith(text(said))
        assert error is not None
        assert error.code == "truncated"

    async def test_tool_call_fragments_are_joined(self, provider: ScriptedProvider, litellm: Provider) -> None:
        first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a"'}}
        second = {"index": 0, "function": {"arguments": ": 1}"}}
        provider.scripts["one"] = replay(
            [chunk({"tool_calls": [first]}), chunk({"tool_calls": [second]}), chunk(finish_reason="tool_calls")]
        )
        said, error = await read(litellm, job("litellm/openai/one"))
        assert error is None
        assert [(call.id, call.name, call.arguments) for call in of(said, ToolCall)] == [("c1", "look", '{"a": 1}')]
        assert [end.finish_reason for end in of(said, Completed)] == ["tool_calls"]

    @pytest.mark.parametrize(
        ("status", "code"),
        [(401, "unauthorized"), (404, "model_not_found"), (429, "rate_limited"), (500, "provider_error")],
    )
    async def test_error_responses_have_codes_and_no_key(
        self, provider: ScriptedProvider, litellm: Provider, status: int, code: str
    ) -> None:
        provider.scripts["one"] = refusal(status, {"error": {"message": f"No: {KEY}"}})
        said, error = await read(litellm, job("litellm/openai/one"))
        assert said == []
        assert error is not None
        assert error.code == code, error.message
        assert KEY not in error.message

    @pytest.mark.parametrize("model", ["openai/one", "anthropic/claude-one"])
    async def test_many_jobs_share_connections(self, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
        words = ["one ", "two ", "three ", "four "]
        async with ScriptedProvider(keep_alive=True) as provider:
            provider.scripts["one"] = answer(words, usage=(3, 4), pace=[0, 0.02])
            provider.routes["POST /v1/messages"] = message_of(words)
            monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
            monkeypatch.setenv("ANTHROPIC_API_BASE", provider.base_url.removesuffix("/v1"))
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
            litellm = Registry(environ={}).resolve("litellm/x")
            at_a_time = asyncio.Semaphore(20)

            async def ask(number: int) -> str:
                async with at_a_time:
                    asked = job(f"litellm/{model}", prompt=f"number {number}")
                    said, error = await read(litellm, asked, patience=60)
                return error.message if error is not None else text(said)

            answers = await asyncio.gather(*map(ask, range(90)))
            assert Counter(answers) == {"one two three four ": 90}
            prompts = Counter(str(request.json["messages"]) for request in provider.requests)
            assert len(prompts) == 90
            assert set(prompts.values()) == {1}
            assert provider.connections <= 30  # they are used again
