"""Conversations in Anthropic's Messages format, as content blocks.

Wire format: https://platform.claude.com/docs/en/api/messages; files are documents:
https://platform.claude.com/docs/en/build-with-claude/pdf-support.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from ...core.messages import FilePart, ImagePart, Message, Part, TextPart
from ..errors import ErrorBuilder
from .conversation import Blocks, arguments_object, non_empty_parts, system_parts, turns

_ROLES = {"tool": "user"}


def messages_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the turns of a conversation."""
    return [{"role": _ROLES.get(role, role), "content": blocks} for role, blocks in turns(messages, _blocks)]


def system_of(messages: Sequence[Message], errors: ErrorBuilder) -> str | Blocks:
    """Return the text of all system messages: joined, or as blocks if one of them has a mark for the cache.

    Raises ProviderError (``bad_request``) for an image among them.
    """
    parts = system_parts(messages, errors)
    if any(part.cache_control for part in parts):
        return [_block(part) for part in parts]
    return "\n\n".join(part.text for part in parts)


def _blocks(message: Message) -> Blocks:
    if message.role == "tool":
        marks = [part.cache_control for part in message.parts if part.cache_control]
        mark = {"cache_control": marks[-1]} if marks else {}
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}
        return [result | mark]
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_object(call)}
        for call in message.tool_calls
    ]
    return [*(_block(part) for part in non_empty_parts(message)), *calls]


def _block(part: Part) -> dict[str, Any]:
    block = _block_without_mark(part)
    return block | {"cache_control": part.cache_control} if part.cache_control else block


def _block_without_mark(part: Part) -> dict[str, Any]:
    match part:
        case ImagePart():
            return {"type": "image", "source": _base64(part)}
        case FilePart(is_pdf=True):
            return {"type": "document", "source": _base64(part), "title": part.name}
        case FilePart():
            source = {"type": "text", "media_type": "text/plain", "data": part.text}
            return {"type": "document", "source": source, "title": part.name}
        case TextPart():
            return {"type": "text", "text": part.text}
    raise TypeError(f"The Messages format has no block for {type(part).__name__}.")


def _base64(part: ImagePart | FilePart) -> dict[str, str]:
    return {"type": "base64", "media_type": part.media_type, "data": b64encode(part.data).decode()}
