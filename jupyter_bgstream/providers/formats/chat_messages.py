"""Messages in Chat Completions' form, in a service's dialect.

Wire format: https://platform.openai.com/docs/api-reference/chat/create, and variants for files and audio:
https://docs.mistral.ai/capabilities/document_ai/document_qna, https://docs.perplexity.ai/guides/file-attachments.
"""

from base64 import b64encode
from typing import Any

import msgspec

from ...core.messages import AudioPart, FilePart, ImagePart, Message, Part, TextPart
from .conversation import pdf_name
from .dialects import Dialect

_AUDIO_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}


def chat_message(message: Message, dialect: Dialect, *, no_content: str | None = None) -> dict[str, Any]:
    """Return a message in a dialect; ``no_content`` is the content of a message with tool calls only."""
    role = message.role
    if role == "developer" and not dialect.developer:
        role = "system"
    turn: dict[str, Any] = {"role": role, "content": _content(message, dialect)}
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        turn["content"] = turn["content"] or no_content
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in message.tool_calls
        ]
    return turn


def _content(message: Message, dialect: Dialect) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    has_marks = dialect.cache_control and any(part.cache_control for part in message.content)
    if message.role == "tool" and not has_marks:
        return message.text  # not every service accepts parts there
    return [_part_with_marks(part, dialect) for part in message.content]


def _part_with_marks(part: Part, dialect: Dialect) -> dict[str, Any]:
    result = _part(part, dialect)
    if dialect.cache_control and part.cache_control is not None:
        result["cache_control"] = msgspec.to_builtins(part.cache_control)
    return result


def _part(part: Part, dialect: Dialect) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": part.url}}
        case FilePart(is_pdf=True):
            return _pdf(part, dialect)
        case FilePart():
            return {"type": "text", "text": part.as_text}
        case AudioPart():
            data = b64encode(part.data).decode()
            if dialect.audio == "data":
                return {"type": "input_audio", "input_audio": data}
            return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS[part.media_type]}}


def _pdf(part: FilePart, dialect: Dialect) -> dict[str, Any]:
    match dialect.pdf:
        case "document_url":
            return {"type": "document_url", "document_url": part.url, "document_name": part.name}
        case "file_url":
            data = b64encode(part.data).decode()
            return {"type": "file_url", "file_url": {"url": data}, "file_name": pdf_name(part)}
    return {"type": "file", "file": {"filename": pdf_name(part), "file_data": part.url}}
