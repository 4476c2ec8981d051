"""A conversation as the formats want it that keep the system's words apart from the turns."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.job import ImagePart, Job, Message, Part, TextPart
from ..faults import Faults


def system_text(job: Job, faults: Faults) -> str:
    """Return the words of all system messages, joined by blank lines; "" if there are none.

    Raises ProviderError (``bad_request``) for a picture among them, which no service takes there.
    """
    messages = [message for message in (*job.history, *job.spec.messages) if message.role == "system"]
    if any(message.images for message in messages):
        raise faults.error("bad_request", "A system message cannot hold pictures; put them into a user message.")
    return "\n\n".join(message.text for message in messages if message.text.strip())


def turns(job: Job) -> Iterator[tuple[Message, list[Part]]]:
    """Yield the other messages with their parts; without what is empty, such as an answer that was only reasoning.

    Services refuse empty text. Turns of one role may follow each other: services take them as one.
    """
    for message in (*job.history, *job.spec.messages):
        if message.role != "system" and (parts := list(_parts(message))):
            yield message, parts


def _parts(message: Message) -> Iterator[Part]:
    parts = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
    return (part for part in parts if isinstance(part, ImagePart) or part.text.strip())
