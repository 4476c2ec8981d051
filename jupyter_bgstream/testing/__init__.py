"""What tests of jobs need, ours and yours: a scripted provider that is a real HTTP server, and a fake clock."""

from .clock import FakeClock
from .connection import Request
from .scripted import ScriptedProvider, ThreadedProvider
from .scripts import Cut, Hold, Pause, Reset, Script, Send, answer, chunk, event, refusal, replay

__all__ = [
    "Cut",
    "FakeClock",
    "Hold",
    "Pause",
    "Request",
    "Reset",
    "Script",
    "ScriptedProvider",
    "Send",
    "ThreadedProvider",
    "answer",
    "chunk",
    "event",
    "refusal",
    "replay",
]
