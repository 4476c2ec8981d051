"""Conversion between rows of the database and values of the core."""

import sqlite3
import zlib
from typing import Any

import msgspec

from ...core.batches import Batch
from ...core.codec import encode
from ...core.events import Usage
from ...core.job import Job, JobSpec, Turn
from ...core.messages import Message
from ...core.notices import Notice
from ...core.state import ErrorInfo
from ...core.threads import Conversation, Fork
from ..port_values import Change
from ..transitions import listed

_spec = msgspec.json.Decoder(JobSpec)
_history = msgspec.json.Decoder(tuple[Message, ...])
_turns = msgspec.json.Decoder(tuple[Turn, ...])
_usage = msgspec.json.Decoder(Usage)
_error = msgspec.json.Decoder(ErrorInfo)
_notice = msgspec.json.Decoder(Notice)
_batch = msgspec.json.Decoder(Batch)

_PLACES_PER_JOB = 1 << 32  # seq stays below


def place_of(n: int, seq: int) -> int:
    """Return the place in the table of events of the row of job ``n`` that ends with event ``seq``."""
    return n * _PLACES_PER_JOB + seq


def places_of(n: int, *, after: int = 0) -> dict[str, int]:
    """Return the range of places of the rows of job ``n`` with events behind number ``after``."""
    return {"from": place_of(n, after + 1), "to": place_of(n, _PLACES_PER_JOB - 1)}


def events_of(body: bytes, packed: int) -> list[bytes]:
    """Return the encoded events of a row, with the bytes as they were appended."""
    return (zlib.decompress(body) if packed else body).split(b"\n")


def job_of(row: sqlite3.Row | dict[str, Any]) -> Job:
    """Return the job of a row of ``whole_jobs``."""
    fields = {name: row[name] for name in Job.__struct_fields__} | {
        "spec": _spec.decode(row["spec"]),
        "history": _history.decode(row["history"]),
        "turns": _turns.decode(row["turns"]),
        "usage": None if row["usage"] is None else _usage.decode(row["usage"]),
        "cost_estimated": bool(row["cost_estimated"]),
        "error": None if row["error"] is None else _error.decode(row["error"]),
    }
    return Job(**fields)


def listed_job_of(row: sqlite3.Row) -> Job:
    """Return the job of a row of ``jobs``, without its prompt."""
    return job_of({**row, "spec": row["listed"], "history": b"[]", "turns": b"[]"})


def columns_of(job: Job) -> dict[str, Any]:
    """Return a job's columns in both ``jobs`` and ``asked``."""
    return msgspec.structs.asdict(job) | {
        "spec": encode(job.spec),
        "history": encode(job.history),
        "turns": encode(job.turns),
        "listed": encode(listed(job).spec),
        "usage": None if job.usage is None else encode(job.usage),
        "cost_estimated": int(job.cost_estimated),
        "error": None if job.error is None else encode(job.error),
        "batch": int(job.spec.is_bulk),
        "notebook": job.spec.source.notebook,
        "grp": job.spec.batch,
        "tags": encode(job.spec.tags).decode(),
    }


def notice_from(row: sqlite3.Row) -> Notice:
    """Return the notice of a row, as it was created."""
    return _notice.decode(row["body"])


def batch_from(row: sqlite3.Row) -> Batch:
    """Return the batch of a row."""
    return _batch.decode(row["body"])


def fork_from(row: sqlite3.Row) -> Fork:
    """Return the fork of a row."""
    return Fork(
        owner=row["owner"],
        name=row["name"],
        origin=row["origin"],
        model=row["model"],
        title=row["title"],
        conversation=Conversation(messages=_history.decode(row["messages"]), turns=_turns.decode(row["turns"])),
        created_at=row["created_at"],
        touched_at=row["touched_at"],
    )


def change_from(row: sqlite3.Row) -> Change:
    """Return a change that another process made, without events."""
    return Change(kind=row["kind"], owner=row["owner"], subject=row["id"], status=row["status"], seq=row["seq"])
