"""Settings are checked at the start; the status of providers is cached and bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from providers.speaking import job, read

from jupyter_bgstream.core.errors import InvalidRequestError, ProviderError
from jupyter_bgstream.providers.plugins import loader
from jupyter_bgstream.providers.port import Provider, Providers
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import FakeClock, Hold, Script, ScriptedProvider, Send, answer, refusal

LOCAL = {"base_url": "http://127.0.0.1:1/v1"}


def test_registry_implements_the_engine_protocols() -> None:
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
        ("x", {**LOCAL, "headers": {"X-A": 1}}, "providers['x'].headers", "nor a function"),
        ("x", {**LOCAL, "models": "gpt"}, "providers['x']", "array"),
        ("x", {**LOCAL, "idle_timeout": 0}, "providers['x'].idle_timeout", "more than 0"),
        ("x", {**LOCAL, "idle_timeout": float("nan")}, "providers['x'].idle_timeout", "more than 0"),
        ("x", {**LOCAL, "total_timeout": -1}, "providers['x'].total_timeout", "more than 0"),
    ],
)
async def test_invalid_setting_disables_only_its_provider(name: str, config: Any, field: str, words: str) -> None:
    registry = Registry({name: config, "sound": LOCAL}, environ={})
    (problem,) = registry.problems
    assert field.partition(".")[0] in problem
    assert words in problem
    assert "secret" not in problem
    assert problem.endswith("Correct BgStreamApp in Jupyter's config, then restart Jupyter.")
    wrong = {status.name: status.error for status in await registry.status() if status.error}[str(name)]
    assert (wrong.code, wrong.message) == ("invalid_config", problem)
    if "/" not in name:  # else it is the name of no model
        _, error = await read(registry.resolve(f"{name}/x"))
        assert error is not None
        assert error.code == "invalid_config"
        assert problem in error.message
    assert registry.resolve("sound/x").config_error() is None
    assert registry.resolve("openai/x").name == "openai"


class _NoTruth:
    """An entry that cannot be compared, such as a DataFrame."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("sk-secret")

    __hash__ = None  # type: ignore[assignment]


class _Raises(dict[str, Any]):
    """A mapping in the config that fails on every access."""

    def __contains__(self, name: object) -> bool:
        raise RuntimeError("sk-secret")

    __iter__ = keys = __contains__  # type: ignore[assignment]


@pytest.mark.parametrize("entry", [_NoTruth(), _Raises(base_url="http://x/v1"), [], "", 0, True, {1: 2}, b"x"])
@pytest.mark.parametrize("name", ["mine", "openai", "ollama", "demo"])
async def test_any_invalid_entry_disables_only_its_provider(name: str, entry: Any) -> None:
    registry = Registry({name: entry, "sound": LOCAL}, environ={})
    (problem,) = registry.problems
    assert repr(name) in problem
    assert "secret" not in problem
    fault = registry.resolve(f"{name}/x").config_error()
    assert fault is not None
    assert fault.code == "invalid_config"
    assert registry.resolve("sound/x").config_error() is None


async def test_invalid_plugin_settings_disable_only_the_plugin() -> None:
    registry = Registry({"demo": {"models": 5}, "litellm": {"idle_timeout": 0}}, environ={})
    assert len(registry.problems) == 2
    assert {status.error.code for status in await registry.status() if status.name in ("demo", "litellm")} == {
        "invalid_config"
    }


def test_broken_metadata_of_other_packages_keeps_bundled_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> Any:
        raise TypeError("a package without a name")

    monkeypatch.setattr(loader, "entry_points", fail)
    assert Registry(environ={}).resolve("demo/tour").name == "demo"


def test_invalid_alias_disables_only_itself() -> None:
    aliases = {
        "good": "local/x",
        "bad one": "local/x",
        "openai": "local/x",
        "b": 5,
        "c": "nobody/x",
        "local/y": "local/x",
    }
    registry = Registry({"local": LOCAL}, environ={}, aliases=aliases)
    assert registry.aliases == {"good": "local/x"}
    assert len(registry.problems) == 5
    assert registry.full_name("good") == "local/x"
    assert registry.full_name("local/y") == "local/y"  # a model, which has nothing to do with the alias
    for name, words in (("b", "must be the name of a model"), ("c", "Unknown provider")):
        with pytest.raises(InvalidRequestError) as caught:
            registry.full_name(name)
        assert caught.value.field == "model"
        assert words in caught.value.message


