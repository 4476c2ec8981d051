"""What LLM services speak: for each format a request builder and a decoder, which open no socket."""

from __future__ import annotations

from .base import Decoder, Format, Request, ResumableFormat, StreamDecoder
from .chat_completions import ChatCompletions
from .dialects import DIALECTS, DialectName
from .gemini import Gemini
from .messages import Messages
from .ollama import Ollama
from .responses import Responses

FORMATS: dict[str, Format] = {
    format.name: format for format in (ChatCompletions(), Responses(), Messages(), Gemini(), Ollama())
}
LASTING: dict[str, ResumableFormat] = {format.name: format for format in (Responses(),)}  # those of them

__all__ = ["FORMATS", "LASTING", "Decoder", "Format", "Request", "ResumableFormat", "StreamDecoder", "format_of"]


def format_of(name: str, dialect: DialectName, *, done_is_end: bool = False) -> Format:
    """Return a format by its name, in a service's dialect; only Chat Completions has some."""
    if name == ChatCompletions.name:
        return ChatCompletions(DIALECTS[dialect], done_is_end=done_is_end)
    return FORMATS[name]
