"""Threads, which are conversations of successive jobs, and forks, which begin with the conversation of another one."""

import msgspec

from .job import Turn
from .messages import Message


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of a thread so far."""

    messages: tuple[Message, ...] = ()
    turns: tuple[Turn, ...] = ()  # the turns of the last messages; the turns of older ones are unknown


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation that a forked thread begins with: a copy, independent of the original."""

    owner: str
    name: str  # of the new thread
    origin: str | None  # the original thread, by its present name; None: it was deleted
    model: str = ""  # of its last turn, like the title
    title: str = ""
    conversation: Conversation = Conversation()
    created_at: float  # Unix seconds
    touched_at: float  # Unix seconds; or the end of the newest job that was deleted from it
