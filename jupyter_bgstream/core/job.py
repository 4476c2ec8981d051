"""What a user asks for (JobSpec) and what the store keeps of it (Job)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from .costs import Cost, total, updated
from .cursor import Cursor
from .events import Attempt, Cancelled, Completed, Delta, Event, Failed, Interrupted, Usage, Waiting
from .messages import Message
from .state import ENDS, ErrorInfo, Status, next_status

Priority = Literal["interactive", "batch"]
OnRestart = Literal["interrupt", "retry"]
Retries = Literal["never", "before_first_token", "always"]

JobId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{8,64}\Z")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Place = Annotated[str, msgspec.Meta(max_length=1000)]
Title = Annotated[str, msgspec.Meta(max_length=200)]
IdleTimeout = Annotated[float, msgspec.Meta(ge=1, le=3600)]
Tags = Annotated[tuple[Label, ...], msgspec.Meta(max_length=50)]

TITLE_LENGTH = 80  # characters
PREVIEW_LENGTH = 120  # characters


class JobSource(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Where a job was asked for."""

    notebook: Place | None = None  # path below the server's root
    cell: Place | None = None  # cell id
    kernel: Place | None = None  # kernel id


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What a user asks for. It never changes after the submit."""

    model: Label  # provider/name
    messages: tuple[Message, ...]
    params: dict[str, Any] = {}  # passed to the provider
    thread: Label | None = None  # the conversation it continues
    title: Title = ""
    tags: Tags = ()
    group: Label | None = None
    priority: Priority = "interactive"
    source: JobSource = JobSource()
    on_restart: OnRestart = "interrupt"  # what becomes of it when the server that runs it is gone
    retries: Retries = "before_first_token"  # when a try that failed is made again
    idle_timeout: IdleTimeout | None = None  # seconds without a byte from the provider; None: the provider's setting

    def same_request(self, other: JobSpec) -> bool:
        """Whether a repeated submit asks for the same: model, messages, params and thread."""
        return (self.model, self.messages, self.params, self.thread) == (
            other.model,
            other.messages,
            other.params,
            other.thread,
        )


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some messages of a conversation: what one job was asked, and its answer."""

    job: str  # its id
    messages: int


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job as the store keeps it. Its answer is not here but in its log."""

    id: str
    owner: str  # the tenant
    log: str  # 8 hex digits, new for each log
    spec: JobSpec
    status: Status
    server: str  # the server that runs it
    seq: int = 0  # the log's tail
    attempt: int = 0  # the try at the provider; users see it
    fence: int = 0  # raised at each claim; who holds an older one may not write
    thread: str | None = None  # its conversation by the name it has now; the spec's is that of the submit
    previous: str | None = None  # the job before it in its thread
    history: tuple[Message, ...] = ()  # the conversation before it, frozen at the claim
    turns: tuple[Turn, ...] = ()  # whose messages the history has, as far as is known
    preview: str = ""  # the answer's first characters
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds
    not_before: float | None = None  # Unix seconds
    usage: Usage | None = None
    cost: float | None = None  # USD, of all attempts
    cost_estimated: bool = False  # whether any of it is an estimate
    finish_reason: str | None = None
    resume: str | None = None  # how its provider is asked to go on with this attempt; covers all that is in the log
    error: ErrorInfo | None = None  # of its end, or why it waits
    retry_of: str | None = None  # the job that a user asked again by this one
    retried_by: str | None = None  # the job that asks this one again
    root: str | None = None  # the job that was asked first, if this one asks again; it may be gone
    submitted_by: str | None = None  # name of the person who submitted it; None: a kernel, or nobody is named

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDS

    @property
    def paid(self) -> Cost | None:
        """What all attempts cost, as far as it is known."""
        return None if self.cost is None else Cost(usd=self.cost, estimated=self.cost_estimated)

    @property
    def cursor(self) -> Cursor:
        """The log's tail."""
        return Cursor(log=self.log, attempt=self.attempt, seq=self.seq)


def advance(job: Job, events: Sequence[Event]) -> Job:
    """Return the job after events that join its log now; raises IllegalEventError and then nothing has changed."""
    status, attempt, changes = job.status, job.attempt, dict[str, object]()
    for event in events:
        status = next_status(status, type(event))
        match event:
            case Delta():
                continue
            case Attempt():
                attempt += not event.resumed
                changes |= {"started_at": changes.get("started_at", job.started_at) or event.at}
                changes |= {"not_before": None, "error": None}
                if not event.resumed:
                    changes |= {"usage": None, "resume": None}
            case Usage():
                changes |= _counted(job, changes, event)
            case Waiting():
                changes |= {"not_before": event.until, "error": ErrorInfo(code=event.code, message=event.message)}
            case Cancelled():
                changes["error"] = None
            case Completed():
                changes["finish_reason"] = event.finish_reason
            case Failed() | Interrupted():
                changes["error"] = ErrorInfo(code=event.code, message=event.message)
        if status in ENDS:
            changes |= {"ended_at": event.at, "not_before": None}  # type: ignore[union-attr]  # only ends lead there
    return msgspec.structs.replace(job, status=status, attempt=attempt, seq=job.seq + len(events), **changes)


def _counted(job: Job, before: dict[str, Any], usage: Usage) -> dict[str, object]:
    replaced = before.get("usage", job.usage)
    usd, estimated = before.get("cost", job.cost), before.get("cost_estimated", job.cost_estimated)
    cost = total(None if usd is None else Cost(usd=usd, estimated=estimated), replaced, usage)
    changes: dict[str, object] = {} if cost is None else {"cost": cost.usd, "cost_estimated": cost.estimated}
    return changes | {"usage": updated(replaced, usage)}


def title_of(messages: tuple[Message, ...]) -> str:
    """Return the first words of the last user message, at most TITLE_LENGTH characters."""
    prompt = next((message.text for message in reversed(messages) if message.role == "user"), "")
    words = " ".join(prompt[:1000].split())  # a prompt may have megabytes
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"
