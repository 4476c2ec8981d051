"""The config lines of the pages on providers: each requests the right path with the right key."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from providers.speaking import job, read, text

from jupyter_bgstream.core.events import Completed
from jupyter_bgstream.providers.registry import Registry
from jupyter_bgstream.testing import Script, ScriptedProvider, answer, chunk, event, replay

PAGES = Path(__file__).parents[2] / "docs/reference/providers"
CHAT = answer("one two")
GEMINI = replay([event({"candidates": [{"content": {"parts": [{"text": "one two"}]}, "finishReason": "STOP"}]})])
WITHOUT_END = replay([chunk({"content": "one two"}), event("[DONE]")])
VERTEX = "/v1/projects/MY_PROJECT/locations/us-central1/publishers/google"

# By page: the model, the variable that holds the key, the path, and the response of the service.
CASES: dict[str, tuple[str, str | None, str, Script]] = {
    "azure": ("entra/my-deployment", None, "/openai/v1/chat/completions", CHAT),
    "bedrock": (
        "bedrock/openai.gpt-oss-120b-1:0",
        "AWS_BEARER_TOKEN_BEDROCK",
        "/openai/v1/chat/completions",
        CHAT,
    ),
    "cloudflare": (
        "cloudflare/@cf/openai/gpt-oss-120b",
        "CLOUDFLARE_API_TOKEN",
        "/client/v4/accounts/ACCOUNT_ID/ai/v1/chat/completions",
        CHAT,
    ),
    "databricks": ("databricks/my-endpoint", "DATABRICKS_TOKEN", "/serving-endpoints/chat/completions", CHAT),
    "github": ("github/openai/gpt-4.1", "GITHUB_TOKEN", "/inference/chat/completions", CHAT),
    "gpustack": ("gpustack/qwen3", "GPUSTACK_API_KEY", "/v1/chat/completions", CHAT),
    "huggingface": ("huggingface/openai/gpt-oss-120b:cerebras", "HF_TOKEN", "/v1/chat/completions", CHAT),
    "litellm-proxy": ("proxy/one", "LITELLM_PROXY_KEY", "/v1/chat/completions", CHAT),
    "localai": ("localai/one", "", "/v1/chat/completions", CHAT),
    "snowflake": ("snowflake/one", "SNOWFLAKE_PAT", "/api/v2/cortex/v1/chat/completions", WITHOUT_END),
    "vertex": (
        "vertex/gemini-2.5-flash",
        None,
        f"{VERTEX}/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        GEMINI,
    ),
}


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the packages of clouds that make tokens, with the calls that the pages make."""

    class Credentials:
        valid, token = False, "old"

        def refresh(self, request: Any) -> None:
            self.valid, self.token = True, "a-token"

    def provider(credential: Any, scope: str) -> Any:
        assert scope.endswith("/.default")
        return lambda: "a-token"

    google = ModuleType("google")
    auth = ModuleType("google.auth")
    transport, requests = ModuleType("google.auth.transport"), ModuleType("google.auth.transport.requests")
    azure, identity = ModuleType("azure"), ModuleType("azure.identity")
    google.auth, auth.transport, transport.requests = auth, transport, requests  # type: ignore[attr-defined]
    auth.default = lambda scopes: (Credentials(), "project")  # type: ignore[attr-defined]
    requests.Request = object  # type: ignore[attr-defined]
    identity.DefaultAzureCredential = object  # type: ignore[attr-defined]
    identity.get_bearer_token_provider = provider  # type: ignore[attr-defined]
    for module in (google, auth, transport, requests, azure, identity):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def providers_of(page: str) -> dict[str, dict[str, Any]]:
    (block,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.S)
    config = SimpleNamespace(BgStreamApp=SimpleNamespace())
    exec(block, {"c": config})
    return config.BgStreamApp.providers  # type: ignore[no-any-return]


@pytest.mark.usefixtures("clouds")
@pytest.mark.parametrize("page", CASES)
async def test_config_of_page_requests_the_service(page: str) -> None:
    model, variable, path, script = CASES[page]
    providers = providers_of(page)
    async with ScriptedProvider(routes={"POST *": script}) as service:
        for entry in providers.values():  # the same path, on this machine
            entry["base_url"] = f"http://127.0.0.1:{service.port}{urlsplit(entry['base_url']).path}"
        registry = Registry(providers, environ={variable: "a-token"} if variable else {}, builtin=False)
        assert registry.problems == []
        said, error = await read(registry.resolve(model), job(model))
        assert error is None
        assert text(said) == "one two"
        assert isinstance(said[-1], Completed)
        (request,) = service.requests
        assert request.path == path
        assert request.headers.get("authorization") == (None if variable == "" else "Bearer a-token")
        assert "x-goog-api-key" not in request.headers
        if "streamGenerateContent" not in path:
            assert request.model == model.partition("/")[2]
        (status,) = await registry.status()
        assert status.error is None
        assert bool(status.models) == ("models" in next(iter(providers.values())))
        await service.quiet()


@pytest.mark.parametrize("page", CASES)
def test_page_has_all_sections_and_is_in_index(page: str) -> None:
    words = (PAGES / f"{page}.md").read_text()
    for heading in ("## What to set", "## What it supports", "## Limitations"):
        assert f"\n{heading}\n" in words
    assert f"]({page}.md)" in (PAGES / "index.md").read_text()
    model, variable, _, _ = CASES[page]
    assert not variable or f"`{variable}`" in words
    assert f"%%bg {model.partition('/')[0]}/" in words
