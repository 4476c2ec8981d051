"""A short sample answer in the events of each format."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

WORDS = ("All ", "well.")
TEXT = "".join(WORDS)


class Form(msgspec.Struct):
    """The events of an answer in a format."""

    say: Callable[[str], dict[str, Any]]
    end: list[dict[str, Any]]
    whole: Callable[[str], dict[str, Any]]  # the answer as one document
    unneeded: tuple[str, ...]  # places of fields that nothing depends on, in ``say``
    lines: bool = False  # a line of JSON for each event, and not server-sent events
    begin: list[dict[str, Any]] = []

    def frame(self, *events: Any) -> bytes:
        sent = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in events]
        return b"".join(each + b"\n" if self.lines else b"data: " + each + b"\n\n" for each in sent)

    def stream(self, *between: Any) -> bytes:
        first, second = map(self.say, WORDS)
        return self.frame(*self.begin, first, *between, second, *self.end)


FORMS = {
    "chat_completions": Form(
        say=lambda words: {"choices": [{"index": 0, "delta": {"content": words}, "logprobs": None}]},
        end=[{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}],
        whole=lambda words: {"choices": [{"message": {"content": words}, "finish_reason": "stop"}]},
        unneeded=("usage", "choices.0.logprobs", "choices.0.finish_reason", "choices.0.delta.tool_calls", "created"),
    ),
    "responses": Form(
        say=lambda words: {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": words},
        end=[{"type": "response.completed", "response": {"output": []}}],
        whole=lambda words: {
            "object": "response",
            "status": "completed",
            "error": None,
            "output": [{"type": "message", "content": [{"type": "output_text", "text": words}]}],
        },
        unneeded=("sequence_number", "item_id", "logprobs", "obfuscation"),
    ),
    "messages": Form(
        begin=[{"type": "message_start", "message": {"usage": {"input_tokens": 1}}}],
        say=lambda words: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}},
        end=[{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}],
        whole=lambda words: {
            "type": "message",
            "content": [{"type": "text", "text": words}],
            "stop_reason": "end_turn",
        },
        unneeded=("usage", "index", "delta.thinking", "delta.citation", "message"),
    ),
    "gemini": Form(
        say=lambda words: {"candidates": [{"content": {"parts": [{"text": words}]}, "avgLogprobs": -1.5}]},
        end=[{"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}],
        whole=lambda words: {"candidates": [{"content": {"parts": [{"text": words}]}, "finishReason": "STOP"}]},
        unneeded=("usageMetadata", "modelVersion", "candidates.0.avgLogprobs", "candidates.0.groundingMetadata"),
    ),
    "ollama": Form(
        lines=True,
        say=lambda words: {"message": {"role": "assistant", "content": words}, "done": False},
        end=[{"message": {"content": ""}, "done": True, "done_reason": "stop"}],
        whole=lambda words: {"message": {"content": words}, "done": True, "done_reason": "stop"},
        unneeded=("model", "created_at", "total_duration", "message.tool_calls", "done_reason"),
    ),
}
