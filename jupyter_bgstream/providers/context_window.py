"""A conversation that is too long for its model: how services say so, with which counts, and what users are told."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..core.job import Job

WORDS_READ = 64 * 1024  # characters

# What an error calls itself: OpenAI and many others; llama.cpp; litellm, Letta and others.
_NAMES = re.compile(
    r"context_length_exceeded|context_window_exceeded|exceed_context_size|string_above_max_length|ContextWindowExceeded",
    re.I,
)
# What it says, as services were seen to say it in 2023-2026. Limits of rate speak of tokens too, so nothing shorter.
_WORDS = re.compile(
    r"prompt is too long"  # Anthropic
    r"|input is too long for requested model|input tokens exceeded"  # Bedrock
    r"|total length of (all )?(the )?messages is too long"  # Perplexity
    # OpenAI, OpenRouter, vLLM, Mistral, llama.cpp, Ollama
    r"|(maximum|max|available) (allowed )?context (length|window|size)"
    r"|exceeds? (the |this |its |your )?(model'?s? )?context (length|window|size|limit)"
    r"|context (length|window|size) (is |was )?(exceeded|exceeds)"  # MiniMax
    r"|context[ _]length[ _]exceeded"
    r"|input token count.{0,40} exceeds the maximum"  # Gemini
    r"|maximum prompt length is \d"  # xAI
    r"|reduce the length of the (messages|prompt|input)"  # Groq, Cerebras
    r"|(greater than the|loaded with) context length"  # LM Studio
    r"|exceeded model token limit"  # Moonshot
    r"|has exceeded max_prompt_tokens"  # Z.ai
    r"|longer than the maximum model length"  # vLLM
    r"|number of tokens in the prompt cannot exceed"  # Cohere
    r"|inputs`? tokens \+ `?max_new_tokens`? must be",  # Together
    re.I,
)
_N = r"(?P<{}>\d[\d,]*)"
_TOKENS, _LIMIT = _N.format("tokens"), _N.format("limit")
_LIMITED = rf"maximum (?:context|prompt) length is {_LIMIT}\b"
_COUNTS = [
    re.compile(pattern, re.I)
    for pattern in (
        rf"{_TOKENS} tokens > {_LIMIT} maximum",  # Anthropic
        rf"exceed context limit: {_TOKENS} \+ \d+ > {_LIMIT}",
        rf"input token count \({_TOKENS}\).{{0,80}}\({_LIMIT}\)",  # Gemini
        rf"request \({_TOKENS} tokens\).{{0,60}}context size \({_LIMIT} tokens\)",  # llama.cpp, Ollama
        rf"Current length is {_TOKENS} while limit is {_LIMIT}",  # Cerebras
        rf"token limit: {_LIMIT} \(requested: {_TOKENS}\)",  # Moonshot
        rf"contains {_TOKENS} tokens.{{0,80}} with {_LIMIT} maximum context",  # Mistral
        rf"cannot exceed {_LIMIT} - received {_TOKENS}",  # Cohere
        rf"input tokens \({_TOKENS}\).{{0,40}}\({_LIMIT}\)",  # Z.ai
        rf"length {_TOKENS}\) is longer than the maximum model length of {_LIMIT}",  # vLLM
        rf"first {_TOKENS} tokens.{{0,120}} context length of only {_LIMIT}",  # LM Studio
        rf"must be <= {_LIMIT}\. Given: {_TOKENS} ",  # Together
        # OpenAI, vLLM, OpenRouter, xAI: the limit first, then how many there are, in the messages if that is told.
        rf"{_LIMITED}.{{0,200}}?\({_TOKENS} (?:in the messages|in your prompt|of text input)",
        rf"{_LIMITED}.{{0,200}}?contains (?:at least )?{_TOKENS} (?:input )?tokens",
        rf"{_LIMITED}.{{0,80}}?(?:resulted in|requested about|requested) {_TOKENS}\b",
        _LIMITED,
    )
]


class Asked(NamedTuple):
    """What is asked of a model, as far as its length goes."""

    messages: int
    thread: str | None
    history: int  # of these messages, how many were said before
    window: int | None = None  # tokens that the service was told to take

    @classmethod
    def by(cls, job: Job) -> Asked:
        """Return it of a job."""
        return cls(len(job.history) + len(job.spec.messages), job.thread, len(job.history), _window(job.spec.params))


def _window(params: dict[str, Any]) -> int | None:
    # Ollama's; who lets it cut, wants that.
    options = params.get("options")
    window = params.get("num_ctx", options.get("num_ctx") if isinstance(options, dict) else None)
    return window if isinstance(window, int) and not params.get("truncate") else None


class Length(NamedTuple):
    """How long it is and may be, in tokens, as far as is known."""

    tokens: int | None = None
    limit: int | None = None
    at_least: bool = False
    cut: bool = False  # the service has cut it, although it was told not to


UNKNOWN = Length()


def is_too_long(names: list[str], words: str) -> bool:
    """Whether an error says that the context is exceeded."""
    return any(_NAMES.search(name) for name in names) or bool(_WORDS.search(words[:WORDS_READ]))


def length_of(payload: Any, words: str) -> Length:
    """Return the counts that an error tells."""
    error = payload.get("error") if isinstance(payload, dict) else None
    match error:  # llama.cpp
        case {"n_prompt_tokens": int() as tokens, "n_ctx": int() as limit}:
            return Length(tokens, limit)
    for pattern in _COUNTS:
        if found := pattern.search(words[:WORDS_READ]):
            groups = found.groupdict()
            return Length(_number(groups.get("tokens")), _number(groups.get("limit")))
    return UNKNOWN


def sentence(model: str, asked: Asked | None, length: Length) -> str:
    """Return what a user is told: how long it is, what the model takes, and what to do."""
    subject = "conversation" if asked is not None and asked.messages > 1 else "prompt"
    parts = []
    if asked is not None:
        parts.append("1 message" if asked.messages == 1 else f"{asked.messages:,} messages")
    if length.tokens is not None:
        parts.append(f"{'at least ' if length.at_least else ''}{length.tokens:,} tokens")
    has = f": it has {' and '.join(parts)}" if parts else ""
    takes = "" if length.limit is None else f", and the model takes {length.limit:,}"
    if not has and takes:
        takes = f": the model takes {length.limit:,} tokens"
    uncut = "" if length.cut else " Nothing was cut."
    return f"The {subject} is too long for {model}{has}{takes}.{uncut} {_advice(asked)}"


def _advice(asked: Asked | None) -> str:
    if asked is not None and asked.history and asked.thread is not None:
        earlier = f"Fork the thread {asked.thread!r} after an earlier job, begin a new one,"
        return f"{earlier} or choose a model that takes more."
    return "Shorten it, send fewer or smaller pictures, or choose a model that takes more."


def _number(text: str | None) -> int | None:
    return None if text is None else int(text.replace(",", "")[:18])
