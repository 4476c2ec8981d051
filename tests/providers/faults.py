"""Named failures of a provider: models of a scripted provider for tests of retries and recovery.

``ScriptedProvider(faults())`` serves them all. The text before a failure is FIRST, a complete text is TEXT.
"""

from __future__ import annotations

from jupyter_bgstream.testing.scripted_provider import Reply, in_turn
from jupyter_bgstream.testing.scripts import (
    DONE,
    Cut,
    Hold,
    Pause,
    Repeat,
    Reset,
    Script,
    Send,
    Step,
    answer,
    chunk,
    event,
    refusal,
)

FIRST = "Grüße aus "
TEXT = FIRST + "Köln 👋"
USAGE = (3, 4)  # input and output tokens of a whole answer
RETRY_AFTER = 7  # seconds
GIGANTIC_BYTES = 64 * 1024 * 1024  # of an event that never ends

_WHOLE = answer(TEXT, usage=USAGE)
_BYTES = b"".join(step.data for step in _WHOLE.steps if isinstance(step, Send))
_LATE = chunk({"content": "too late"})
_HTML = {"Content-Type": "text/html; charset=utf-8"}
_LIMITED = {"error": {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}}
_UNPAID = {"error": {"message": "Check your billing.", "type": "insufficient_quota", "code": "insufficient_quota"}}
_OVERLOADED = {"error": {"message": "Overloaded.", "type": "overloaded_error"}}


def faults() -> dict[str, Reply]:
    """Return the scripts by name. Those named ``…-once`` succeed when the same prompt arrives a second time."""
    inside = chunk({"content": "Köln"}).index("ö".encode()) + 1  # after the first of its two bytes
    half = chunk({"content": "Köln"})
    return {
        # Hanging.
        "stall-before-headers": Script(steps=(Hold(),)),
        "stall-before-text": _after("", Send(b""), Hold()),
        "stall-mid-answer": _after(FIRST, Hold()),
        "stall-after-finish": _after(TEXT, Send(chunk(finish_reason="stop")), Hold()),
        "heartbeats-after-finish": _after(TEXT, Send(chunk(finish_reason="stop")), *_forever(b": still here\n\n")),
        # Slow or endless.
        "slow-drip": Script(steps=tuple(step for byte in _BYTES for step in (Send(bytes([byte])), Pause(0.002)))),
        "never-ending": _after(FIRST, *_forever(chunk({"content": "and on "}))),
        # Cut or reset connections.
        "reset-before-headers": Script(steps=(Reset(),)),
        "reset-mid-event": _after(FIRST, Send(half[:-9]), Reset()),
        "cut-inside-a-character": _after(FIRST, Send(half[:inside]), Cut()),
        "half-an-event": _after(FIRST, Send(half[:-9])),
        "no-end": _after(FIRST, Send(DONE)),
        "usage-then-cut": _after(FIRST, Send(_usage()), Cut()),
        # Invalid data.
        "garbage": _after(FIRST, Send(b"data: \x93\x00\xff\xfe\x07\n\n")),
        "noise": _after(FIRST, Send(bytes(range(256)) * 16)),
        "login-page": refusal(200, "<html><body><h1>Please log in</h1></body></html>", _HTML),
        "deep-json": _after(FIRST, Send(event('{"choices":' + "[" * 100_000))),
        "deep-refusal": refusal(400, '{"error":' * 5000 + "1" + "}" * 5000),
        "gigantic-event": _after(FIRST, Send(b"data: "), Repeat((Send(b"x" * 65_536),), GIGANTIC_BYTES // 65_536)),
        # Data after the end.
        "event-after-the-end": Script(steps=(*_WHOLE.steps, Send(_LATE), Send(event("{nonsense")))),
        "doubled-end": Script(steps=(*_WHOLE.steps, Send(chunk(finish_reason="length")), Send(DONE))),
        "doubled-finish": _after(TEXT, *[Send(chunk(finish_reason="stop"))] * 2, Send(_usage()), Send(DONE)),
        # Transient refusals, some in the middle of an answer; the second attempt succeeds.
        "rate-limited-once": in_turn(refusal(429, _LIMITED, {"Retry-After": str(RETRY_AFTER)}), _WHOLE),
        "unavailable-once": in_turn(refusal(503, _OVERLOADED), _WHOLE),
        "reset-once": in_turn(Script(steps=(Reset(),)), _WHOLE),
        "overloaded-once": in_turn(_after(FIRST, Send(event(_OVERLOADED, "error")), Hold()), _WHOLE),
        "cut-once": in_turn(_after(FIRST, Cut()), _WHOLE),
        "unpaid": refusal(429, _UNPAID),
    }


def _after(text: str, *then: Step) -> Script:
    return Script(steps=(*answer(text, finish_reason=None, done=False).steps, *then))


def _forever(data: bytes) -> tuple[Step]:
    return (Repeat((Send(data), Pause(0.005))),)


def _usage() -> bytes:
    given, answered = USAGE
    return chunk(usage={"prompt_tokens": given, "completion_tokens": answered})
