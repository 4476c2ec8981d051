"""Conversations for wire formats: unsupported parts, system messages, and turns of content blocks."""

from collections.abc import Callable, Sequence
from typing import Any

from ...core.attachment_checks import name_of
from ...core.job import Job
from ...core.messages import AudioPart, FilePart, FunctionCall, Message, Part, TextPart
from ...core.tool_call_checks import arguments_of, sendable
from ..errors import ErrorBuilder

SYSTEM = ("system", "developer")

_ADVICE = {
    "PDF files": "Send its text instead, or choose a provider that accepts PDF files, such as anthropic or gemini.",
    "audio": "Send a transcript instead, or choose a provider that accepts audio, such as gemini.",
}

Blocks = list[dict[str, Any]]


def conversation(job: Job, errors: ErrorBuilder, unsupported: Callable[[Part], str | None]) -> list[Message]:
    """Return the messages of a job, with those before it in its thread.

    Tool calls without a result are left out: no service accepts them. ``unsupported`` returns why a part cannot be
    sent. Raises ProviderError (``bad_request``) for such a part, and for a tool result without its call.
    """
    messages, stray = sendable((*job.history, *job.spec.messages))
    if stray is not None:
        raise errors.error(
            "bad_request", f"The turn before has no call {stray!r} for the result in the message of the role tool."
        )
    for message in messages:
        for part in message.attachments:
            if (why := unsupported(part)) is not None:
                raise errors.error("bad_request", why)
    return messages


def unsupported_part(part: Part, title: str, *, pdf: bool, audio: bool) -> str | None:
    """Return why a service with or without these kinds does not accept a part, as sentences; None if it does."""
    if isinstance(part, FilePart) and part.is_pdf and not pdf:
        kind = "PDF files"
    elif isinstance(part, AudioPart) and not audio:
        kind = "audio"
    else:
        return None
    return f"{name_of(part)} cannot be sent: {title} does not accept {kind}. {_ADVICE[kind]}"


def system_text(messages: Sequence[Message], errors: ErrorBuilder) -> str:
    """Return the text of all system messages, joined by blank lines; "" if it is empty.

    Raises ProviderError (``bad_request``) for an image among them, which no service accepts there.
    """
    return "\n\n".join(part.text for part in system_parts(messages, errors))


def system_parts(messages: Sequence[Message], errors: ErrorBuilder) -> list[TextPart]:
    """Return the text parts of all system messages; raise as ``system_text`` does."""
    parts = [part for message in messages if message.role in SYSTEM for part in message.parts]
    texts = [part for part in parts if isinstance(part, TextPart)]
    if len(texts) < len(parts):
        raise errors.error("bad_request", "A system message cannot hold images; put them into a user message.")
    return [part for part in texts if part.text.strip()]


def turns(messages: Sequence[Message], blocks_of: Callable[[Message], Blocks]) -> list[tuple[str, Blocks]]:
    """Return the roles and blocks of the other messages, without empty ones, such as an answer without text.

    Services refuse empty text. Consecutive tool results are one turn, as services require; other consecutive turns of
    one role stay separate: services join them.
    """
    result: list[tuple[str, Blocks]] = []
    for message in messages:
        if message.role in SYSTEM or not (blocks := blocks_of(message)):
            continue
        if message.role == "tool" and result and result[-1][0] == "tool":
            result[-1][1].extend(blocks)
        else:
            result.append((message.role, blocks))
    return result


def non_empty_parts(message: Message) -> list[Part]:
    """Return the parts of a message without empty text."""
    return [part for part in message.parts if not isinstance(part, TextPart) or part.text.strip()]


def arguments_object(call: FunctionCall) -> dict[str, Any]:
    """Return the arguments of a call as an object; invalid JSON of a model is wrapped in one."""
    arguments = arguments_of(call)
    return {"INVALID_JSON": call.arguments} if arguments is None else arguments


def pdf_name(part: FilePart) -> str:
    """Return a PDF file's name with the suffix by which OpenAI's services detect its type."""
    return part.name if part.name.lower().endswith(".pdf") else f"{part.name}.pdf"
