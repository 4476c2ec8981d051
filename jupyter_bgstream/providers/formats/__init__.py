"""What LLM services speak: for each format a request builder and a decoder, which open no socket."""

from __future__ import annotations

from .base import Decoder, Format, Request, StreamDecoder
from .chat_completions import ChatCompletions
from .messages import Messages

FORMATS: dict[str, Format] = {format.name: format for format in (ChatCompletions(), Messages())}

__all__ = ["FORMATS", "Decoder", "Format", "Request", "StreamDecoder"]
