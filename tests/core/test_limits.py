"""Limits of prompts, images and params of a job."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_bgstream.core.attachment_checks import MAX_IMAGE_BYTES, MAX_IMAGES
from jupyter_bgstream.core.errors import InvalidRequestError
from jupyter_bgstream.core.job import JobSpec
from jupyter_bgstream.core.messages import ImagePart, Message, TextPart
from jupyter_bgstream.core.request_checks import check_spec

IMAGE = ImagePart(media_type="image/png", data=b"x")


def spec(*content: Any, **params: Any) -> JobSpec:
    messages = tuple(Message(role="user", content=one) for one in content or ("x",))
    return JobSpec(model="a/b", messages=messages, params=params)


def refused(what: JobSpec) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        check_spec(what)
    return caught.value


@pytest.mark.parametrize(
    "what", [spec("x"), spec("", (IMAGE,)), spec((TextPart(text="x"), IMAGE)), spec((IMAGE,) * MAX_IMAGES)]
)
def test_valid_spec_is_accepted(what: JobSpec) -> None:
    check_spec(what)


def test_empty_prompt_and_oversized_images_are_refused() -> None:
    large = ImagePart(media_type="image/png", data=b"x" * (MAX_IMAGE_BYTES + 1))
    assert refused(spec(" ", (), (TextPart(text="\n"),))).field == "messages"
    assert (
        refused(spec("x", (IMAGE, ImagePart(media_type="image/png", data=b"")))).field == "messages[1].content[1].data"
    )
    assert refused(spec((TextPart(text="x"), large))).message == (
        "An image has 10.0 MiB; at most 10 MiB are taken: make it smaller."
    )
    assert "at most 50 images; this one has 51" in refused(spec((IMAGE,) * 30, (IMAGE,) * 21)).message


SECRETS = "api_key apiKey API-KEY base_url baseURL api_base headers extra_headers Authorization organization proxy key_"


@pytest.mark.parametrize("name", SECRETS.split())
def test_keys_and_addresses_in_params_are_refused(name: str) -> None:
    error = refused(spec(**{"temperature": 1, name: "sk-canary"}))
    assert (error.code, error.field) == ("invalid", f"params.{name}")
    assert "Jupyter server's environment" in error.message
    assert "canary" not in error.message


@pytest.mark.parametrize("name", ["max_tokens", "stop", "user", "keep_alive", "metadata", "tools", "safety_identifier"])
def test_other_params_are_accepted(name: str) -> None:
    check_spec(spec(**{name: "x"}))


SCHEMA = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "headers": {"type": "object", "properties": {"api_key": {}}}},
    "$defs": {"host": {"enum": [{"key": "x"}], "default": {"token": "x"}}},
    "required": ["url"],
}
PASSED: dict[str, Any] = {
    "schema": SCHEMA,
    "format": SCHEMA,
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
    "text": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "generationConfig": {"responseSchema": SCHEMA},
    "tools": [
        {"type": "function", "function": {"name": "fetch", "parameters": SCHEMA}},
        {"name": "fetch", "input_schema": SCHEMA, "input_examples": [{"url": "https://x.example/"}]},
        {"functionDeclarations": [{"name": "fetch", "parametersJsonSchema": SCHEMA}]},
        {"type": "file_search", "filters": {"type": "and", "filters": [{"type": "eq", "key": "year", "value": 2026}]}},
        {"type": "web_search", "filters": {"allowed_domains": ["x.example"]}, "user_location": {"city": "Bern"}},
        {"urlContext": {}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "url"}},
    "metadata": {"url": "https://x.example/", "key": "mine"},
    "labels": {"host": "lab"},
    "image": {"image_url": "data:image/png;base64,xx"},
    "prompt_cache_key": "x",
    "include_credentials": False,
    "use_api_key": True,
    "max_tokens": 3,
    "options": {"num_ctx": 4096},
    "logit_bias": {"50256": -100},
    "provider": {"order": ["a"], "allow_fallbacks": False},
}


@pytest.mark.parametrize("name", PASSED)
def test_schemas_filters_and_metadata_in_params_are_accepted(name: str) -> None:
    check_spec(spec(**{name: PASSED[name]}))


DEEP: dict[str, dict[str, Any]] = {
    "extra_body.api_base": {"extra_body": {"api_base": "https://x.example"}},
    "fallbacks[1].api-key": {"fallbacks": ["a/b", {"model": "a/b", "api-key": "canary"}]},
    "tools[0].server_url": {"tools": [{"type": "mcp", "server_url": "https://x.example"}]},
    "tools[0].headers": {"tools": [{"type": "mcp", "headers": {"A": "canary"}}]},
    "tools[0].authorization": {"tools": [{"type": "mcp", "connector_id": "x", "authorization": "canary"}]},
    "mcp_servers[0].url": {"mcp_servers": [{"type": "url", "url": "https://x.example"}]},
    "mcp_servers[0].authorization_token": {"mcp_servers": [{"authorization_token": "canary"}]},
    "data_sources[0].parameters.endpoint": {"data_sources": [{"parameters": {"endpoint": "x"}}]},
    "data_sources[0].parameters.key": {"data_sources": [{"parameters": {"key": "canary"}}]},
    "a.b.c[0][0].Extra_Headers": {"a": {"b": {"c": [[{"Extra_Headers": {}}]]}}},
    "search.callback_uri": {"search": {"callback_uri": "https://x.example"}},
    "x.some_endpoint": {"x": {"some_endpoint": "grpc://x.example"}},
    "metadata.a.api_base": {"metadata": {"a": {"api_base": "x"}}},
    "x.metadata.url": {"x": {"metadata": {"url": "x"}}},
    "schema.properties.a.url": {"schema": {"properties": {"a": {"url": "x"}}}},
    "schema.url": {"schema": {"url": {"type": "string"}}},
    "openai_api_key": {"openai_api_key": "canary"},
    "x-goog-api-key": {"x-goog-api-key": "canary"},
    "a[0].vertex_credentials": {"a": [{"vertex_credentials": {"private_key_id": "x"}}]},
    "a.privateKey": {"a": {"privateKey": "canary"}},
    "azure_password": {"azure_password": "canary"},
    "api key": {"api key": "canary"},
    "api.key": {"api.key": "canary"},
    "api_key\u200b": {"api_key\u200b": "canary"},
    "\uff41pi_key": {"\uff41pi_key": "canary"},
    "ba\u017fe_url": {"ba\u017fe_url": "x"},
}


@pytest.mark.parametrize("path", DEEP)
def test_keys_and_addresses_in_params_are_refused_at_any_depth(path: str) -> None:
    error = refused(spec(temperature=1, **DEEP[path]))
    assert (error.code, error.field) == ("invalid", f"params.{path}")
    assert error.message.startswith(f"params may not hold {path}: ")
    assert "canary" not in error.message
    assert "x.example" not in error.message


def test_size_and_depth_of_params_are_limited() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert "100 levels" in refused(spec(a=deep)).message
    assert "100,000 values" in refused(spec(a=[[]] * 200_000)).message
    check_spec(spec(a=[1] * 90_000))
