"""Error responses of each service with Chat Completions or Ollama, from documentation and reports of users."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from providers.speaking import ERRORS

SLOW = "Rate limit reached for requests"
NO_MODEL = "The model `one` does not exist or you do not have access to it."

REFUSALS: list[tuple[str, int, Any, str, bool]] = [
    (
        "openai",
        401,
        {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}},
        "unauthorized",
        False,
    ),
    ("openai", 404, {"error": {"message": NO_MODEL, "code": "model_not_found"}}, "model_not_found", False),
    (
        "openai",
        429,
        {"error": {"message": SLOW, "type": "requests", "code": "rate_limit_exceeded"}},
        "rate_limited",
        True,
    ),
    ("openai", 429, {"error": {"message": "You exceeded", "code": "insufficient_quota"}}, "rate_limited", False),
    ("openai", 400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, "context_too_long", False),
    (
        "openai",
        400,
        {"error": {"message": "m", "param": "max_tokens", "code": "unsupported_parameter"}},
        "bad_request",
        False,
    ),
    (
        "llama.cpp",
        500,
        {"error": {"code": 500, "message": "image input is not supported - hint: you may need to provide the mmproj"}},
        "bad_request",
        False,
    ),
    (
        "llama.cpp",
        500,
        {"error": {"message": "audio input is not supported", "type": "server_error"}},
        "bad_request",
        False,
    ),
    ("vllm", 500, {"detail": "This model does not support image inputs."}, "bad_request", False),
    ("lmstudio", 500, {"error": "Model does not support images. Please use a model that does."}, "bad_request", False),
    ("openai", 500, {"error": {"message": "The server had an error"}}, "provider_error", True),
    (
        "perplexity",
        400,
        {"error": {"message": "The total length of all messages is too long."}},
        "context_too_long",
        False,
    ),
    (
        "bedrock",
        400,
        {"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum."},
        "context_too_long",
        False,
    ),
    ("openai", 503, {"error": {"message": "The engine is currently overloaded"}}, "provider_error", True),
    (
        "azure",
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}},
        "unauthorized",
        False,
    ),
    (
        "azure",
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
        "model_not_found",
        False,
    ),
    ("azure", 400, {"error": {"code": "content_filter", "status": 400, "message": "filtered"}}, "bad_request", False),
    (
        "azure",
        429,
        {"error": {"code": "429", "message": "Requests have exceeded call rate limit"}},
        "rate_limited",
        True,
    ),
    ("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, "bad_request", False),
    ("openrouter", 400, {"error": {"code": 400, "message": "one is not a valid model ID"}}, "model_not_found", False),
    ("openrouter", 404, {"error": {"code": 404, "message": "No endpoints found for one."}}, "model_not_found", False),
    (
        "openrouter",
        403,
        {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"]}}},
        "unauthorized",
        False,
    ),
    ("openrouter", 502, {"error": {"code": 502, "message": "Provider returned error"}}, "provider_error", True),
    (
        "groq",
        413,
        {"error": {"message": "Request too large for model", "type": "tokens", "code": "rate_limit_exceeded"}},
        "bad_request",
        False,
    ),
    ("groq", 404, {"error": {"message": NO_MODEL, "code": "model_not_found"}}, "model_not_found", False),
    (
        "groq",
        400,
        {"error": {"message": "The model `one` has been decommissioned", "code": "model_decommissioned"}},
        "model_not_found",
        False,
    ),
    (
        "groq",
        498,
        {"error": {"message": "Flex tier capacity exceeded", "code": "capacity_exceeded"}},
        "provider_error",
        True,
    ),
    (
        "deepseek",
        401,
        {"error": {"message": "Authentication Fails", "type": "authentication_error"}},
        "unauthorized",
        False,
    ),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}, "bad_request", False),
    (
        "deepseek",
        400,
        {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}},
        "model_not_found",
        False,
    ),
    ("deepseek", 422, {"error": {"message": "Invalid parameters"}}, "bad_request", False),
    ("deepseek", 503, {"error": {"message": "Server overloaded"}}, "provider_error", True),
    ("mistral", 401, {"detail": "Unauthorized"}, "unauthorized", False),
    (
        "mistral",
        400,
        {"object": "error", "message": "Invalid model: one", "type": "invalid_model", "code": "1500"},
        "model_not_found",
        False,
    ),
    (
        "mistral",
        422,
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        },
        "bad_request",
        False,
    ),
    (
        "mistral",
        429,
        {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"},
        "rate_limited",
        True,
    ),
    (
        "xai",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: x***y."},
        "unauthorized",
        False,
    ),
    (
        "xai",
        404,
        {"code": "Some resource was not found", "error": "The model one does not exist"},
        "model_not_found",
        False,
    ),
    ("xai", 403, {"code": "The caller does not have permission", "error": "no credits"}, "unauthorized", False),
    ("perplexity", 401, "<html><h1>401 Authorization Required</h1></html>", "unauthorized", False),
    (
        "perplexity",
        400,
        {"error": {"message": "Invalid model 'one'.", "type": "invalid_model", "code": 400}},
        "model_not_found",
        False,
    ),
    ("cohere", 401, {"message": "invalid api token"}, "unauthorized", False),
    (
        "cohere",
        404,
        {"message": "model 'one' not found, make sure the correct model ID was used"},
        "model_not_found",
        False,
    ),
    (
        "cohere",
        429,
        {"message": "You are using a Trial key, which is limited to 20 API calls / minute."},
        "rate_limited",
        True,
    ),
    (
        "cerebras",
        404,
        {"message": "Model one does not exist", "type": "not_found_error", "code": "model_not_found"},
        "model_not_found",
        False,
    ),
    (
        "cerebras",
        429,
        {"message": "busy", "type": "too_many_requests_error", "code": "queue_exceeded"},
        "rate_limited",
        True,
    ),
    (
        "moonshot",
        404,
        {"error": {"type": "resource_not_found_error", "message": "Not found the model one or Permission denied"}},
        "model_not_found",
        False,
    ),
    ("moonshot", 429, {"error": {"type": "engine_overloaded_error", "message": "overloaded"}}, "rate_limited", True),
    (
        "moonshot",
        429,
        {"error": {"type": "exceeded_current_quota_error", "message": "please check your account balance"}},
        "rate_limited",
        False,
    ),
    (
        "vllm",
        404,
        {"error": {"message": "The model `one` does not exist.", "type": "NotFoundError", "code": 404}},
        "model_not_found",
        False,
    ),
    (
        "vllm",
        400,
        {"object": "error", "message": "maximum context length is 2048", "type": "BadRequestError", "code": 400},
        "context_too_long",
        False,
    ),
    ("lmstudio", 404, {"error": {"message": "No models loaded.", "code": "model_not_found"}}, "model_not_found", False),
    (
        "llamacpp",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        "provider_error",
        True,
    ),
    (
        "llamacpp",
        400,
        {"error": {"code": 400, "message": "exceeds the available context size", "type": "exceed_context_size_error"}},
        "context_too_long",
        False,
    ),
    ("ollama", 404, {"error": "model 'one' not found"}, "model_not_found", False),
    ("ollama", 400, {"error": '"one" does not support thinking'}, "bad_request", False),
    ("ollama", 500, {"error": "model requires more system memory (8 GiB) than is available"}, "provider_error", True),
    ("ollama", 401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect"}, "unauthorized", False),
]


@pytest.mark.parametrize(("service", "status", "body", "code", "transient"), REFUSALS)
def test_error_response_maps_to_code_and_transience(
    service: str, status: int, body: Any, code: str, transient: bool
) -> None:
    raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    error = ERRORS.response_error(status, {}, raw)
    assert (error.code, error.transient) == (code, transient), (service, error.message)
