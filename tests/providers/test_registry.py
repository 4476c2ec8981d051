"""Settings are checked at start-up; what services offer is asked with care."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from providers.speaking import job, read

from jupyter_bgstream.core.errors import Invalid, ProviderError
from jupyter_bgstream.providers.base import Provider, Providers
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import FakeClock, Hold, Script, ScriptedProvider, Send, answer, refusal

LOCAL = {"base_url": "http://127.0.0.1:1/v1"}


def test_it_is_what_the_engine_wants() -> None:
    providers: Providers = Registry(environ={})
    provider: Provider = providers.resolve("openai/gpt-4o-mini")
    assert provider.name == "openai"
    assert providers.aliases == {}


@pytest.mark.parametrize(
    ("name", "config", "field", "words"),
    [
        ("Groq", LOCAL, "providers['Groq']", "a-z"),
        ("a/b", LOCAL, "providers['a/b']", "a-z"),
        ("", LOCAL, "providers['']", "a-z"),
        ("x", "http://host/v1", "providers['x']", "object"),
        ("x", {}, "providers['x']", "base_url"),
        ("x", {"base_url": 7}, "providers['x']", "str"),
        ("x", {**LOCAL, "key": "secret"}, "providers['x']", "api_key_env"),
        ("x", {**LOCAL, "api_key": 7}, "providers['x'].api_key", "function"),
        ("x", {**LOCAL, "api_key": " "}, "providers['x'].api_key", "function"),
        ("x", {**LOCAL, "api_key_env": ["OK", "sk-secret"]}, "providers['x'].api_key_env", "X_API_KEY"),
        ("x", {**LOCAL, "key_header": "a b"}, "providers['x'].headers", "a b"),
        ("x", {**LOCAL, "proxy": "secret"}, "providers['x'].proxy", "URL"),
        ("x", {**LOCAL, "proxy": "ftp://user:secret@host"}, "providers['x'].proxy", "URL"),
        ("x", {**LOCAL, "proxy": "http://user:secret@host:a"}, "providers['x'].proxy", "URL"),
        ("x", {**LOCAL, "proxy": True}, "providers['x']", "proxy"),
        ("x", {**LOCAL, "ca_bundle": "/nowhere.pem"}, "providers['x'].ca_bundle", "No such file"),
        ("x", {**LOCAL, "ca_bundle": __file__}, "providers['x'].ca_bundle", "PEM"),
        ("x", {**LOCAL, "connect_timeout": 0}, "providers['x'].connect_timeout", "more than 0"),
        ("openai", {"base_url": "nonsense"}, "providers['openai'].base_url", "http"),
        ("openai", "http://host/v1", "providers['openai']", "idle_timeout"),
        ("openai", {"idle_timeout": -1}, "providers['openai'].idle_timeout", "more than 0"),
        ("demo", {"headers": {}}, "providers['demo']", "plug-in"),
        ("demo", {"idle_timeout": 0}, "providers['demo'].idle_timeout", "more than 0"),
        ("x", {"base_url": "host/v1"}, "providers['x'].base_url", "http"),
        ("x", {"base_url": "ftp://host/v1"}, "providers['x'].base_url", "http"),
        ("x", {"base_url": "http:///v1"}, "providers['x'].base_url", "http"),
        ("x", {"base_url": "http://host:99999/v1"}, "providers['x'].base_url", "URL"),
        ("x", {"base_url": "http://user:secret@host/v1"}, "providers['x'].base_url", "password"),
        ("x", {"base_url": "http://host/v1?key=secret"}, "providers['x'].base_url", "key"),
        ("x", {"base_url": "http://host/v1?api-version=1&Access_Token=s"}, "providers['x'].base_url", "key"),
        ("x", {"base_url": "http://host/v1#there"}, "providers['x'].base_url", "fragment"),
        ("x", {**LOCAL, "format": "gemini", "done_is_end": True}, "providers['x'].done_is_end", "chat"),
        ("x", {**LOCAL, "api_key_env": "sk-secret"}, "providers['x'].api_key_env", "X_API_KEY"),
        ("x", {**LOCAL, "headers": {"X-A": "secret\nX-B: b"}}, "providers['x'].headers", "X-A"),
        ("x", {**LOCAL, "headers": {"X A": "b"}}, "providers['x'].headers", "X A"),
        ("x", {**LOCAL, "headers": {"X-A": 1}}, "providers['x'].headers", "no function"),
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
    assert "http://127.0.0.1:9/v1" in repr(
        Registry(environ={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"}).resolve("openai/x")
    )
    assert "https://api.openai.com/v1" in repr(Registry(environ={}).resolve("openai/x"))


@pytest.mark.parametrize("model", ["nobody/x", "gpt-4o", "", "/", "OpenAI/x"])
def test_a_provider_that_is_not_there(model: str) -> None:
    with pytest.raises(ProviderError) as caught:
        Registry({"local": LOCAL}, environ={}).resolve(model)
    assert caught.value.code == "unknown_provider"
    assert "local, mistral" in caught.value.message


def test_a_provider_without_a_model() -> None:
    with pytest.raises(ProviderError) as caught:
        Registry(environ={}).resolve("openai/")
    assert caught.value.code == "model_not_found"


def test_a_default_that_cannot_be_meant_is_said_at_start_up() -> None:
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
        assert key not in repr(vars(service))


class TestStatus:
    async def test_what_each_offers(self, provider: ScriptedProvider) -> None:
        provider.scripts = {"b": answer(""), "a/x": answer("")}
        config = {
            "puppet": {"base_url": provider.base_url},
            "fixed": {**LOCAL, "models": ["m"]},
            "gone": LOCAL,
            "shut": {**LOCAL, "api_key_env": "SHUT_KEY"},
        }
        found = {status.name: status for status in await Registry(config, environ={}, own=False).status()}
        assert list(found) == ["fixed", "gone", "puppet", "shut"]
        assert found["puppet"].models == ("puppet/a/x", "puppet/b")
        assert found["fixed"].models == ("fixed/m",)
        errors = {name: status.error.code for name, status in found.items() if status.error is not None}
        assert errors == {"gone": "unreachable", "shut": "missing_key"}
        assert {status.kind for status in found.values()} == {"chat_completions"}

    async def test_it_is_asked_once_a_minute(self, provider: ScriptedProvider) -> None:
        clock = FakeClock()
        config = {"puppet": {"base_url": provider.base_url}}
        registry = Registry(config, environ={}, own=False, monotonic=clock.monotonic)
        await registry.status()
        clock.advance(59)
        await registry.status()
        assert provider.listings == 1
        clock.advance(1)
        await registry.status()
        assert provider.listings == 2
        await registry.status(refresh=True)
        assert provider.listings == 3

    async def test_a_fault_is_remembered_for_a_shorter_time(self, provider: ScriptedProvider) -> None:
        clock = FakeClock()
        config = {"puppet": {"base_url": provider.base_url}}
        registry = Registry(config, environ={}, own=False, monotonic=clock.monotonic)
        provider.listing = refusal(500, "oops")
        assert (await registry.status())[0].error is not None
        provider.listing, provider.scripts = None, {"one": answer("")}
        clock.advance(9)
        assert (await registry.status())[0].error is not None
        clock.advance(1)
        assert (await registry.status())[0].models == ("puppet/one",)

    async def test_who_asks_meanwhile_gets_the_same_answer(self, provider: ScriptedProvider) -> None:
        provider.listing = Script(headers={"Content-Type": "application/json"}, steps=(Hold(), Send(b'{"data": []}')))
        registry = Registry({"puppet": {"base_url": provider.base_url}}, environ={}, own=False)
        first = asyncio.create_task(registry.status())
        await provider.held()
        others = [asyncio.create_task(registry.status(refresh=True)) for _ in range(3)]
        await asyncio.sleep(0)
        provider.release()
        assert len({id(each[0]) for each in await asyncio.gather(first, *others)}) == 1
        assert provider.listings == 1

    async def test_one_that_hangs_keeps_the_others_no_longer_than_its_bound(
        self, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jupyter_bgstream.providers.service.STATUS_SECONDS", 0.1)
        provider.listing = Script(steps=(Hold(),))
        config = {name: {"base_url": provider.base_url} for name in ("one", "two", "three")}
        async with asyncio.timeout(5):
            hung = await Registry(config, environ={}, own=False).status()
        assert [status.error.code for status in hung if status.error] == ["unreachable"] * 3

    @pytest.mark.parametrize(
        ("listing", "code"),
        [
            (refusal(401, {"error": "no"}), "unauthorized"),
            (refusal(500, "oops"), "provider_error"),
            (refusal(200, "<p>login", {"Content-Type": "text/html"}), None),
            (refusal(200, "{broken"), "malformed_stream"),
            (refusal(200, {"data": [{"id": 7}, None, {}]}), None),
            (refusal(200, {"odd": 1}), None),
            (refusal(200, "[]"), None),
            (refusal(200, "7"), None),
        ],
    )
    async def test_a_strange_listing(self, provider: ScriptedProvider, listing: Script, code: str | None) -> None:
        provider.listing = listing
        (status,) = await Registry({"puppet": {"base_url": provider.base_url}}, environ={}, own=False).status()
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
