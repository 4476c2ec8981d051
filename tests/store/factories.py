"""Helpers for tests of stores: make, submit, claim and end jobs, and read their logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from jupyter_bgstream.core.codec import decode_events
from jupyter_bgstream.core.cursor import new_log
from jupyter_bgstream.core.events import Completed, Delta, Event, Failed
from jupyter_bgstream.core.job import Job, JobSpec, StoredPriority
from jupyter_bgstream.core.messages import Message
from jupyter_bgstream.store.port_values import Append, Capacity, Change, JobFilter
from jupyter_bgstream.store.ports.logs import LogStore, append_one
from jupyter_bgstream.store.ports.store import Store

HERE = "server-here"
THERE = "server-there"  # dead: it holds no lock
OWNER = "ada"
ALL = 1 << 30  # bytes
ROOM = Capacity(running=1000, bulk=1000, owner=1000)
DONE = Completed(at=50.0, finish_reason="stop")
FAILED = Failed(at=50.0, code="internal", message="No.")

_SPEC_FIELDS = frozenset(JobSpec.__struct_fields__)


def new_job(job_id: str, *, prompt: str = "Why is the sky blue?", **fields: Any) -> Job:
    """Make a job that is ready to be submitted; ``fields`` are those of the job and of its spec."""
    spec = {name: fields.pop(name) for name in tuple(fields) if name in _SPEC_FIELDS}
    if "priority" in spec:
        spec["priority"] = StoredPriority[spec["priority"]]
    messages = (Message(role="user", content=prompt),)
    return Job(
        **{
            "id": job_id,
            "owner": OWNER,
            "log": new_log(),
            "spec": JobSpec(**{"model": "open/small", "messages": messages, "title": prompt[:80], **spec}),
            "status": "new",
            "server": HERE,
            "created_at": 10.0,
            **fields,
        }
    )


def text_deltas(*texts: str) -> list[Event]:
    """Make deltas."""
    return [Delta(channel="text", text=text) for text in texts]


async def submit(store: Store, job_id: str, **fields: Any) -> Job:
    """Submit a job."""
    job, _ = await store.submit(new_job(job_id, **fields), max_queued=1000)
    return job


async def append(store: LogStore, job: Job, events: Sequence[Event], **fields: Any) -> int:
    """Append events to the log of one job; ``fields`` are those of ``Append``."""
    return await append_one(store, Append(job=job, events=events, **fields))


async def claim(
    store: Store,
    *,
    limit: int = 100,
    at: float = 20.0,
    server: str = HERE,
    owner: str | None = None,
    room: Capacity = ROOM,
) -> list[Job]:
    """Claim the ready jobs."""
    return await store.claim(server=server, owner=owner, room=room, limit=limit, at=at)


async def running(store: Store, job_id: str = "job-0001", **fields: Any) -> Job:
    """Submit a job and claim all ready jobs; return this one."""
    await submit(store, job_id, **fields)
    return next(job for job in await claim(store) if job.id == job_id)


async def ended(store: Store, job_id: str = "job-0001", end: Event = DONE, **fields: Any) -> Job:
    """Submit, claim and end a job."""
    await running(store, job_id, **fields)
    job, _ = await store.end(fields.get("owner", OWNER), job_id, end)
    return job


async def retried(store: Store, job_id: str, new_id: str, **fields: Any) -> Job:
    """Retry an ended job."""
    spec = (await store.job(OWNER, job_id)).spec
    again = msgspec.structs.replace(new_job(new_id, **fields), spec=spec, retry_of=job_id)
    job, _ = await store.submit(again, max_queued=100)
    return job


async def finish(store: Store, job_id: str, end: Event) -> None:
    """Claim all ready jobs and end one."""
    await claim(store)
    await store.end(OWNER, job_id, end)


async def anew(store: Store, job_id: str = "job-0001") -> tuple[Job, Job]:
    """Claim, end and delete a job, submit and claim its id again; return both jobs, which have equal fences."""
    old = await running(store, job_id)
    await store.end(OWNER, job_id, DONE)
    await store.delete(OWNER, job_id)
    new = await running(store, job_id)
    assert (old.id, old.fence) == (new.id, new.fence)
    assert old.log != new.log
    return old, new


async def log_of(store: Store, job_id: str = "job-0001", *, after: int = 0, owner: str = OWNER) -> list[Event]:
    """Read and decode a log."""
    return decode_events(await store.events(await store.job(owner, job_id), after=after, max_bytes=ALL))


async def ids_of(store: Store, owner: str = OWNER, **fields: Any) -> list[str]:
    """List the ids of the jobs that a filter finds."""
    jobs, _ = await store.jobs(owner, JobFilter(**fields))
    return [job.id for job in jobs]


async def take(changes: AsyncIterator[Sequence[Change]], until: Change | None = None) -> list[Change]:
    """Read the changes before one equal to ``until``, or those of one batch."""
    taken: list[Change] = []
    async with asyncio.timeout(60):
        async for batch in changes:
            taken.extend(batch)
            if until is None:
                return taken
            if until in taken:
                return taken[: taken.index(until)]
    return taken
