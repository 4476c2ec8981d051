"""Conversations in Gemini's format.

Wire format: https://ai.google.dev/api/caching#Content. Models from Gemini 3 on require the signature of a thought with
the first call of a turn, which is not stored here; https://ai.google.dev/gemini-api/docs/thought-signatures defines a
substitute.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from ...core.messages import AudioPart, FilePart, ImagePart, Message, Part
from .conversation import Blocks, arguments_object, non_empty_parts, turns

_ROLES = {"assistant": "model", "tool": "user"}
_AUDIO_TYPES = {"audio/mpeg": "audio/mp3"}  # Google's name
_NO_SIGNATURE = "skip_thought_signature_validator"
_UNSIGNED = re.compile(r"gemini-[12]\b")  # models that require none
_GENERATED_ID = re.compile(r"call_\d+")  # of gemini_calls, for a call without an id


def contents_of(messages: Sequence[Message], model: str) -> list[dict[str, Any]]:
    """Return the turns of a conversation for a model."""
    contents = _Contents(signed=_UNSIGNED.match(model) is None)
    return [{"role": _ROLES.get(role, role), "parts": parts} for role, parts in turns(messages, contents.parts)]


class _Contents:
    """Builds the parts of messages in order: the result of a call needs the name of its function."""

    def __init__(self, *, signed: bool) -> None:
        self._signed = signed
        self._names: dict[str, str] = {}  # of functions, by call id

    def parts(self, message: Message) -> Blocks:
        if message.role == "tool":
            id = message.tool_call_id or ""
            return [{"functionResponse": _id(id) | {"name": self._names[id], "response": _result(message.text)}}]
        parts = [_part(part) for part in non_empty_parts(message)]
        for number, call in enumerate(message.tool_calls):
            self._names[call.id] = call.name
            part: dict[str, Any] = {"functionCall": _id(call.id) | {"name": call.name, "args": arguments_object(call)}}
            if self._signed and number == 0:
                part["thoughtSignature"] = _NO_SIGNATURE
            parts.append(part)
        return parts


def _id(id: str) -> dict[str, str]:
    return {} if _GENERATED_ID.fullmatch(id) else {"id": id}


def _result(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"output": text}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case ImagePart() | FilePart(is_pdf=True) | AudioPart():
            media_type = _AUDIO_TYPES.get(part.media_type, part.media_type)
            return {"inlineData": {"mimeType": media_type, "data": b64encode(part.data).decode()}}
        case FilePart():
            return {"text": part.as_text}
    return {"text": part.text}
