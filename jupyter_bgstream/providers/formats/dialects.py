"""Dialects of Chat Completions: each service's names of parameters, and the parts and roles that it accepts.

From the services' documentation of November 2026, else from the requests of their clients. A standard parameter that a
service would silently ignore is refused here (``unsupported``); other parameters are for the service to refuse.
"""

from typing import Any, Literal

import msgspec

DialectName = Literal[
    "plain",
    "openai",
    "azure",
    "openrouter",
    "groq",
    "deepseek",
    "mistral",
    "xai",
    "perplexity",
    "cohere",
    "cerebras",
    "moonshot",
    "vllm",
    "lmstudio",
    "llamacpp",
]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One service's names of the standard parameters, and the parts and roles that it accepts."""

    title: str = "This service"  # for users
    max_tokens: str = "max_tokens"
    seed: str = "seed"
    effort: tuple[str, ...] = ("reasoning_effort",)  # path of the field
    no_effort: dict[str, Any] | None = None  # sent instead of the effort "none"; None: "none" is sent like others
    stream_usage: bool = True  # requests usage by ``stream_options``; False: always sends it, or refuses that field
    always: dict[str, Any] = {}  # sent with every request
    plugins: tuple[dict[str, Any], ...] = ()  # sent with every request, beside those of the job
    unsupported: tuple[str, ...] = ()  # standard parameters that it would ignore
    developer: bool = False  # accepts the role developer; False: system is sent instead
    pdf: Literal["file", "document_url", "file_url"] | None = "file"  # form of a PDF file; None: not accepted
    audio: Literal["object", "data"] | None = "object"  # value of input_audio: {data, format} or data; None: no audio
    cache_control: bool = False  # accepts marks of cacheable parts


_COMPLETION = "max_completion_tokens"

DIALECTS: dict[DialectName, Dialect] = {
    "plain": Dialect(),
    # Reasoning models refuse max_tokens.
    "openai": Dialect(title="OpenAI", max_tokens=_COMPLETION, developer=True),
    "azure": Dialect(title="Azure OpenAI", max_tokens=_COMPLETION, developer=True),
    # Cuts the middle out of requests that are too long, for some models unless that is disabled.
    "openrouter": Dialect(
        title="OpenRouter",
        effort=("reasoning", "effort"),
        always={"usage": {"include": True}},
        plugins=({"id": "context-compression", "enabled": False},),
        developer=True,
        cache_control=True,
    ),
    "groq": Dialect(title="Groq", max_tokens=_COMPLETION, pdf=None, audio=None),
    # Reasons unless that is disabled; supports JSON, but no schema.
    "deepseek": Dialect(
        title="DeepSeek",
        no_effort={"thinking": {"type": "disabled"}},
        unsupported=("seed", "schema"),
        pdf=None,
        audio=None,
    ),
    # Refuses unknown fields (HTTP 422), stream_options among them; usage comes with the last chunk.
    "mistral": Dialect(title="Mistral", seed="random_seed", stream_usage=False, pdf="document_url", audio="data"),
    "xai": Dialect(title="xAI", max_tokens=_COMPLETION, pdf=None, audio=None),
    # Usage comes with every chunk.
    "perplexity": Dialect(title="Perplexity", stream_usage=False, unsupported=("seed",), pdf="file_url", audio=None),
    "cohere": Dialect(title="Cohere", stream_usage=False, pdf=None, audio=None),  # refuses stream_options
    "cerebras": Dialect(title="Cerebras", max_tokens=_COMPLETION, pdf=None, audio=None),
    # This field disables the reasoning of its models that allow it; the others have low, high and max.
    "moonshot": Dialect(
        title="Moonshot",
        max_tokens=_COMPLETION,
        no_effort={"thinking": {"type": "disabled"}},
        pdf=None,
        audio=None,
    ),
    "vllm": Dialect(title="vLLM", pdf=None),
    "lmstudio": Dialect(title="LM Studio", pdf=None, audio=None),
    "llamacpp": Dialect(title="llama.cpp", effort=("chat_template_kwargs", "reasoning_effort"), pdf=None),
}

# Standard words for services' finish reasons; others are passed on in lower case.
_FINISH = {
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",  # Mistral: the context is full
    "function_call": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "sensitive": "content_filter",  # Z.ai
    "safety": "content_filter",
}
# Reasons that mean a failure; a later attempt may succeed.
BROKEN = frozenset({"error", "insufficient_system_resource", "network_error", "abort", "aborted"})


def finish_reason(text: str) -> str | None:
    """Return the standard word for a service's finish reason; None for values without a meaning, such as ``""``."""
    word = text.strip().lower()
    return None if word in ("", "null", "none") else _FINISH.get(word, word)