def test_openai_base_url_comes_from_environment() -> None:
    assert "http://127.0.0.1:9/v1" in repr(
        Registry(environ={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"}).resolve("openai/x")
    )
    assert "https://api.openai.com/v1" in repr(Registry(environ={}).resolve("openai/x"))


@pytest.mark.parametrize("model", ["nobody/x", "gpt-4o", "", "/", "OpenAI/x"])
def test_unknown_provider_error_lists_known_providers(model: str) -> None:
    with pytest.raises(ProviderError) as caught:
        Registry({"local": LOCAL}, environ={}).resolve(model)
    assert caught.value.code == "unknown_provider"
    assert "local, mistral" in caught.value.message


def test_provider_without_model_is_model_not_found() -> None:
    with pytest.raises(ProviderError) as caught:
        Registry(environ={}).resolve("openai/")
    assert caught.value.code == "model_not_found"


async def test_invalid_default_model_is_refused_and_not_replaced() -> None:
    for wrong in ("gpt-4o", "other/x", "local/", "bad"):
        registry = Registry({"local": LOCAL}, environ={"OPENAI_API_KEY": "k"}, default_model=wrong, aliases={"bad": 5})
        assert registry.problems[-1].startswith("default_model: ")
        with pytest.raises(InvalidRequestError) as caught:
            await registry.default()
        assert (caught.value.code, caught.value.message) == ("no_default_model", registry.problems[-1])


async def test_key_is_read_at_each_call(provider: ScriptedProvider) -> None:
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
    async def test_status_lists_models_or_error_of_each_provider(self, provider: ScriptedProvider) -> None:
        provider.scripts = {"b": answer(""), "a/x": answer("")}
        config = {
            "puppet": {"base_url": provider.base_url},
            "fixed": {**LOCAL, "models": ["m"]},
            "gone": LOCAL,
            "shut": {**LOCAL, "api_key_env": "SHUT_KEY"},
        }
        found = {status.name: status for status in await Registry(config, environ={}, builtin=False).status()}
        assert list(found) == ["fixed", "gone", "puppet", "shut"]
        assert found["puppet"].models == ("puppet/a/x", "puppet/b")
        assert found["fixed"].models == ("fixed/m",)
        errors = {name: status.error.code for name, status in found.items() if status.error is not None}
        assert errors == {"gone": "unreachable", "shut": "missing_key"}
        assert {status.kind for status in found.values()} == {"chat_completions"}

    async def test_status_is_cached_for_a_minute(self, provider: ScriptedProvider) -> None:
        clock = FakeClock()
        config = {"puppet": {"base_url": provider.base_url}}
        registry = Registry(config, environ={}, builtin=False, monotonic=clock.monotonic)
        await registry.status()
        clock.advance(59)
        await registry.status()
        assert provider.listings == 1
        clock.advance(1)
        await registry.status()
        assert provider.listings == 2
        await registry.status(refresh=True)
        assert provider.listings == 3

    async def test_failed_status_is_cached_for_ten_seconds(self, provider: ScriptedProvider) -> None:
        clock = FakeClock()
        config = {"puppet": {"base_url": provider.base_url}}
        registry = Registry(config, environ={}, builtin=False, monotonic=clock.monotonic)
        provider.listing = refusal(500, "oops")
        assert (await registry.status())[0].error is not None
        provider.listing, provider.scripts = None, {"one": answer("")}
        clock.advance(9)
        assert (await registry.status())[0].error is not None
        clock.advance(1)
        assert (await registry.status())[0].models == ("puppet/one",)

    async def test_concurrent_callers_share_one_status_request(self, provider: ScriptedProvider) -> None:
        provider.listing = Script(headers={"Content-Type": "application/json"}, steps=(Hold(), Send(b'{"data": []}')))
        registry = Registry({"puppet": {"base_url": provider.base_url}}, environ={}, builtin=False)
        first = asyncio.create_task(registry.status())
        await provider.held()
        others = [asyncio.create_task(registry.status(refresh=True)) for _ in range(3)]
        await asyncio.sleep(0)
        provider.release()
        assert len({id(each[0]) for each in await asyncio.gather(first, *others)}) == 1
        assert provider.listings == 1

    async def test_hanging_providers_are_unreachable_after_the_limit(
        self, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jupyter_bgstream.providers.http_provider.STATUS_SECONDS", 0.1)
        provider.listing = Script(steps=(Hold(),))
        config = {name: {"base_url": provider.base_url} for name in ("one", "two", "three")}
        async with asyncio.timeout(60):
            hung = await Registry(config, environ={}, builtin=False).status()
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
    async def test_malformed_model_list_yields_no_models(
        self, provider: ScriptedProvider, listing: Script, code: str | None
    ) -> None:
        provider.listing = listing
        (status,) = await Registry({"puppet": {"base_url": provider.base_url}}, environ={}, builtin=False).status()
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
def test_config_error_reports_missing_key(config: dict[str, Any], environ: dict[str, str], code: str | None) -> None:
    config_error = Registry({"x": LOCAL | config}, environ=environ).resolve("x/one").config_error()
    assert (config_error.code if config_error else None) == code
