"""Parameters of requests to Gemini, and their places.

Source: https://ai.google.dev/api/generate-content and https://ai.google.dev/gemini-api/docs/thinking, November 2026.
"""

import re
from typing import Any

from ..errors import ErrorBuilder
from ..standard_parameters import Effort, Params, joined

# Fields of GenerationConfig and of the request itself; users may write them as in Google's Python SDK: top_k.
_CONFIG = frozenset(
    (
        "candidateCount",
        "enableEnhancedCivicAnswers",
        "frequencyPenalty",
        "imageConfig",
        "logprobs",
        "maxOutputTokens",
        "mediaResolution",
        "presencePenalty",
        "responseJsonSchema",
        "responseLogprobs",
        "responseMimeType",
        "responseModalities",
        "responseSchema",
        "seed",
        "speechConfig",
        "stopSequences",
        "temperature",
        "thinkingConfig",
        "topK",
        "topP",
    )
)
_TOP = frozenset(
    (
        "cachedContent",
        "generationConfig",
        "labels",
        "safetySettings",
        "serviceTier",
        "store",
        "systemInstruction",
        "toolConfig",
        "tools",
    )
)

# 2.5 has a budget of tokens, by Google's own figures for each effort; later models have levels.
_BUDGETED = re.compile(r"gemini-2\.5")
_BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_LEVELS: dict[Effort, str] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def config_of(params: Params, model: str, errors: ErrorBuilder) -> dict[str, Any]:
    """Return the GenerationConfig of a job; raise ProviderError for a model that always reasons."""
    config: dict[str, Any] = {
        "temperature": params.temperature,
        "topP": params.top_p,
        "maxOutputTokens": params.max_tokens,
        "stopSequences": params.stops,
        "seed": params.seed,
    }
    if params.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": params.schema}
    if params.reasoning_effort is not None:
        config["thinkingConfig"] = _thinking(params.reasoning_effort, model, errors)
    return {name: value for name, value in config.items() if value is not None}


def _thinking(effort: Effort, model: str, errors: ErrorBuilder) -> dict[str, Any]:
    shown = {"includeThoughts": effort != "none"}
    if _BUDGETED.search(model):
        return shown | {"thinkingBudget": _BUDGETS[effort]}
    if effort == "none":
        raise errors.error(
            "bad_request",
            f"{model} always reasons; the lowest reasoning_effort of Gemini is minimal.",
        )
    return shown | {"thinkingLevel": _LEVELS[effort]}


def nested(rest: dict[str, Any], errors: ErrorBuilder) -> dict[str, Any]:
    """Return the params that are passed on at their places in a request: in GenerationConfig, or at the top.

    An unknown one goes to the top as it is, and the service refuses it.
    """
    body: dict[str, Any] = {}
    for given, value in rest.items():
        name = _camel(given)
        if name in _CONFIG:
            body = joined(body, {"generationConfig": {name: value}}, errors)
        else:
            body = joined(body, {name if name in _TOP else given: value}, errors)
    return body


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
