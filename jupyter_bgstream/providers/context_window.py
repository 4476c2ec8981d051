"""Context windows: recognize a conversation that is too long, before it is sent or in the provider's error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..core.job import Job
from ..core.messages import FilePart, Message
from .pricing import context_window, is_local

MESSAGE_CHARACTERS = 64 * 1024  # of an error's message that are searched
MIN_WINDOW = 4_096  # tokens; the price list is not searched for a smaller request
CHARACTERS_PER_TOKEN = 8  # at least

# Parameters by which the user chooses another treatment of requests that are too long.
_TRUNCATING = ("truncation", "transforms", "plugins", "models", "context_management")

# Names of the error: OpenAI and many others; llama.cpp; litellm, Letta and others.
_NAMES = re.compile(
    r"context_length_exceeded|context_window_exceeded|exceed_context_size|string_above_max_length|ContextWindowExceeded",
    re.I,
)
# Messages as observed in 2023-2026. Rate limits mention tokens too, so nothing shorter is safe.
_MESSAGES = re.compile(
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
        # OpenAI, vLLM, OpenRouter, xAI: the limit first, then the count, of the messages if given.
        rf"{_LIMITED}.{{0,200}}?\({_TOKENS} (?:in the messages|in your prompt|of text input)",
        rf"{_LIMITED}.{{0,200}}?contains (?:at least )?{_TOKENS} (?:input )?tokens",
        rf"{_LIMITED}.{{0,80}}?(?:resulted in|requested about|requested) {_TOKENS}\b",
        _LIMITED,
    )
]


class RequestSize(NamedTuple):
    """Size of a request, as far as error messages need it."""

    messages: int
    thread: str | None
    history: int  # of these messages, those from earlier turns
    window: int | None = None  # tokens; the context window that the job requests

    @classmethod
    def of(cls, job: Job) -> RequestSize:
        """Return the size of a job's request."""
        return cls(len(job.history) + len(job.spec.messages), job.thread, len(job.history), _window(job.spec.params))


def _window(params: dict[str, Any]) -> int | None:
    # A parameter of Ollama. With `truncate` the user wants the request to be cut.
    options = params.get("options")
    window = params.get("num_ctx", options.get("num_ctx") if isinstance(options, dict) else None)
    return window if isinstance(window, int) and not params.get("truncate") else None


class Length(NamedTuple):
    """Length of a request and its limit, in tokens, where known."""

    tokens: int | None = None
    limit: int | None = None
    at_least: bool = False  # tokens is a lower bound
    cut: bool = False  # the provider has cut the request, although it was asked not to


UNKNOWN = Length()


def is_too_long(names: list[str], message: str) -> bool:
    """Return whether an error reports an exceeded context window."""
    return any(_NAMES.search(name) for name in names) or bool(_MESSAGES.search(message[:MESSAGE_CHARACTERS]))


def length_of(payload: Any, message: str) -> Length:
    """Return the counts in an error."""
    error = payload.get("error") if isinstance(payload, dict) else None
    match error:  # llama.cpp
        case {"n_prompt_tokens": int() as tokens, "n_ctx": int() as limit}:
            return Length(tokens, limit)
    for pattern in _COUNTS:
        if found := pattern.search(message[:MESSAGE_CHARACTERS]):
            groups = found.groupdict()
            return Length(_number(groups.get("tokens")), _number(groups.get("limit")))
    return UNKNOWN


def too_long_message(model: str, size: RequestSize | None, length: Length) -> str:
    """Return the error message: the request's size, the model's limit, and what to do."""
    subject = "conversation" if size is not None and size.messages > 1 else "prompt"
    parts = []
    if size is not None:
        parts.append("1 message" if size.messages == 1 else f"{size.messages:,} messages")
    if length.tokens is not None:
        parts.append(f"{'at least ' if length.at_least else ''}{length.tokens:,} tokens")
    has = f": it has {' and '.join(parts)}" if parts else ""
    limit = "" if length.limit is None else f", and the model accepts {length.limit:,}"
    if not has and limit:
        limit = f": the model accepts {length.limit:,} tokens"
    uncut = "" if length.cut else " Nothing was cut."
    return f"The {subject} is too long for {model}{has}{limit}.{uncut} {_advice(size)}"


def _advice(size: RequestSize | None) -> str:
    if size is not None and size.history and size.thread is not None:
        return (
            f"Fork the thread {size.thread!r} after an earlier job, start a new one, or choose a model that accepts"
            " more."
        )
    return "Shorten it, send fewer or smaller images, or choose a model that accepts more."


def _number(text: str | None) -> int | None:
    return None if text is None else int(text.replace(",", "")[:18])


async def certain_overflow(job: Job, *, model: str, base_url: str, headers: Mapping[str, Any]) -> Length | None:
    """Return the length of a request that certainly exceeds the model's window, to refuse it before it costs.

    It is certain if ``genai-prices`` lists this very model of this very service, and both the number of words and one
    token for CHARACTERS_PER_TOKEN characters exceed its window: text has more tokens than either.

    Returns:
        None if the request may fit, or the window is unknown.

    """
    messages = (*job.history, *job.spec.messages)
    if (
        sum(map(_max_characters, messages)) < MIN_WINDOW * CHARACTERS_PER_TOKEN or is_local(base_url) or headers
    ):  # headers may request a larger window
        return None
    if any(name in job.spec.params for name in _TRUNCATING):
        return None
    return await asyncio.to_thread(_overflow, messages, model, base_url)


def _max_characters(message: Message) -> int:
    # Without decoding the files: they may have megabytes, and this runs in the server's event loop.
    files = (part for part in message.attachments if isinstance(part, FilePart) and not part.is_pdf)
    return len(message.text) + sum(len(part.data) for part in files)


def _overflow(messages: Sequence[Message], model: str, base_url: str) -> Length | None:
    texts = [message.text_with_files for message in messages]
    characters = sum(map(len, texts))
    limit = context_window(model, base_url)
    if limit is None or characters < limit * CHARACTERS_PER_TOKEN:
        return None
    tokens = min(characters // CHARACTERS_PER_TOKEN, sum(len(text.split()) for text in texts))
    return Length(tokens, limit, at_least=True) if tokens > limit else None
