"""Wire formats of LLM services: for each a request builder and a decoder, which open no socket."""

from __future__ import annotations

from .anthropic_messages import Messages
from .base import StreamDecoder
from .chat_completions import ChatCompletions
from .dialects import DIALECTS, DialectName
from .format_types import Decoder, Format, Request, ResumableFormat
from .gemini import Gemini
from .ollama import Ollama
from .openai_responses import Responses

FORMATS: dict[str, Format] = {
    format.name: format for format in (ChatCompletions(), Responses(), Messages(), Gemini(), Ollama())
}
RESUMABLE: dict[str, ResumableFormat] = {format.name: format for format in (Responses(),)}

__all__ = ["FORMATS", "RESUMABLE", "Decoder", "Format", "Request", "ResumableFormat", "StreamDecoder", "format_of"]


def format_of(name: str, dialect: DialectName, *, done_is_end: bool = False) -> Format:
    """Return a format by name; a dialect is of Chat Completions only."""
    if name == ChatCompletions.name:
        return ChatCompletions(DIALECTS[dialect], done_is_end=done_is_end)
    return FORMATS[name]
