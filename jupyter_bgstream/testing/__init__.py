"""Tools for tests of jobs: a scripted provider, which is a real HTTP server, and a fake clock."""

from .clock import FakeClock
from .faults import faults
from .http_connection import Request
from .scripted_provider import ScriptedProvider, ThreadedProvider, in_turn
from .scripted_responses import ScriptedResponses, response
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
