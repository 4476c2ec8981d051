"""The built-in providers, and how the environment and the setting change them."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.providers.builtin_services import NAMES, builtin_providers, complete_fields, ollama_url
from jupyter_bgstream.providers.http_provider import HTTPProvider
from jupyter_bgstream.providers.provider_settings import read_provider_settings
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.providers.unavailable_provider import UnavailableProvider


def endpoint(registry: Registry, name: str) -> Any:
    service = registry.resolve(f"{name}/x")
    assert isinstance(service, HTTPProvider)
    return service._endpoint


def test_builtin_entries_are_valid_provider_settings() -> None:
    found = builtin_providers({"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com"})
    assert len(found) >= 15
    for name, entry in found.items():
        read = read_provider_settings(name, complete_fields(name, entry.fields))
        assert (read.default_model is not None) == bool(read.key_names and name != "azure")
        assert entry.documentation.startswith("https://")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("gpu", "http://gpu:11434"),
        ("gpu:1234", "http://gpu:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]:5000", "http://127.0.0.1:5000"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu", "https://gpu:443"),
        ("https://gpu:1/ollama/", "https://gpu:1/ollama"),
        ("gpu/ollama", "http://gpu:11434/ollama"),
    ],
)
def test_ollama_host_is_completed_to_url(host: str, url: str) -> None:
    assert ollama_url(host) == url


def test_base_urls_are_read_from_environment() -> None:
    environ = {"OPENAI_BASE_URL": " http://127.0.0.1:9/v1/ ", "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}
    registry = Registry(environ=environ)
    assert endpoint(registry, "openai").base_url == "http://127.0.0.1:9/v1"
    assert endpoint(registry, "openai").format == "chat_completions"
    assert endpoint(registry, "openai").dialect == "plain"
    azure = endpoint(registry, "azure")
    assert azure.dialect == "azure"
    assert (azure.base_url, azure.key_header) == ("https://me.openai.azure.com/openai/v1", "api-key")


@pytest.mark.parametrize("given", ["https://me.x/openai", "https://me.x/openai/v1", "https://me.x/openai/v1/"])
def test_azure_endpoint_is_completed_to_base_url(given: str) -> None:
    assert endpoint(Registry(environ={"AZURE_OPENAI_ENDPOINT": given}), "azure").base_url == "https://me.x/openai/v1"


async def test_invalid_base_url_disables_only_its_provider() -> None:
    registry = Registry(environ={"OPENAI_BASE_URL": "nonsense", "OPENAI_API_KEY": "sk-1"})
    broken = registry.resolve("openai/x")
    assert isinstance(broken, UnavailableProvider)
    status = await broken.status()
    assert status.configured
    assert status.error is not None
    assert "http" in status.error.message
    assert isinstance(registry.resolve("groq/x"), HTTPProvider)
    with pytest.raises(ProviderError, match="environment"):
        await anext(broken.stream(None))  # type: ignore[arg-type]  # it does not look at the job


async def test_azure_without_endpoint_names_the_missing_variable() -> None:
    status = await Registry(environ={}).resolve("azure/x").status()
    assert not status.configured
    assert status.error is not None
    assert "AZURE_OPENAI_ENDPOINT" in status.error.message


def test_ollama_base_url_selects_the_format() -> None:
    given = {"ollama": {"base_url": "http://gpu:11434/v1"}}
    assert endpoint(Registry(environ={}), "ollama").format == "ollama"
    assert endpoint(Registry({"ollama": {"base_url": "http://gpu:11434"}}, environ={}), "ollama").format == "ollama"
    assert endpoint(Registry(given, environ={}), "ollama").format == "chat_completions"


def test_providers_setting_overrides_adds_and_removes() -> None:
    registry = Registry(
        {
            "groq": {"idle_timeout": 300},
            "mine": {"base_url": "http://host/v1"},
            "xai": None,
            "mistral": False,
            "litellm": None,
            "openai": {"base_url": "https://proxy.example.org/v1"},
        },
        environ={},
    )
    assert endpoint(registry, "groq").idle_timeout == 300
    assert endpoint(registry, "groq").base_url == "https://api.groq.com/openai/v1"
    assert endpoint(registry, "mine").base_url == "http://host/v1"
    assert endpoint(registry, "openai").key_names == ("OPENAI_API_KEY",)
    assert endpoint(registry, "openai").format == "chat_completions"
    for gone in ("xai", "mistral", "litellm"):
        with pytest.raises(ProviderError) as caught:
            registry.resolve(f"{gone}/x")
        assert caught.value.code == "unknown_provider"


def test_partial_entry_of_custom_provider_requires_base_url() -> None:
    (problem,) = Registry({"nobody": {"idle_timeout": 300}}, environ={}).problems
    assert "base_url" in problem


def test_builtin_providers_lists_every_name() -> None:
    assert tuple(builtin_providers({})) == NAMES
    assert builtin_providers({})["openai"].fields["format"] == "responses"
