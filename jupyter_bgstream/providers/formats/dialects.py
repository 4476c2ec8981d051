"""How the services that speak Chat Completions name what they take: one table, a line for each.

From the services' documentation of November 2026 where that says it, else from what their clients send. What a service
would ignore without a word is refused here in words (``lacks``); everything else is for the service to refuse.
"""

from __future__ import annotations

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
    """One service's names for the standard parameters, and which parts and roles it takes."""

    title: str = "This service"  # as users read it
    max_tokens: str = "max_tokens"
    seed: str = "seed"
    effort: tuple[str, ...] = ("reasoning_effort",)  # the path to it
    no_effort: dict[str, Any] | None = None  # sent instead of the effort "none"; None: "none" is an effort like others
    counts: bool = True  # is asked for usage by ``stream_options``; False: sends it anyway, or refuses that field
    always: dict[str, Any] = {}  # sent with every request
    plugins: tuple[dict[str, Any], ...] = ()  # sent with every request, beside those that the job names
    lacks: tuple[str, ...] = ()  # standard parameters that it would ignore
    developer: bool = False  # knows the role developer; False: gets system instead
    pdf: Literal["file", "document_url", "file_url"] | None = "file"  # the part of a PDF file; None: takes none
    audio: Literal["object", "data"] | None = "object"  # what input_audio is, {data, format} or data; None: takes none
    cache_control: bool = False  # takes marks of what may be cached


_COMPLETION = "max_completion_tokens"

DIALECTS: dict[DialectName, Dialect] = {
    "plain": Dialect(),
    # Reasoning models refuse max_tokens.
    "openai": Dialect(title="OpenAI", max_tokens=_COMPLETION, developer=True),
    "azure": Dialect(title="Azure OpenAI", max_tokens=_COMPLETION, developer=True),
    # Cuts the middle out of what is too long, for some models unless told not to.
    "openrouter": Dialect(
        title="OpenRouter",
        effort=("reasoning", "effort"),
        always={"usage": {"include": True}},
        plugins=({"id": "context-compression", "enabled": False},),
        developer=True,
        cache_control=True,
    ),
    "groq": Dialect(title="Groq", max_tokens=_COMPLETION, pdf=None, audio=None),
    # Thinks unless told not to; knows JSON, but no schema.
    "deepseek": Dialect(
        title="DeepSeek",
        no_effort={"thinking": {"type": "disabled"}},
        lacks=("seed", "schema"),
        pdf=None,
        audio=None,
    ),
    # Refuses fields that it does not know (HTTP 422), stream_options among them; usage comes with the last chunk.
    "mistral": Dialect(title="Mistral", seed="random_seed", counts=False, pdf="document_url", audio="data"),
    "xai": Dialect(title="xAI", max_tokens=_COMPLETION, pdf=None, audio=None),
    # Usage comes with every chunk.
    "perplexity": Dialect(title="Perplexity", counts=False, lacks=("seed",), pdf="file_url", audio=None),
    "cohere": Dialect(title="Cohere", counts=False, pdf=None, audio=None),  # refuses stream_options
    "cerebras": Dialect(title="Cerebras", max_tokens=_COMPLETION, pdf=None, audio=None),
    # Its models that can leave thinking out are told so by that field; the others have low, high and max.
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

# What a service says at the end, in the field's words; another word is passed on in lower case.
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
# What a service says instead of an end: it may answer another time.
BROKEN = frozenset({"error", "insufficient_system_resource", "network_error", "abort", "aborted"})


def finish_reason(said: str) -> str | None:
    """Return the field's word for what a service says of the end; None for what is not one, such as ``""``."""
    word = said.strip().lower()
    return None if word in ("", "null", "none") else _FINISH.get(word, word)
