"""A conversation as the formats send it: what each refuses, and what those share that have blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.attachments import name_of
from ...core.job import Job
from ...core.messages import AudioPart, FilePart, FunctionCall, Message, Part, TextPart
from ...core.tool_turns import arguments_of, sendable
from ..errors import ErrorBuilder

SYSTEM = ("system", "developer")

_ADVICE = {
    "PDF files": "Send its text instead, or choose a provider that takes PDF files, such as anthropic or gemini.",
    "recordings": "Send a transcript instead, or choose a provider that takes recordings, such as gemini.",
}

Blocks = list[dict[str, Any]]


def conversation(job: Job, errors: ErrorBuilder, lacks: Callable[[Part], str | None]) -> list[Message]:
    """Return the messages of a job, with those before it in its thread.

    Calls of tools that have no result are left out: no service takes them. ``lacks`` says why a part cannot be sent.
    Raises ProviderError (``bad_request``) for such a part, and for a result whose call is not there.
    """
    messages, stray = sendable((*job.history, *job.spec.messages))
    if stray is not None:
        raise errors.error(
            "bad_request", f"The turn before has no call {stray!r} that the message of the role tool could answer."
        )
    for message in messages:
        for part in message.attachments:
            if (why := lacks(part)) is not None:
                raise errors.error("bad_request", why)
    return messages


def lacking(part: Part, title: str, *, pdf: bool, audio: bool) -> str | None:
    """Return why a service that takes these kinds cannot be sent a part, as sentences; None if it can."""
    if isinstance(part, FilePart) and part.is_pdf and not pdf:
        kind = "PDF files"
    elif isinstance(part, AudioPart) and not audio:
        kind = "recordings"
    else:
        return None
    return f"{name_of(part)} cannot be sent: {title} takes no {kind}. {_ADVICE[kind]}"


def system_text(messages: Sequence[Message], errors: ErrorBuilder) -> str:
    """Return the words of all system messages, joined by blank lines; "" if there are none.

    Raises ProviderError (``bad_request``) for a picture among them, which no service takes there.
    """
    return "\n\n".join(part.text for part in system_parts(messages, errors))


def system_parts(messages: Sequence[Message], errors: ErrorBuilder) -> list[TextPart]:
    """Return the words of all system messages, part by part; raises as ``system_text`` does."""
    parts = [part for message in messages if message.role in SYSTEM for part in message.parts]
    texts = [part for part in parts if isinstance(part, TextPart)]
    if len(texts) < len(parts):
        raise errors.error("bad_request", "A system message cannot hold pictures; put them into a user message.")
    return [part for part in texts if part.text.strip()]


def turns(messages: Sequence[Message], blocks_of: Callable[[Message], Blocks]) -> list[tuple[str, Blocks]]:
    """Return the roles and blocks of the other messages; without what is empty, such as an answer without words.

    Services refuse empty text. Results of tools that follow each other are one turn, as services want it; other turns
    of one role may follow each other: services take them as one.
    """
    made: list[tuple[str, Blocks]] = []
    for message in messages:
        if message.role in SYSTEM or not (blocks := blocks_of(message)):
            continue
        if message.role == "tool" and made and made[-1][0] == "tool":
            made[-1][1].extend(blocks)
        else:
            made.append((message.role, blocks))
    return made


def filled(message: Message) -> list[Part]:
    """Return the parts of a message without empty text."""
    return [part for part in message.parts if not isinstance(part, TextPart) or part.text.strip()]


def arguments_object(call: FunctionCall) -> dict[str, Any]:
    """Return the arguments of a call as an object; what a model wrote that is none is wrapped in one."""
    arguments = arguments_of(call)
    return {"INVALID_JSON": call.arguments} if arguments is None else arguments


def pdf_name(part: FilePart) -> str:
    """Return a PDF file's name with the ending by which OpenAI's services tell its kind."""
    return part.name if part.name.lower().endswith(".pdf") else f"{part.name}.pdf"
