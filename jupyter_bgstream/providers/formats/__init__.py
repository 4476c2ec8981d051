"""Wire formats of LLM services: for each a request builder and a decoder, which open no socket."""

from .anthropic_messages import Messages
from .chat_completions import ChatCompletions
from .dialects import DIALECTS, DialectName
from .format import Format, Request
from .gemini import Gemini
from .ollama import Ollama
from .openai_responses import Responses
from .stream_decoder import StreamDecoder

FORMATS: dict[str, Format] = {
    format.name: format for format in (ChatCompletions(), Responses(), Messages(), Gemini(), Ollama())
}

__all__ = ["FORMATS", "Format", "Request", "Responses", "StreamDecoder", "format_of"]


def format_of(name: str, dialect: DialectName, *, done_is_end: bool = False) -> Format:
    """Return a format by name; a dialect is of Chat Completions only."""
    if name == ChatCompletions.name:
        return ChatCompletions(DIALECTS[dialect], done_is_end=done_is_end)
    return FORMATS[name]
