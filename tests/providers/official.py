"""What the official SDKs make of a stream over real HTTP, in our words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import anthropic
from providers.speaking import of, text

from jupyter_bgstream.core.events import Citation, Completed, ToolCall, Usage
from jupyter_bgstream.providers.port import ProviderEvent


class Heard(NamedTuple):
    """An answer, without its pieces."""

    text: str
    reasoning: str
    calls: list[tuple[str, str, Any]]  # id, name, arguments as a value
    urls: list[str]
    usage: tuple[int | None, int | None, int | None, int | None] | None  # input, output, read from, written into cache


def ours(said: Iterable[ProviderEvent]) -> Heard:
    said = list(said)
    counts: list[Usage] = of(said, Usage)
    calls: list[ToolCall] = of(said, ToolCall)
    return Heard(
        text=text(said),
        reasoning=text(said, "reasoning"),
        calls=[(call.id, call.name, json.loads(call.arguments)) for call in calls],
        urls=[source.url for source in of(said, Citation)],
        usage=(counts[0].input_tokens, counts[0].output_tokens, *_cache(counts[0])) if counts else None,
    )


def _cache(usage: Usage) -> tuple[int, int]:
    return usage.cached_tokens or 0, usage.cache_write_tokens or 0


def our_reason(said: Iterable[ProviderEvent]) -> str:
    (end,) = of(said, Completed)
    return str(end.finish_reason)


async def anthropics(base_url: str) -> tuple[Heard, str | None]:
    """The final message of Anthropic's SDK and its stop_reason; raises what the SDK raises."""
    root = base_url.removesuffix("/v1")
    async with (
        anthropic.AsyncAnthropic(api_key="sk-ant-none", base_url=root, max_retries=0) as client,
        client.messages.stream(model="one", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        message = await stream.get_final_message()
    content: list[Any] = message.content
    found = [result for block in content if block.type == "web_search_tool_result" for result in block.content]
    found += [citation for block in content if block.type == "text" for citation in block.citations or []]
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return (
        Heard(
            text="".join(block.text for block in content if block.type == "text"),
            reasoning="".join(block.thinking for block in content if block.type == "thinking"),
            calls=[(block.id, block.name, block.input) for block in content if block.type == "tool_use"],
            urls=list(dict.fromkeys(page.url for page in found)),
            usage=(usage.input_tokens + read + written, usage.output_tokens, read, written),
        ),
        message.stop_reason,
    )
