"""``litellm/<model>``: every model of the litellm package, with its keys and addresses from the environment.

litellm invents ``finish_reason: "stop"`` for a stream that broke off. The service's own reason is in its stream's
``received_finish_reason``, or in ``intermittent_finish_reason`` if it came before the last piece; only these are used
here. As of litellm 1.106.2, ``litellm_core_utils/streaming_handler.py``, ``finish_reason_handler``.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

from ...plugin import Citation, Finish, ProviderError, Reasoning, ToolCall, Usage

# litellm accepts keys and addresses as parameters. They must not come from a notebook, so allowed ones are listed.
PARAMS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "reasoning_effort",
        "response_format",
        "n",
        "logit_bias",
        "frequency_penalty",
        "presence_penalty",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "thinking",
        "verbosity",
        "modalities",
        "user",
        "service_tier",
        "prediction",
        "web_search_options",
        "mock_response",  # an answer that litellm makes itself, to try it without a service
    }
)
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "unauthorized",
    404: "model_not_found",
    408: "unreachable",
    413: "bad_request",
    422: "bad_request",
    429: "rate_limited",
}
_CONNECTION_ERRORS = ("APIConnectionError", "Timeout", "MidStreamFallbackError")  # names in litellm


async def complete(
    messages: list[dict[str, Any]], model: str, params: dict[str, Any]
) -> AsyncIterator[str | Reasoning | Citation | ToolCall | Usage | Finish]:
    """Stream an answer through litellm; its model follows ``litellm/``, such as ``litellm/openai/gpt-6-luna``."""
    checked = _checked(model, params)
    begun = False
    stream = None
    chunks = _ChunkReader()
    mocked = None  # the finish reason of an answer that litellm made itself
    try:
        litellm = await asyncio.to_thread(_litellm)  # importing it takes seconds
        stream = await litellm.acompletion(
            model=model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            num_retries=0,  # the engine decides on retries
            max_retries=0,
            **checked,
        )
        async for chunk in stream:
            if "mock_response" in checked:
                mocked = mocked or next((choice.finish_reason for choice in chunk.choices), None)
            for item in chunks.read(chunk):
                begun = True
                yield item
    except ProviderError:
        raise
    except Exception as error:
        raise _error(error, begun=begun) from None
    finally:
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()
    reason = getattr(stream, "received_finish_reason", None) or getattr(stream, "intermittent_finish_reason", None)
    reason = reason or mocked
    for last in chunks.end(is_complete=bool(reason)):
        yield last
    if not reason:
        raise ProviderError(
            "The answer broke off before its end: the service sent no finish_reason. The text so far is saved; retry"
            " for a complete answer.",
            code="truncated",
        )
    yield Finish(str(reason).lower())


def _litellm() -> Any:
    # Otherwise the import requests a list of prices from the network, and waits.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True  # it prints to the server's terminal
    litellm.telemetry = False
    return litellm


def _checked(model: str, params: dict[str, Any]) -> dict[str, Any]:
    if "://" in model:  # for some services litellm accepts an address there, and would send it the key
        raise ProviderError(f"{model!r} is not a model's name: addresses are not allowed.", code="bad_request")
    checked = dict(params)
    if (schema := checked.pop("schema", None)) is not None:
        named = {"name": "answer", "schema": schema}
        checked["response_format"] = {"type": "json_schema", "json_schema": named}
    if refused := sorted(checked.keys() - PARAMS):
        raise ProviderError(
            f"params: {', '.join(refused)} cannot be passed to litellm, which accepts keys and addresses as parameters."
            f" Allowed are {', '.join(sorted(PARAMS))}.",
            code="bad_request",
        )
    return checked


class _ChunkReader:
    """Reads litellm's chunks, and collects tool calls and usage for the end."""

    def __init__(self) -> None:
        self._tools: dict[int, dict[str, str]] = {}
        self._usage: Usage | None = None

    def read(self, chunk: Any) -> Iterator[str | Reasoning | Citation]:
        """Yield the text, reasoning and citations of a chunk."""
        if (usage := getattr(chunk, "usage", None)) is not None:
            self._usage = _usage(usage)
        for url in getattr(chunk, "citations", None) or ():
            if isinstance(url, str):
                yield Citation(url=url)
        for choice in getattr(chunk, "choices", None) or ():
            delta = getattr(choice, "delta", None)
            if delta is None or choice.index:
                continue
            if thought := getattr(delta, "reasoning_content", None):
                yield Reasoning(thought)
            if text := getattr(delta, "content", None):
                yield text
            for note in getattr(delta, "annotations", None) or ():
                page = note.get("url_citation", note) if isinstance(note, dict) else {}
                if url := page.get("url"):
                    yield Citation(url=url, title=page.get("title") or "")
            for call in getattr(delta, "tool_calls", None) or ():
                self._call(call)

    def end(self, *, is_complete: bool) -> Iterator[ToolCall | Usage]:
        """Yield the tool calls of a complete answer, and the usage."""
        if is_complete:
            for call in self._tools.values():
                yield ToolCall(id=call["id"], name=call["name"], arguments=call["arguments"])
        if self._usage is not None:
            yield self._usage

    def _call(self, call: Any) -> None:
        known = self._tools.setdefault(call.index or 0, {"id": "", "name": "", "arguments": ""})
        known["id"] = known["id"] or call.id or ""
        known["name"] = known["name"] or getattr(call.function, "name", None) or ""
        known["arguments"] += getattr(call.function, "arguments", None) or ""


def _usage(found: Any) -> Usage:
    def count(holder: Any, name: str) -> int | None:
        value = getattr(holder, name, None)
        return value if isinstance(value, int) else None

    return Usage(
        input_tokens=count(found, "prompt_tokens"),
        output_tokens=count(found, "completion_tokens"),
        cached_tokens=count(getattr(found, "prompt_tokens_details", None), "cached_tokens"),
        reasoning_tokens=count(getattr(found, "completion_tokens_details", None), "reasoning_tokens"),
    )


def _error(error: Exception, *, begun: bool) -> ProviderError:
    name = type(error).__name__
    if (module := _missing_module(error)) is not None:
        return ProviderError(
            f"litellm needs the Python module {module} for this model. Install its package, which litellm's page on the"
            " service names, where the Jupyter server is installed; then restart the server.",
            code="provider_error",
        )
    details = " ".join(f"{name}: {error}".split())  # not shortened: secrets are redacted first
    if name in _CONNECTION_ERRORS:
        code = "truncated" if begun else "unreachable"
        return ProviderError(f"The connection broke. Details: {details}", code=code, transient=not begun)
    if name == "ContextWindowExceededError":
        return ProviderError(details, code="context_too_long")
    status = getattr(error, "status_code", None)
    code = _CODES.get(status, "provider_error") if isinstance(status, int) else "provider_error"
    transient = code == "rate_limited" or (isinstance(status, int) and status >= 500)
    return ProviderError(f"litellm failed. Details: {details}", code=code, transient=transient and not begun)


def _missing_module(error: BaseException) -> str | None:
    # litellm reports an ImportError as a connection error, which would be retried.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name and f"'{cause.name}'" in str(error):
            return cause.name
        cause = cause.__cause__ or cause.__context__
    return None
