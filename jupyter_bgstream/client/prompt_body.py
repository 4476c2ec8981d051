"""Prompt of a job as REST takes it: a text with its files and images, or messages."""

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.errors import InvalidRequestError
from .file_inputs import File
from .image_inputs import image_part

Content = str | Sequence[Any]


def request_of(
    prompt: str | Sequence[Mapping[str, Any]], *, images: Any = (), files: Any = (), system: str | None = None
) -> dict[str, Any]:
    """Return ``prompt`` or ``messages`` of a request; raises InvalidRequestError."""
    head = [] if system is None else [{"role": "system", "content": system}]
    images = images if isinstance(images, list | tuple) else [images]  # a single image needs no list
    files = files if isinstance(files, list | tuple) else [files]
    if isinstance(prompt, str):
        if not head and not images and not files:
            return {"prompt": prompt}
        content = content_of([*map(_file, files), *map(image_part, images), prompt]) if images or files else prompt
        return {"messages": [*head, {"role": "user", "content": content}]}
    messages: list[Any] = (
        list(prompt) if isinstance(prompt, Iterable) and not isinstance(prompt, Mapping) else [prompt, None]
    )
    if not all(isinstance(message, Mapping) for message in messages):
        raise InvalidRequestError(
            "The prompt must be a text, or a list of messages with role and content.", field="prompt"
        )
    for name, values in (("images", images), ("files", files)):
        if values:
            sentence = f"{name}= needs a text prompt. In a list of messages, put {name} into the content of a message."
            raise InvalidRequestError(sentence, field=name)
    return {"messages": [*head, *map(_message, messages)]}


def content_of(parts: Content) -> str | list[dict[str, Any]]:
    """Return the content of a message as REST takes it: a text, or a list of texts, dicts, files and images."""
    return parts if isinstance(parts, str) else [_part(part) for part in parts]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    made = {**message, "content": "" if content is None else content_of(content)}
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [_call(call) for call in calls]
    return made


def _call(call: Any) -> dict[str, Any]:
    # A dict as in a message, or an item of ``job.tool_calls``.
    if isinstance(call, Mapping):
        return dict(call)
    return {name: getattr(call, name, None) for name in ("id", "name", "arguments")}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, File | os.PathLike):
        return _file(part)
    if not isinstance(part, Mapping):
        return image_part(part)
    if isinstance(part.get("data"), bytes):
        return {**part, "data": b64encode(part["data"]).decode()}
    return dict(part)


def _file(file: Any) -> dict[str, Any]:
    return file if isinstance(file, dict) else (file if isinstance(file, File) else File(file)).part()
