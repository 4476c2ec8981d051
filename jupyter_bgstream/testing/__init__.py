"""What tests of jobs need, ours and yours: a scripted provider that is a real HTTP server, and a fake clock."""

from .clock import FakeClock
from .connection import Request
from .faulty import faults
from .responses import ScriptedResponses, response
from .scripted import ScriptedProvider, ThreadedProvider, in_turn
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
    "ScriptedResponses",
    "Send",
    "ThreadedProvider",
    "answer",
    "chunk",
    "event",
    "faults",
    "in_turn",
    "refusal",
    "replay",
    "response",
]
