"""Threads: conversations of jobs, each behind the one before; and forks, which begin with what another has said."""

from __future__ import annotations

import msgspec

from .job import Turn
from .messages import Message
from .state import Status


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What was said so far."""

    messages: tuple[Message, ...] = ()
    turns: tuple[Turn, ...] = ()  # whose messages they are, the last ones of ``messages``; of older ones nobody knows


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a thread that goes on from another: its own copy, whatever becomes of the other."""

    owner: str  # the tenant
    name: str  # of the new thread
    origin: str | None  # the thread it goes on from, by the name it has now; None: that is gone
    model: str = ""  # of the last turn in it, like the title
    title: str = ""
    said: Conversation = Conversation()
    created_at: float  # Unix seconds
    touched_at: float  # Unix seconds; or the end of the youngest job that was deleted from it


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread as lists show it."""

    name: str
    jobs: int  # turns of its own: one that was asked again counts once
    status: Status  # of its oldest job that has not ended, else of its last turn
    model: str  # of its last turn, like the title
    title: str
    created_at: float  # Unix seconds
    updated_at: float  # Unix seconds, of the last submit, start or end
    forked_from: str | None = None
