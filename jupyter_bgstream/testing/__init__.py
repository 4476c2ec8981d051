"""What tests of jobs need, ours and yours: a scripted provider that is a real HTTP server, and a fake clock."""

from .clock import FakeClock
from .connection import Request
from .faulty import faults
from .scripted import ScriptedProvider, ThreadedProvider, in_turn
from .scripts import Cut, Hold, Pause, Repeat, Reset, Script, Send, answer, chunk, event, refusal, replay

__all__ = [
    "Cut",
    "FakeClock",
    "Hold",
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
    "faults",
    "in_turn",
    "refusal",
    "replay",
]
