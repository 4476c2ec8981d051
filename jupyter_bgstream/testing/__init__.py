"""Tools for tests of jobs: a scripted provider, which is a real HTTP server, and a fake clock."""

from .clock import FakeClock
from .http_connection import Request
from .scripted_provider import ScriptedProvider, ThreadedProvider, in_turn
from .scripts import Cut, Hold, Live, Pause, Repeat, Reset, Script, Send, answer, chunk, event, refusal, replay

__all__ = [
    "Cut",
    "FakeClock",
    "Hold",
    "Live",
    "Pause",
    "Repeat",
    "Request",
    "Reset",
    "Script",
    "ScriptedProvider",
    "Send",
    "ThreadedProvider",
    "answer",
    "chunk",
    "event",
    "in_turn",
    "refusal",
    "replay",
]
