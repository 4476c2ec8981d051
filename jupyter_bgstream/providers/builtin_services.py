"""Built-in providers: address, format, key variables and default model of each.

Variables for addresses follow each service's own convention: OPENAI_BASE_URL, OLLAMA_HOST, AZURE_OPENAI_ENDPOINT.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .formats.dialects import DIALECTS

OPENAI_URL = "https://api.openai.com/v1"
OLLAMA_PORT = 11434


class BuiltinProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that needs no configuration but a key."""

    fields: dict[str, Any]  # of ProviderSettings; without base_url, ``required`` names what sets it
    documentation: str  # URL
    required: str | None = None  # variables to set before it can be used
    configured: bool = False  # whether the environment names its address


def _hosted(base_url: str, key: str | tuple[str, ...], model: str, documentation: str, **more: Any) -> BuiltinProvider:
    fields = {"base_url": base_url, "api_key_env": key, "default_model": model, **more}
    return BuiltinProvider(fields=fields, documentation=documentation)


# In the order in which a default model is chosen.
_HOSTED = {
    "openai": _hosted(
        OPENAI_URL, "OPENAI_API_KEY", "gpt-6-luna", "https://developers.openai.com/api/docs", format="responses"
    ),
    "anthropic": _hosted(
        "https://api.anthropic.com/v1",
        "ANTHROPIC_API_KEY",
        "claude-sonnet-5-5",
        "https://platform.claude.com/docs/en/api/overview",
        format="messages",
    ),
    "gemini": _hosted(
        "https://generativelanguage.googleapis.com/v1beta",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "gemini-3.8-flash",
        "https://ai.google.dev/gemini-api/docs",
        format="gemini",
    ),
    "openrouter": _hosted(
        "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter/auto", "https://openrouter.ai/docs"
    ),
    "groq": _hosted(
        "https://api.groq.com/openai/v1", "GROQ_API_KEY", "openai/gpt-oss-120b", "https://console.groq.com/docs"
    ),
    "deepseek": _hosted(
        "https://api.deepseek.com", "DEEPSEEK_API_KEY", "deepseek-flash", "https://api-docs.deepseek.com"
    ),
    "mistral": _hosted(
        "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral-medium-latest", "https://docs.mistral.ai"
    ),
    "xai": _hosted("https://api.x.ai/v1", "XAI_API_KEY", "grok-4.3", "https://docs.x.ai"),
    "perplexity": _hosted(
        "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "sonar", "https://docs.perplexity.ai",
        models=("sonar", "sonar-pro", "sonar-reasoning-pro", "sonar-deep-research"),  # it has no list of models
    ),
    "cohere": _hosted(
        "https://api.cohere.ai/compatibility/v1",
        ("COHERE_API_KEY", "CO_API_KEY"),
        "command-a-03-2025",
        "https://docs.cohere.com/docs/compatibility-api",
    ),
    "cerebras": _hosted(
        "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "gpt-oss-120b", "https://inference-docs.cerebras.ai"
    ),
    "moonshot": _hosted(
        "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "kimi-k3", "https://platform.kimi.ai/docs/api/overview"
    ),
    "together": _hosted(
        "https://api.together.ai/v1",
        "TOGETHER_API_KEY",
        "openai/gpt-oss-120b",
        "https://docs.together.ai/docs/inference/openai-compatibility",
    ),
    "fireworks": _hosted(
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        "accounts/fireworks/models/gpt-oss-120b",
        "https://docs.fireworks.ai",
    ),
    "azure": BuiltinProvider(
        fields={"api_key_env": "AZURE_OPENAI_API_KEY", "key_header": "api-key"},
        documentation="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        required="AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY",
    ),
}  # fmt: skip

_LOCAL = {
    "ollama": BuiltinProvider(
        fields={"base_url": f"http://127.0.0.1:{OLLAMA_PORT}", "format": "ollama"},
        documentation="https://docs.ollama.com/api",
    ),
    "lmstudio": BuiltinProvider(
        fields={"base_url": "http://127.0.0.1:1234/v1"}, documentation="https://lmstudio.ai/docs/developer"
    ),
    "llamacpp": BuiltinProvider(
        fields={"base_url": "http://127.0.0.1:8080/v1"},
        documentation="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    ),
    "vllm": BuiltinProvider(fields={"base_url": "http://127.0.0.1:8000/v1"}, documentation="https://docs.vllm.ai"),
}

NAMES = (*_HOSTED, *_LOCAL)


def builtin_providers(environ: Mapping[str, str]) -> dict[str, BuiltinProvider]:
    """Return the built-in providers by name, in the order of defaults, with addresses of the environment."""
    found = _HOSTED | _LOCAL
    if url := environ.get("OPENAI_BASE_URL", "").strip():
        found["openai"] = _with(found["openai"], base_url=url)
    if endpoint := environ.get("AZURE_OPENAI_ENDPOINT", "").strip():
        found["azure"] = _with(found["azure"], base_url=_azure_url(endpoint))
    if host := environ.get("OLLAMA_HOST", "").strip().strip("'\"").strip():
        found["ollama"] = _with(found["ollama"], base_url=ollama_url(host))
    return found


def complete_fields(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a built-in provider, with the format and dialect of its address."""
    fields = dict(fields)
    url = str(fields.get("base_url", "")).rstrip("/")
    official = name != "openai" or url == OPENAI_URL  # else a service that imitates OpenAI
    if fields.get("format") == "responses" and not official:
        fields["format"] = "chat_completions"  # which all imitations have
    if fields.get("format") == "ollama" and name == "ollama" and url.endswith("/v1"):
        fields["format"] = "chat_completions"  # its compatible API
    fields.setdefault("format", "chat_completions")
    if fields["format"] == "responses" and name == "openai":
        fields.setdefault("background", True)
    if fields["format"] == "chat_completions" and official and name in DIALECTS:
        fields.setdefault("dialect", name)
    return fields


def ollama_url(host: str) -> str:
    """Return the URL for a value of OLLAMA_HOST, in every form that Ollama accepts.

    A host, a port or both, with or without a scheme and a path; the port is 11434 if there is no scheme. The addresses
    that a server listens on (0.0.0.0, ::) become this machine's. An invalid value is returned as it is.
    Source: ``Host`` in https://github.com/ollama/ollama/blob/main/envconfig/config.go
    """
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "http", host
    if _is_ipv6(rest):
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"//{rest}")
        name, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        return host
    if name in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        name = "127.0.0.1"
    if port is None:
        port = {"http": 80, "https": 443}.get(scheme, OLLAMA_PORT) if separator else OLLAMA_PORT
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}:{port}{parts.path}".rstrip("/")


def _with(entry: BuiltinProvider, *, base_url: str) -> BuiltinProvider:
    return msgspec.structs.replace(entry, fields=entry.fields | {"base_url": base_url}, configured=True, required=None)


def _azure_url(endpoint: str) -> str:
    # Both forms are in use: the resource alone, and with the path of the API without versions.
    url = endpoint.rstrip("/")
    return url if url.endswith("/openai/v1") else f"{url.removesuffix('/openai')}/openai/v1"


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
