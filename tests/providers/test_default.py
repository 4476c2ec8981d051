"""One rule chooses the default model; aliases stand for full names."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import types
from typing import Any

import pytest

from jupyter_bgstream.providers import default_model, http_provider, keys
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import Hold, Script, ScriptedProvider, answer

NOTHING_LOCAL: dict[str, Any] = dict.fromkeys(("ollama", "lmstudio", "llamacpp", "vllm"))


async def default(config: dict[str, Any] | None = None, environ: dict[str, str] | None = None, **fields: Any) -> str:
    found = await Registry(NOTHING_LOCAL | (config or {}), environ=environ or {}, **fields).default()
    assert found is not None
    assert found.why.endswith(".")
    return found.model


async def test_configured_default_model_wins() -> None:
    environ = {"OPENAI_API_KEY": "sk-1"}
    assert await default(environ=environ, default_model="xai/grok") == "xai/grok"
    assert await default(environ=environ, default_model="fast", aliases={"fast": "groq/a/b"}) == "groq/a/b"


async def test_default_is_first_provider_with_key() -> None:
    assert await default(environ={"XAI_API_KEY": "x", "GROQ_API_KEY": "x"}) == "groq/openai/gpt-oss-120b"
    assert (await default(environ={"GROQ_API_KEY": "x", "OPENAI_API_KEY": "x"})).startswith("openai/")
    assert await default({"groq": {"default_model": "mine"}}, {"GROQ_API_KEY": "x"}) == "groq/mine"
    assert await default({"groq": {"api_key": lambda: "x"}}, {"XAI_API_KEY": "x"}) == "groq/openai/gpt-oss-120b"
    assert (await default({"groq": {"api_key": lambda: None}}, {"XAI_API_KEY": "x"})).startswith("xai/")
    work = {"base_url": "http://127.0.0.1:1/v1", "api_key": "x", "default_model": "large"}
    assert await default({"work": work}, {"OPENAI_API_KEY": "x"}) == "work/large"
    assert await default({"work": work | {"default_model": None, "models": ["a", "b"]}}) == "work/a"


async def test_default_is_local_server_that_answers(provider: ScriptedProvider) -> None:
    provider.scripts = {"nomic-embed-text": answer(""), "qwen": answer("")}
    gone = {"base_url": "http://127.0.0.1:1/v1"}
    here = {"base_url": provider.base_url}
    assert await default({"gone": gone, "here": here}) == "here/qwen"
    assert await default({"vllm": here}) == "vllm/qwen"
    assert await default({"here": here | {"default_model": "own"}}) == "here/own"
    assert (await default({"here": here}, {"OPENAI_API_KEY": "x"})).startswith("openai/")


async def test_default_on_hub_ignores_unconfigured_local_server(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.scripts = {"qwen": answer("")}
    found = Registry({**NOTHING_LOCAL, "vllm": {"base_url": provider.base_url}}, environ={})
    (candidate,) = [each for name, each in found._candidates.items() if name == "vllm"]
    assert candidate.configured
    guessed = default_model.Candidate(provider=candidate.provider, endpoint=candidate.endpoint, configured=False)
    assert (await default_model.choose_default([guessed], found._cache, {})) is not None
    assert (await default_model.choose_default([guessed], found._cache, {"JUPYTERHUB_USER": "me"})) is None
    assert (await default_model.choose_default([candidate], found._cache, {"JUPYTERHUB_USER": "me"})) is not None


async def test_default_skips_local_server_that_hangs(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_model, "LOCAL_SECONDS", 0.05)
    monkeypatch.setattr(http_provider, "STATUS_SECONDS", 600.0)
    provider.listing = Script(steps=(Hold(),))
    async with asyncio.timeout(60):
        assert await default({"here": {"base_url": provider.base_url}}) == "demo/tour"
    provider.release()


async def test_default_without_other_provider_is_demo() -> None:
    assert await default() == "demo/tour"
    found = await Registry(NOTHING_LOCAL, environ={}).default()
    assert found is not None
    assert "OPENAI_API_KEY" in found.why
    assert await Registry(NOTHING_LOCAL | {"demo": None}, environ={}).default() is None
    assert await Registry(builtin=False, environ={}).default() is None


def test_aliases_expand_to_full_names() -> None:
    registry = Registry(environ={}, aliases={"fast": "openai/gpt-6-luna", "deep-1.0": "anthropic/x"})
    assert registry.full_name("fast") == "openai/gpt-6-luna"
    assert registry.full_name("openai/fast") == "openai/fast"
    assert registry.full_name("slow") == "slow"


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ({"groq": "openai/x"}, "provider's name"),
        ({"demo": "openai/x"}, "provider's name"),
        ({"a/b": "openai/x"}, "letters"),
        ({"": "openai/x"}, "letters"),
        ({"a b": "openai/x"}, "letters"),
        ({"fast": "gpt-4o"}, "Unknown provider"),
        ({"fast": "nobody/x"}, "Unknown provider"),
        ({"fast": "openai/"}, "No model in"),
        ({"fast": 7}, "provider/name"),
        ({"fast": "openai/x", "faster": "fast"}, "Unknown provider"),
    ],
)
def test_invalid_alias_is_reported_as_problem(aliases: dict[str, Any], words: str) -> None:
    (problem,) = Registry(environ={}, aliases=aliases).problems
    assert words in problem
    assert problem.startswith("model_aliases[")


async def test_blocked_keyring_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    locked, asked = threading.Event(), []

    def get_password(service: str, name: str) -> None:
        asked.append(name)
        locked.wait(60)

    keyring = types.ModuleType("keyring")
    keyring.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setattr(keys, "has_keyring", lambda: True)
    monkeypatch.setattr(keys, "KEYRING_SECONDS", 1.0)
    began = time.monotonic()
    assert await default(keyring=True) == "demo/tour"
    assert time.monotonic() - began < len(asked) / 2  # one second for each would be twice as long
    asked.clear()
    assert (await default(environ={"ANTHROPIC_API_KEY": "x"}, keyring=True)).startswith("anthropic/")
    assert asked == ["openai"]  # which comes before it
    locked.set()
