"""Hypothesis strategies for legal logs: walks through the transition table."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from jupyter_bgstream.core.events import (
    Attempt,
    Cancelled,
    Citation,
    Completed,
    Delta,
    Event,
    Failed,
    Image,
    Interrupted,
    Queued,
    ToolCall,
    Usage,
    Waiting,
)
from jupyter_bgstream.core.state import TRANSITIONS, Status

_text = st.text(alphabet=st.sampled_from("ab \n👋🏽é́‍\u2028"), min_size=1, max_size=6)
_time = st.floats(0, 2e9, allow_nan=False)
_fault = {"at": _time, "code": st.just("truncated"), "message": _text}

EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    Queued: st.builds(Queued, at=_time),
    Attempt: st.builds(
        Attempt, at=_time, resumed=st.booleans(), reason=st.sampled_from(["first", "retry", "recovery"])
    ),
    Delta: st.builds(Delta, channel=st.sampled_from(["text", "reasoning"]), text=_text, first=st.just(0)),
    Usage: st.builds(
        Usage,
        input_tokens=st.integers(0, 9),
        output_tokens=st.none(),
        cost=st.none() | st.sampled_from([0.25, 0.5, 2.0]),
        cost_estimated=st.booleans(),
    ),
    Citation: st.builds(Citation, url=_text, title=_text),
    ToolCall: st.builds(ToolCall, id=_text, name=_text, arguments=_text),
    Image: st.builds(
        Image,
        id=st.sampled_from(["1-1", "2-16"]),
        media_type=st.sampled_from(["image/png", "image/webp"]),
        bytes=st.integers(1, 2**25),
    ),
    Waiting: st.builds(Waiting, at=_time, until=_time, code=st.just("rate_limited"), message=_text),
    Completed: st.builds(Completed, at=_time, finish_reason=st.just("stop")),
    Failed: st.builds(Failed, **_fault),
    Cancelled: st.builds(Cancelled, at=_time),
    Interrupted: st.builds(Interrupted, **_fault),
}


@st.composite
def logs(draw: st.DrawFn, max_size: int = 40) -> list[Event]:
    """Draw a legal log, ended or not, numbered as a store would."""
    status: Status = "new"
    attempt = 0
    log: list[Event] = []
    for seq in range(1, draw(st.integers(0, max_size)) + 1):
        steps = TRANSITIONS.get(status)
        if not steps:
            break
        # Deltas are what logs are made of.
        kinds = [*steps, *([Delta] * 8 if Delta in steps else [])]
        event = draw(EVENTS[draw(st.sampled_from(kinds))])
        if isinstance(event, Attempt):
            if attempt == 0:  # there is nothing yet that could go on
                event = msgspec.structs.replace(event, resumed=False)
            attempt += not event.resumed
        log.append(msgspec.structs.replace(event, seq=seq, attempt=attempt))
        status = steps[type(event)]
    return log
