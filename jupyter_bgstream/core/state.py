"""The state machine of a job: one transition table, ``apply`` and ``fold``.

The same fold exists in ``labextension/src/wire/fold.ts``; both run the cases in ``tests/golden/fold.json``.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from .costs import Cost, total, updated
from .errors import IllegalEventError, OutOfOrderError
from .events import (
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

Status = Literal["new", "queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"]

# All transitions of a job. An end has no row: an ended job never opens again.
TRANSITIONS: dict[Status, dict[type[Event], Status]] = {
    "new": {Queued: "queued"},
    "queued": {
        Attempt: "running",
        Waiting: "waiting",
        Failed: "failed",
        Cancelled: "cancelled",
        Interrupted: "interrupted",
    },
    "running": {
        Attempt: "running",
        Delta: "running",
        Usage: "running",
        Citation: "running",
        ToolCall: "running",
        Image: "running",
        Waiting: "waiting",
        Completed: "completed",
        Failed: "failed",
        Cancelled: "cancelled",
        Interrupted: "interrupted",
    },
    "waiting": {
        Attempt: "running",
        Waiting: "waiting",
        Failed: "failed",
        Cancelled: "cancelled",
        Interrupted: "interrupted",
    },
}

ENDS: frozenset[Status] = frozenset({"completed", "failed", "cancelled", "interrupted"})


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed, was interrupted or waits: a stable code and a sentence."""

    code: str
    message: str


class Partial(msgspec.Struct, frozen=True, kw_only=True):
    """The text of an attempt that was then started over."""

    attempt: int
    text: str = ""
    reasoning: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a job for a reader of its log: the fold of the log. The default is the fold of an empty log."""

    status: Status = "new"
    seq: int = 0  # the last event seen
    attempt: int = 0
    text: str = ""
    reasoning: str = ""
    sources: tuple[Citation, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    images: tuple[Image, ...] = ()
    usage: Usage | None = None
    cost: Cost | None = None  # of all attempts
    finish_reason: str | None = None
    error: ErrorInfo | None = None
    not_before: float | None = None  # Unix seconds, while waiting
    earlier: tuple[Partial, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDS


def next_status(status: Status, event: type[Event]) -> Status:
    """Return the status after an event.

    Raises:
        IllegalEventError: The transition table does not allow it.
    """
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise IllegalEventError(f"A job that is {status} cannot have the event {event.__name__.lower()}.") from None


def apply(answer: Answer, event: Event) -> Answer:
    """Return the answer after one event.

    Raises:
        IllegalEventError: The transition table does not allow the event.
        OutOfOrderError: Its number is not the next one.
    """
    status = next_status(answer.status, type(event))
    first = event.first if isinstance(event, Delta) and event.first else event.seq
    if first != answer.seq + 1 or event.seq < first:
        raise OutOfOrderError(f"Expected event {answer.seq + 1}, got {first}.")
    changes: dict[str, object] = {"status": status, "seq": event.seq}
    match event:
        case Attempt():
            changes |= {"attempt": event.attempt, "not_before": None, "error": None}
            if not event.resumed:
                changes |= _start_over(answer)
        case Delta(channel="text"):
            changes["text"] = answer.text + event.text
        case Delta():
            changes["reasoning"] = answer.reasoning + event.text
        case Usage():
            changes |= {"usage": updated(answer.usage, event), "cost": total(answer.cost, answer.usage, event)}
        case Citation():
            changes["sources"] = (*answer.sources, event)
        case ToolCall():
            changes["tool_calls"] = (*answer.tool_calls, event)
        case Image():
            changes["images"] = (*answer.images, event)
        case Waiting():
            changes |= {"not_before": event.until, "error": ErrorInfo(code=event.code, message=event.message)}
        case Completed():
            changes |= {"finish_reason": event.finish_reason, "not_before": None}
        case Failed() | Interrupted():
            changes |= {"error": ErrorInfo(code=event.code, message=event.message), "not_before": None}
        case Cancelled():
            changes |= {"not_before": None, "error": None}
        case Queued():
            pass
    return msgspec.structs.replace(answer, **changes)


def _start_over(answer: Answer) -> dict[str, object]:
    earlier = answer.earlier
    if answer.text or answer.reasoning:
        earlier = (*earlier, Partial(attempt=answer.attempt, text=answer.text, reasoning=answer.reasoning))
    empty: dict[str, object] = {"text": "", "reasoning": "", "sources": (), "tool_calls": (), "images": ()}
    return {"earlier": earlier, "usage": None} | empty


def runs(events: Iterable[Event]) -> Iterator[Event]:
    """Join adjacent deltas of one channel and attempt into runs; yield other events unchanged."""
    pending: list[Delta] = []
    for event in events:
        if isinstance(event, Delta):
            if pending and (event.channel, event.attempt) != (pending[0].channel, pending[0].attempt):
                yield _joined(pending)
                pending.clear()
            pending.append(event)
            continue
        if pending:
            yield _joined(pending)
            pending.clear()
        yield event
    if pending:
        yield _joined(pending)


def _joined(deltas: list[Delta]) -> Delta:
    if len(deltas) == 1:
        return deltas[0]
    return msgspec.structs.replace(
        deltas[-1], text="".join(delta.text for delta in deltas), first=deltas[0].first or deltas[0].seq
    )


def fold(events: Iterable[Event], answer: Answer | None = None) -> Answer:
    """Apply events in order, in linear time.

    For every n, ``fold(all)`` equals ``fold(rest, fold(first n))``.
    """
    answer = answer or Answer()
    for event in runs(events):
        answer = apply(answer, event)
    return answer
