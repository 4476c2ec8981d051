"""Jobs: the request (JobSpec) and its stored state (Job)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec

from .costs import Cost, total, updated
from .cursor import Cursor
from .events import Attempt, Cancelled, Completed, Delta, Event, Failed, Interrupted, Usage, Waiting
from .messages import Message
from .state import ENDS, ErrorInfo, Status, next_status

Priority = Literal["interactive", "bulk"]
OnRestart = Literal["interrupt", "retry"]
RetryPolicy = Literal["never", "before_first_token", "always"]

JobId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{8,64}\Z")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Place = Annotated[str, msgspec.Meta(max_length=1000)]
Title = Annotated[str, msgspec.Meta(max_length=200)]
IdleTimeout = Annotated[float, msgspec.Meta(ge=1, le=3600)]
Tags = Annotated[tuple[Label, ...], msgspec.Meta(max_length=50)]

TITLE_LENGTH = 80  # characters
PREVIEW_LENGTH = 120  # characters


class StoredPriority(Enum):
    """A priority with the value that databases have."""

    interactive = "interactive"
    bulk = "batch"


class JobSource(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Where a job was submitted."""

    notebook: Place | None = None  # path below the server's root
    cell: Place | None = None  # cell id
    kernel: Place | None = None  # kernel id


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A request. It never changes after the submit."""

    model: Label  # provider/name
    messages: tuple[Message, ...]
    params: dict[str, Any] = {}  # passed to the provider
    thread: Label | None = None  # the conversation it continues
    title: Title = ""
    tags: Tags = ()
    batch: Label | None = msgspec.field(name="group", default=None)  # its id; the stored name is older
    priority: StoredPriority = StoredPriority.interactive
    source: JobSource = JobSource()
    on_restart: OnRestart = "interrupt"  # recovery policy after the death of its server
    retry_policy: RetryPolicy = msgspec.field(name="retries", default="before_first_token")  # for failed attempts
    idle_timeout: IdleTimeout | None = None  # seconds without a byte from the provider; None: the provider's setting

    @property
    def is_bulk(self) -> bool:
        """Whether the job runs after all interactive jobs."""
        return self.priority is StoredPriority.bulk

    def same_request(self, other: JobSpec) -> bool:
        """Return whether another submit is the same request: model, messages, params and thread."""
        return (self.model, self.messages, self.params, self.thread) == (
            other.model,
            other.messages,
            other.params,
            other.thread,
        )


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The messages of one job in a conversation: its prompt and its answer."""

    job: str  # its id
    messages: int


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job as the store holds it. Its answer is in its log."""

    id: str
    owner: str
    log: str  # 8 hex digits, new for each log
    spec: JobSpec
    status: Status
    server: str  # the server that runs it
    seq: int = 0  # the log's tail
    attempt: int = 0  # number of the current attempt; users see it
    fence: int = 0  # raised at each claim; a writer with an older fence is refused
    thread: str | None = None  # its thread by the present name; the spec has the name at the submit
    previous: str | None = None  # the previous job in its thread
    history: tuple[Message, ...] = ()  # the conversation before it, stored at the claim
    turns: tuple[Turn, ...] = ()  # the turns that the messages of the history belong to, as far as known
    preview: str = ""  # the answer's first characters
    created_at: float  # Unix seconds
    started_at: float | None = None  # Unix seconds
    ended_at: float | None = None  # Unix seconds
    not_before: float | None = None  # Unix seconds
    usage: Usage | None = None
    cost: float | None = None  # USD, of all attempts
    cost_estimated: bool = False  # whether any of it is an estimate
    finish_reason: str | None = None
    resume: str | None = None  # token by which the provider continues this attempt; covers the whole log
    error: ErrorInfo | None = None  # why it ended or waits
    retry_of: str | None = None  # the job that this one retries
    retried_by: str | None = None  # the job that retries this one
    root: str | None = None  # of a retry: the first job of the chain, which may be deleted
    submitted_by: str | None = None  # name of the submitter; None: a kernel, or people have no names

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDS

    @property
    def paid(self) -> Cost | None:
        """The known cost of all attempts."""
        return None if self.cost is None else Cost(usd=self.cost, estimated=self.cost_estimated)

    @property
    def cursor(self) -> Cursor:
        """The log's tail."""
        return Cursor(log=self.log, attempt=self.attempt, seq=self.seq)


def advance(job: Job, events: Sequence[Event]) -> Job:
    """Return the job after new events in its log.

    Raises:
        IllegalEventError: The transition table does not allow one of the events.
    """
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
            changes |= {"ended_at": event.at, "not_before": None}  # type: ignore[union-attr]  # only end events lead there
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
