"""Settings are checked at start-up; what services offer is asked with care."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from providers.speaking import job, read

from jupyter_bgstream.core.errors import Invalid, ProviderError
from jupyter_bgstream.providers.base import Provider, Providers
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import FakeClock, Hold, Script, ScriptedProvider, answer, refusal

LOCAL = {"base_url": "http://127.0.0.1:1/v1"}


def test_it_is_what_the_engine_wants() -> None:
    providers: Providers = Registry(environ={})
    provider: Provider = providers.resolve("openai/gpt-4o-mini")
    assert provider.name == "openai"


@pytest.mark.parametrize(
    ("name", "config", "field", "words"),
    [
        ("Groq", LOCAL, "providers['Groq']", "a-z"),
        ("a/b", LOCAL, "providers['a/b']", "a-z"),
        ("", LOCAL, "providers['']", "a-z"),
        ("x", "http://host/v1", "providers['x']", "object"),
        ("x", {}, "providers['x']", "base_url"),
        ("x", {"base_url": 7}, "providers['x']", "str"),
        ("x", {**LOCAL, "api_key": "sk-1"}, "providers['x']", "api_key_env"),
        ("x", {"base_url": "host/v1"}, "providers['x'].base_url", "http"),
        ("x", {"base_url": "ftp://host/v1"}, "providers['x'].base_url", "http"),
        ("x", {"base_url": "http:///v1"}, "providers['x'].base_url", "http"),
        ("x", {"base_url": "http://host:99999/v1"}, "providers['x'].base_url", "URL"),
        ("x", {"base_url": "http://user:secret@host/v1"}, "providers['x'].base_url", "password"),
        ("x", {"base_url": "http://host/v1?key=secret"}, "providers['x'].base_url", "query"),
        ("x", {**LOCAL, "api_key_env": "sk-secret"}, "providers['x'].api_key_env", "X_API_KEY"),
        ("x", {**LOCAL, "headers": {"X-A": "secret\nX-B: b"}}, "providers['x'].headers", "X-A"),
        ("x", {**LOCAL, "headers": {"X A": "b"}}, "providers['x'].headers", "X A"),
        ("x", {**LOCAL, "headers": {"X-A": 1}}, "providers['x']", "str"),
        ("x", {**LOCAL, "models": "gpt"}, "providers['x']", "array"),
        ("x", {**LOCAL, "idle_timeout": 0}, "providers['x'].idle_timeout", "more than 0"),
        ("x", {**LOCAL, "idle_timeout": float("nan")}, "providers['x'].idle_timeout", "more than 0"),
        ("x", {**LOCAL, "total_timeout": -1}, "providers['x'].total_timeout", "more than 0"),
    ],
)
def test_a_wrong_setting_is_said_at_start_up(name: str, config: Any, field: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        Registry({name: config}, environ={})
    assert caught.value.field == field
    assert words in caught.value.message
    assert "secret" not in caught.value.message


def test_openai_takes_its_address_from_the_environment() -> None:
    with pytest.raises(Invalid) as caught:
        Registry(environ={"OPENAI_BASE_URL": "nonsense"})
    assert "openai" in caught.value.message
    assert "http://127.0.0.1:9/v1" in repr(
        Registry(environ={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"}).resolve("openai/x")
    )
    assert "https://api.openai.com/v1" in repr(Registry(environ={}).resolve("openai/x"))


@pytest.mark.parametrize("model", ["groq/x", "gpt-4o", "", "/", "OpenAI/x"])
def test_a_provider_that_is_not_there(model: str) -> None:
    with pytest.raises(ProviderError) as caught:
        Registry({"local": LOCAL}, environ={}).resolve(model)
    assert caught.value.code == "unknown_provider"
    assert "local, openai" in caught.value.message


def test_a_provider_without_a_model() -> None:
    with pytest.raises(ProviderError) as caught:
        Registry(environ={}).resolve("openai/")
    assert caught.value.code == "model_not_found"


def test_the_default_is_what_the_settings_say() -> None:
    assert Registry(environ={"OPENAI_API_KEY": "sk-1"}).default_model is None
    assert Registry({"local": LOCAL}, environ={}, default_model="local/a/b").default_model == "local/a/b"
    for wrong in ("gpt-4o", "other/x", "local/"):
        with pytest.raises(Invalid) as caught:
            Registry({"local": LOCAL}, environ={}, default_model=wrong)
        assert caught.value.field == "default_model"


async def test_the_key_is_read_at_each_call(provider: ScriptedProvider) -> None:
    provider.scripts["one"] = answer("yes")
    environ: dict[str, str] = {}
    service = Registry({"puppet": {"base_url": provider.base_url, "api_key_env": "KEY"}}, environ=environ).resolve(
        "puppet/one"
    )
    _, error = await read(service)
    assert error is not None
    assert error.code == "missing_key"
    for key in ("first-key", "second-key"):
        environ["KEY"] = provider.key = key
        assert (await read(service, job()))[1] is None
        assert key not in repr(vars(service) | {"_environ": None})


class TestStatus:
    async def test_what_each_offers(self, provider: ScriptedProvider) -> None:
        provider.scripts = {"b": answer(""), "a/x": answer("")}
        config = {
            "puppet": {"base_url": provider.base_url},
            "fixed": {**LOCAL, "models": ["m"]},
            "gone": LOCAL,
        }
        found = {status.name: status for status in await Registry(config, environ={}).status()}
        assert list(found) == ["fixed", "gone", "openai", "puppet"]
        assert found["puppet"].models == ("puppet/a/x", "puppet/b")
        assert found["fixed"].models == ("fixed/m",)
        errors = {name: status.error.code for name, status in found.items() if status.error is not None}
        assert errors == {"gone": "unreachable", "openai": "missing_key"}
        assert {status.kind for status in found.values()} == {"chat_completions"}

    async def test_it_is_asked_once_a_minute(self, provider: ScriptedProvider) -> None:
        clock = FakeClock()
        registry = Registry({"puppet": {"base_url": provider.base_url}}, environ={}, monotonic=clock.monotonic)
        await registry.status()
        clock.advance(59)
        await registry.status()
        assert provider.listings == 1
        clock.advance(1)
        await registry.status()
        assert provider.listings == 2

    async def test_one_that_hangs_keeps_the_others_no_longer_than_its_bound(
        self, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jupyter_bgstream.providers.service.STATUS_SECONDS", 0.1)
        provider.listing = Script(steps=(Hold(),))
        config = {name: {"base_url": provider.base_url} for name in ("one", "two", "three")}
        async with asyncio.timeout(5):
            hung = [status for status in await Registry(config, environ={}).status() if status.name != "openai"]
        assert [status.error.code for status in hung if status.error] == ["unreachable"] * 3

    @pytest.mark.parametrize(
        ("listing", "code"),
        [
            (refusal(401, {"error": "no"}), "unauthorized"),
            (refusal(500, "oops"), "provider_error"),
            (refusal(200, "<p>login", {"Content-Type": "text/html"}), "malformed_stream"),
            (refusal(200, {"data": [{"id": 7}, None, {}]}), None),
            (refusal(200, {"odd": 1}), None),
            (refusal(200, "[]"), None),
            (refusal(200, "7"), None),
        ],
    )
    async def test_a_strange_listing(self, provider: ScriptedProvider, listing: Script, code: str | None) -> None:
        provider.listing = listing
        (_, status) = await Registry({"puppet": {"base_url": provider.base_url}}, environ={}).status()
        assert status.models == ()
        assert (status.error.code if status.error else None) == code


@pytest.mark.parametrize(
    ("config", "environ", "code"),
    [
        ({}, {}, None),
        ({"api_key_env": "KEY"}, {"KEY": "sk-1"}, None),
        ({"api_key_env": "KEY"}, {}, "missing_key"),
        ({"api_key_env": "KEY"}, {"KEY": " "}, "missing_key"),
        ({"api_key_env": "KEY"}, {"KEY": "sk-clé"}, "missing_key"),
    ],
)
def test_whether_it_could_be_asked_is_known_without_asking(
    config: dict[str, Any], environ: dict[str, str], code: str | None
) -> None:
    unready = Registry({"x": LOCAL | config}, environ=environ).resolve("x/one").unready()
    assert (unready.code if unready else None) == code
